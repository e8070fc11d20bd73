import AerieCore
import AerieJSON
import Datasets
import Streaming

/// What a window view's batch source has of the time before its stream, as the tiles of each entity: see `StreamSeam`.
///
/// Each is made whole, from the far end of the longest window on, so that a later one replaces it, and any of them says
/// what the stream would have said, had it been there.
struct WindowBackfill: OnlineRowSource {
    /// Events of a part.
    private static let chunk: Int64 = 200_000
    private static let table = "__aerie_events"

    let target: OnlineView
    /// When the reading of the source began, in microseconds since 1970.
    let reading: Int64
    /// The events before this one are the source's.
    let beginning: Int64
    private let view: FeatureCatalog.View
    private let windows: WindowDefinition
    private let processor: StreamProcessor
    private let engine: any SQLEngine
    private let hash: String
    private let arrival: String
    private var keys: [String] { view.joinKeys.indices.map { "k\($0)" } }

    /// - Parameters:
    ///   - range: of event times, and the last moment of an arrival.
    ///   - left: the parts, of how many, that are wanted; `nil` for all.
    init(
        _ view: FeatureCatalog.View, in range: ClosedRange<Int64>, store: FeatureStore, engine: any SQLEngine,
        left: (parts: [Int64], of: Int64)?
    ) async throws(AerieError) {
        guard let windows = view.definition.windows, let online = view.online.windows else {
            throw AerieError(.internal, "feature view '\(view.definition.name)' has no windows")
        }
        processor = try store.streams().processor(view)
        // Before anything is read: what comes from now on is told apart from what the source may have.
        let (seam, reading) = try await processor.beginReading()
        (self.view, self.windows, self.engine, self.reading) = (view, windows, engine, reading)
        beginning = seam.beginning ?? reading
        target = online.historyRow
        let source = try await view.definition.source(engine, store.access)
        let events = WindowEvents(view.definition, windows, source)
        arrival = events.arrival
        let keys = view.joinKeys.indices.map { "k\($0)" }
        hash = MaterializationSource.hash(of: keys)
        var relation = source.relation
        if source.position == nil {
            relation = "(SELECT *, row_number() OVER () AS \"__aerie_at\" FROM \(relation))"
        }
        let names = view.joinKeys.map {
            MaterializationSource.key(sqlIdentifier(view.definition.column(of: $0.name)), $0)
        }
        // What has come may be ahead of its time.
        let last = range.upperBound + WindowPlan.futureLimit
        var seen = names.map { "\($0) IS NOT NULL" }
        if let near = source.isBetween(range.lowerBound, last) { seen.append(near) }
        if let left, !names.isEmpty { seen.append(MaterializationSource.isIn(left, names)) }
        let columns = zip(names, keys).map { "\($0) AS \($1)" } + ["\(source.microseconds) AS t"] + events.columns
        let rows =
            "SELECT \(columns.joined(separator: ", ")) FROM \(relation)"
            + (seen.isEmpty ? "" : " WHERE \(seen.joined(separator: " AND "))")
        let wanted = [
            "t BETWEEN \(range.lowerBound) AND \(last)", "\(arrival) <= \(min(range.upperBound, reading - 1))",
            "(t < \(beginning) OR \(arrival) < \(beginning))",
        ]
        try await engine.execute("SET enable_progress_bar = false")
        try await engine.execute(
            "CREATE TEMP TABLE \(Self.table) AS \(events.counted(of: rows, entity: keys, where: wanted))")
    }

    func count() async throws(AerieError) -> Int64 {
        let entities = keys.isEmpty ? "1" : keys.joined(separator: ", ")
        return try await engine.count("(SELECT DISTINCT \(entities) FROM \(Self.table))")
    }

    func parts() async throws(AerieError) -> Int64 {
        max(1, (try await engine.count(Self.table) + Self.chunk - 1) / Self.chunk)
    }

    func rows(part: Int64, of parts: Int64) async throws(AerieError) -> [OnlineRow] {
        let wanted = parts > 1 ? " WHERE \(hash) % \(parts) = \(part)" : ""
        let order = (keys + [arrival, "n"]).joined(separator: ", ")
        let table = try await engine.query("SELECT *, \(arrival) AS came FROM \(Self.table)\(wanted) ORDER BY \(order)")
        let keyColumns = Array(table.columns.prefix(view.joinKeys.count))
        let (times, arrivals) = (table["t"], table["came"])
        let values = windows.plan.columns.indices.map { table["c\($0)"] }
        var rows: [OnlineRow] = []
        var known: [StreamEvent] = []
        var (entity, key): ([SQLValue], [UInt8]) = ([], [])
        var history = WindowHistory(reading: reading, windows.plan)
        func end() {
            guard !key.isEmpty else { return }
            rows.append(OnlineRow(key: key, time: reading, values: [.bytes(history.bytes(windows.plan))]))
        }
        for row in 0..<table.rowCount {
            let here = keyColumns.map { $0[row] }
            if key.isEmpty || here != entity {
                end()
                history = WindowHistory(reading: reading, windows.plan)
                (entity, key) = (here, try self.key(here))
            }
            guard case .int(let time)? = times?[row], case .int(let came)? = arrivals?[row] else {
                throw AerieError(.internal, "the SQL engine gives no time")
            }
            let event = StreamEvent(
                key: key, time: time, arrival: came, id: identity(table, row),
                values: values.map { StreamValue($0?[row] ?? .null) })
            history.take(event, windows.plan)
            // Of an older one a copy is too late.
            if event.id != nil, reading - time <= windows.plan.allowedLateness + WindowPlan.futureLimit {
                known.append(event)
            }
        }
        end()
        if !known.isEmpty { try await processor.know(known) }
        return rows
    }

    private func key(_ values: [SQLValue]) throws(AerieError) -> [UInt8] {
        var key: [FeatureValue] = values.isEmpty ? [.string("")] : []
        for (value, joinKey) in zip(values, view.joinKeys) {
            key.append(try MaterializationSource.key(value, joinKey))
        }
        return try view.entityKey.bytes(key)
    }

    /// As `StreamEventReader` makes it of JSON.
    private func identity(_ table: SQLTable, _ row: Int) -> UInt64? {
        guard let value = table["e"]?[row] else { return nil }
        let json = JSONValue(value)
        return StableHash.of((json.string ?? json.text()).utf8)
    }
}

extension StreamValue {
    init(_ value: SQLValue) {
        self =
            switch value {
            case .null: .null
            case .bool(let flag): .flag(flag)
            case .int(let number): .number(Double(number))
            case .double(let number): number.isFinite ? .number(number) : .null
            case .text(let text): .text(text)
            case .timestamp(let micros): .text(FeatureTime.text(micros))
            }
    }
}
