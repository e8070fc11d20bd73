public import AerieCore
import AerieJSON
public import Experiments
import GRDB
import SearchSQL

extension SQLiteTraceStore: TraceMeasureStore {
    /// What searches and measurements ask of spans and assessments, beside the content that says it.
    static let factsMigration = Migration("traces.3") { db in
        for statement in factStatements { try db.execute(sql: statement) }
        let spans = try Row.fetchCursor(
            db, sql: "SELECT rowid, content FROM trace_spans WHERE instr(content, 'mlflow.llm.') > 0")
        while let row = try spans.next() {
            let content: String = row[1]
            let span = Span(traceID: "", id: "", name: "", start: 0, content: content)
            try db.execute(
                sql: """
                    UPDATE trace_spans SET model = ?, provider = ?, input_cost = ?, output_cost = ?, total_cost = ?
                    WHERE rowid = ?
                    """, arguments: facts(span) + [row[0] as Int64])
        }
        let assessments = try Row.fetchCursor(db, sql: "SELECT seq, content FROM trace_assessments")
        while let row = try assessments.next() {
            let content = (try? JSONValue.parse(row[1] as String).object) ?? [:]
            let time = Timestamp(milliseconds: 0)
            let assessment = Assessment(
                id: "", traceID: "", name: "", createTime: time, lastUpdateTime: time, content: content)
            try db.execute(
                sql: """
                    UPDATE trace_assessments SET kind = ?, value = ?, number = ?, is_numeric = ?, of_session = ?
                    WHERE seq = ?
                    """, arguments: facts(assessment) + [row[0] as Int64])
        }
    }

    private static let factStatements =
        ["model TEXT", "provider TEXT", "input_cost REAL", "output_cost REAL", "total_cost REAL"].map {
            "ALTER TABLE trace_spans ADD COLUMN \($0)"
        }
        + [
            "kind TEXT NOT NULL DEFAULT ''", "value TEXT", "number REAL", "is_numeric INTEGER NOT NULL DEFAULT 0",
            "of_session INTEGER NOT NULL DEFAULT 0",
        ].map { "ALTER TABLE trace_assessments ADD COLUMN \($0)" }

    /// `model`, `provider`, `input_cost`, `output_cost` and `total_cost`.
    static func facts(_ span: Span) -> StatementArguments {
        guard span.content.contains("mlflow.llm.") else { return [nil, nil, nil, nil, nil] }
        return [span.model, span.provider, span.cost("input_cost"), span.cost("output_cost"), span.cost("total_cost")]
    }

    /// `kind`, `value`, `number`, `is_numeric` and `of_session`.
    static func facts(_ assessment: Assessment) -> StatementArguments {
        [
            assessment.kind?.rawValue ?? "", assessment.value?.text(), assessment.number, assessment.isNumeric,
            assessment.isOfSession,
        ]
    }

    public func counts(
        of filters: [[[SearchCondition]]], in experimentIDs: [ExperimentID]
    ) async throws(AerieError) -> [Int] {
        try await database.read { db in
            try filters.map { try SearchStatement.count(SQLiteSearch(db), $0, in: experimentIDs, Self.tables) }
        }
    }

    public func measure(_ query: TraceMetricQuery) async throws(AerieError) -> [TraceMetricRow] {
        try await database.read { db in
            var search = TraceMeasureSearch(query, Self.tables, .sqlite)
            return try search.rows(SQLiteSearch(db))
        }
    }
}

extension Database {
    /// Gives statements `span_attribute(content, name)`.
    func addSpanAttribute() {
        add(
            function: DatabaseFunction("span_attribute", argumentCount: 2, pure: true) { values in
                guard let content = String.fromDatabaseValue(values[0]), let name = String.fromDatabaseValue(values[1])
                else { return nil }
                return Span.attribute(name, in: content)
            })
    }
}
