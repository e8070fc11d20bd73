public import AerieCore
public import Experiments
import SearchSQL

/// Traces in PostgreSQL.
public struct PostgresTraceStore: TraceStore {
    let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    static let tables = SearchTables(
        table: "traces", key: "seq", sequence: "seq",
        attributes: [
            "trace_id": "t.id", "timestamp": "t.request_time", "execution_time": "t.duration", "status": "t.state",
            "end_time": "(t.request_time + t.duration)", "client_request_id": "t.client_request_id",
            "experiment_id": "t.experiment",
            "name": "(SELECT n.value FROM trace_tags n WHERE n.owner = t.seq AND n.key = 'mlflow.traceName')",
            "run_id": "(SELECT r.value FROM trace_metadata r WHERE r.owner = t.seq AND r.key = 'mlflow.sourceRun')",
        ],
        nullable: [
            "execution_time": .number, "end_time": .number, "client_request_id": .text, "name": .text, "run_id": .text,
        ],
        satellites: [.tag: "trace_tags", .metadata: "trace_metadata"],
        order: [.descending("t.request_time"), .descending("t.seq")])

    public func put(_ trace: Trace) async throws(AerieError) {
        try await database.write { db in
            try Self.lock(db, [trace.id])
            try Self.write(db, trace)
        }
    }

    /// Holds back other writers of these traces, whether they exist or not, until the transaction ends.
    static func lock(_ db: PostgresConnection, _ ids: [TraceID]) throws {
        for id in Set(ids.map(\.text)).sorted() {
            _ = try db.query("SELECT pg_advisory_xact_lock(hashtextextended(?, 7310))", [.init(id)])
        }
    }

    /// - Returns: the row's number.
    @discardableResult
    static func write(_ db: PostgresConnection, _ trace: Trace) throws -> Int64 {
        guard let experiment = Int64(trace.experimentID.text),
            try !db.query("SELECT 1 FROM experiments WHERE id = ?", [.init(experiment)]).isEmpty
        else { throw AerieError.notFound("No Experiment with id=\(trace.experimentID) exists") }
        let rows = try db.query(
            """
            INSERT INTO traces AS old (id, experiment, request_time, duration, state, client_request_id,
                request_preview, response_preview) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET request_time = excluded.request_time, duration = excluded.duration,
                state = excluded.state, client_request_id = excluded.client_request_id,
                request_preview = excluded.request_preview, response_preview = excluded.response_preview
            WHERE old.experiment = excluded.experiment RETURNING seq
            """,
            [
                .init(trace.id.text), .init(experiment), .init(trace.requestTime.milliseconds),
                .init(trace.duration), .init(trace.state.rawValue), .init(trace.clientRequestID),
                .init(trace.requestPreview), .init(trace.responsePreview),
            ])
        guard let seq = try rows.first?.int(0) else {
            throw AerieError(
                .alreadyExists, "A trace with ID '\(trace.id)' exists in another experiment", reason: "trace.exists")
        }
        try PostgresSatellite.write(db, "trace_tags", owner: seq, trace.tags)
        try PostgresSatellite.write(db, "trace_metadata", owner: seq, trace.metadata)
        for assessment in trace.assessments { try write(db, assessment, owner: seq) }
        return seq
    }

    public func get(_ ids: [TraceID]) async throws(AerieError) -> [Trace] {
        try await database.read { db in try Self.read(db, try ids.compactMap { try Self.find(db, $0) }) }
    }

    public func update(_ id: TraceID, setTags: [Tag], deleteTags: [String]) async throws(AerieError) {
        try await database.write { db in
            guard let seq = try Self.find(db, id) else {
                throw AerieError.missing(id)
            }
            try PostgresSatellite.write(db, "trace_tags", owner: seq, setTags)
            for tag in deleteTags where try !PostgresSatellite.delete(db, "trace_tags", owner: seq, key: tag) {
                throw AerieError.notFound("No trace tag with key '\(tag)' for trace with ID '\(id)'")
            }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Trace> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .postgres)
            statement.require(in: "t.experiment", numbers: query.experimentIDs.compactMap { Int64($0.text) })
            let query = statement.requireTraceParts(of: query)
            let (keys, next) = try statement.page(PostgresSearch(db), query)
            return Page(try Self.read(db, keys), next: next)
        }
    }

    public func delete(_ selection: TraceSelection) async throws(AerieError) -> [TraceID] {
        try await database.write { db in
            guard let experiment = Int64(selection.experimentID.text) else { return [] }
            let rows: [PostgresRow]
            if let until = selection.until {
                rows = try db.query(
                    """
                    DELETE FROM traces WHERE seq IN (SELECT seq FROM traces WHERE experiment = ? AND request_time <= ?
                        ORDER BY request_time, seq LIMIT ?) RETURNING id
                    """, [.init(experiment), .init(until.milliseconds), .init(selection.limit)])
            } else {
                rows = try db.query(
                    "DELETE FROM traces WHERE experiment = ? AND id = ANY(?::text[]) RETURNING id",
                    [.init(experiment), .array(selection.ids.prefix(selection.limit).map(\.text))])
            }
            return try rows.map { TraceID(try $0.text(0)) }
        }
    }

    static func find(_ db: PostgresConnection, _ id: TraceID) throws -> Int64? {
        try db.query("SELECT seq FROM traces WHERE id = ?", [.init(id.text)]).first?.int(0)
    }

    static func read(_ db: PostgresConnection, _ keys: [Int64]) throws -> [Trace] {
        guard !keys.isEmpty else { return [] }
        let tags = try PostgresSatellite.read(db, "trace_tags", owners: keys)
        let metadata = try PostgresSatellite.read(db, "trace_metadata", owners: keys)
        let assessments = try assessments(db, keys)
        var found: [Int64: Trace] = [:]
        let rows = try db.query(
            """
            SELECT seq, id, experiment, request_time, duration, state, client_request_id, request_preview,
                response_preview FROM traces WHERE seq = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            let key = try row.int(0)
            found[key] = Trace(
                id: TraceID(try row.text(1)), experimentID: ExperimentID(try row.text(2)),
                requestTime: try row.time(3), duration: row.optionalInt(4),
                state: TraceState(rawValue: try row.text(5)) ?? .unspecified, clientRequestID: row.optionalText(6),
                requestPreview: row.optionalText(7), responsePreview: row.optionalText(8),
                metadata: metadata[key] ?? [], tags: tags[key] ?? [], assessments: assessments[key] ?? [])
        }
        return keys.compactMap { found[$0] }
    }
}
