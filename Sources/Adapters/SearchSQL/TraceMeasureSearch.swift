public import AerieCore
public import Experiments

/// A measurement of traces as one SELECT: equal values of a group are counted together, so that what a database gives
/// goes with how many different values there are.
public struct TraceMeasureSearch {
    private var statement: SearchStatement
    private let query: TraceMetricQuery

    public init(_ query: TraceMetricQuery, _ tables: SearchTables, _ dialect: SQLDialect) {
        self.query = query
        statement = SearchStatement(tables, dialect)
    }

    /// - Throws: `resourceExhausted` past `TraceLimits.metricRows`.
    public mutating func rows(_ connection: some SearchConnection) throws -> [TraceMetricRow] {
        statement.require(in: "t.experiment", numbers: query.experimentIDs.compactMap { Int64($0.text) })
        if query.measure.view == .assessments { statement.require("a.is_valid = 1") }
        for filter in query.filters { add(filter) }
        if let from = query.from { statement.require("\(moment) >= ?", [.integer(from.milliseconds)]) }
        if let until = query.until { statement.require("\(moment) <= ?", [.integer(until.milliseconds)]) }
        var columns: [String] = []
        if let interval = query.interval { columns.append("(\(share) - \(share) % \(interval))") }
        columns += query.dimensions.map(dimension)
        for column in columns.dropFirst(query.interval == nil ? 0 : 1) { statement.require("\(column) IS NOT NULL") }
        if let value {
            columns.append(value)
            statement.require("\(value) IS NOT NULL")
        }
        let groups = columns.isEmpty ? "" : " GROUP BY " + (1...columns.count).map { "\($0 + 1)" }.joined(separator: ",")
        let sql =
            "SELECT COUNT(*)\(columns.map { ", \($0)" }.joined()) FROM \(table)"
            + " WHERE \(statement.conditions.joined(separator: " AND "))\(groups) LIMIT \(TraceLimits.metricRows + 1)"
        let found = try connection.rows(sql, statement.arguments)
        guard found.count <= TraceLimits.metricRows else {
            throw AerieError(
                .resourceExhausted,
                "the traces hold more than \(TraceLimits.metricRows) different values; ask for less time or fewer dimensions",
                reason: "trace.metrics")
        }
        return found.map(row)
    }

    private func row(_ found: SearchRow) -> TraceMetricRow {
        var values = found.values[...]
        var time: Int64?
        if query.interval != nil, case .integer(let start)? = values.popFirst() { time = start }
        let dimensions = values.prefix(query.dimensions.count).map { value in
            if case .text(let text) = value { text } else { "" }
        }
        return TraceMetricRow(
            count: found.key, time: time, dimensions: dimensions,
            value: values.dropFirst(query.dimensions.count).first ?? .none)
    }

    private var table: String {
        switch query.measure.view {
        case .traces: "traces t"
        case .spans: "traces t JOIN trace_spans p ON p.owner = t.seq"
        case .assessments: "traces t JOIN trace_assessments a ON a.owner = t.seq"
        }
    }

    /// What a query's first and last moment are compared with.
    private var moment: String {
        if case .cost = query.measure.source { spanStart } else { "t.request_time" }
    }

    /// What shares of time are cut from.
    private var share: String { query.measure.view == .spans ? spanStart : "t.request_time" }

    private var spanStart: String { "(p.start_time / 1000000)" }

    /// The expression of a value; `nil` where rows are counted.
    private var value: String? {
        switch (query.measure.source, query.measure.view) {
        case (.row, _): nil
        case (.session, _): metadata("mlflow.trace.session")
        case (.latency, .spans): "((p.end_time - p.start_time) / 1000000)"
        case (.latency, _): "t.duration"
        case (.metadata(let key, _), _): metadata(key)
        case (.cost(let part), _): "p.\(part)"
        case (.number, _): "a.number"
        }
    }

    /// Keys are this project's own and never a client's.
    private func metadata(_ key: String) -> String {
        "(SELECT v.value FROM trace_metadata v WHERE v.owner = t.seq AND v.key = '\(key)')"
    }

    private func dimension(_ name: String) -> String {
        switch name {
        case "trace_name":
            "(SELECT n.value FROM trace_tags n WHERE n.owner = t.seq AND n.key = 'mlflow.traceName')"
        case "trace_status": "t.state"
        case "span_name": "p.name"
        case "span_type": "p.kind"
        case "span_status": SearchStatement.spanStatus
        case "span_model_name": "p.model"
        case "span_model_provider": "p.provider"
        case "assessment_name": "a.name"
        default: "a.value"
        }
    }

    private mutating func add(_ filter: TraceMetricFilter) {
        func equal(_ column: String) -> SearchCondition {
            SearchCondition(SearchField(.attribute, column), .equal, .text(filter.value))
        }
        switch filter.part {
        case .traceStatus: statement.compare("t.state", equal("status"))
        case .spanName: statement.compare("p.name", equal("name"))
        case .spanStatus: statement.compare(SearchStatement.spanStatus, equal("status"))
        case .spanType: statement.compare("p.kind", equal("type"))
        case .assessmentName: statement.compare("a.name", equal("name"))
        case .assessmentType: statement.compare("a.kind", equal("type"))
        case .traceMetadata("mlflow.sourceRun"): _ = statement.requireTraceParts([equal("run_id")])
        case .traceMetadata(let key): require("trace_metadata", key, filter.value)
        case .traceTag(let key): require("trace_tags", key, filter.value)
        }
    }

    private mutating func require(_ satellite: String, _ key: String, _ value: String) {
        statement.require(
            "EXISTS (SELECT 1 FROM \(satellite) s WHERE s.owner = t.seq AND s.key = ? AND s.value = ?)",
            [.text(key), .text(value)])
    }
}
