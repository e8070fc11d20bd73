public import AerieCore
public import Experiments
import GRDB
import SearchSQL

/// Traces in SQLite. Its tables come with `SQLiteExperimentStore.migrations`.
public struct SQLiteTraceStore: TraceStore {
    let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    static let migration = Migration("traces.1") { db in
        for statement in tableStatements { try db.execute(sql: statement) }
    }

    private static let tableStatements = [
        """
        CREATE TABLE traces (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            experiment INTEGER NOT NULL REFERENCES experiments(id), request_time INTEGER NOT NULL, duration INTEGER,
            state TEXT NOT NULL, client_request_id TEXT, request_preview TEXT, response_preview TEXT)
        """,
        "CREATE INDEX traces_by_time ON traces (experiment, request_time DESC)",
        """
        CREATE TABLE trace_tags (
            owner INTEGER NOT NULL REFERENCES traces(seq) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        "CREATE INDEX trace_tags_by_value ON trace_tags (key, value, owner)",
        """
        CREATE TABLE trace_metadata (
            owner INTEGER NOT NULL REFERENCES traces(seq) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        "CREATE INDEX trace_metadata_by_value ON trace_metadata (key, value, owner)",
    ]

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
        try await database.write { db in try Self.write(db, trace) }
    }

    /// - Returns: the row's number.
    @discardableResult
    static func write(_ db: Database, _ trace: Trace) throws -> Int64 {
        guard let experiment = Int64(trace.experimentID.text),
            try Bool.fetchOne(db, sql: "SELECT 1 FROM experiments WHERE id = ?", arguments: [experiment]) ?? false
        else { throw AerieError.notFound("No Experiment with id=\(trace.experimentID) exists") }
        let seq = try Int64.fetchOne(
            db,
            sql: """
                INSERT INTO traces (id, experiment, request_time, duration, state, client_request_id,
                    request_preview, response_preview) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET request_time = excluded.request_time, duration = excluded.duration,
                    state = excluded.state, client_request_id = excluded.client_request_id,
                    request_preview = excluded.request_preview, response_preview = excluded.response_preview
                WHERE experiment = excluded.experiment RETURNING seq
                """,
            arguments: [
                trace.id.text, experiment, trace.requestTime.milliseconds, trace.duration, trace.state.rawValue,
                trace.clientRequestID, trace.requestPreview, trace.responsePreview,
            ])
        guard let seq else {
            throw AerieError(
                .alreadyExists, "A trace with ID '\(trace.id)' exists in another experiment", reason: "trace.exists")
        }
        try Satellite.write(db, "trace_tags", owner: seq, trace.tags)
        try Satellite.write(db, "trace_metadata", owner: seq, trace.metadata)
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
            try Satellite.write(db, "trace_tags", owner: seq, setTags)
            for tag in deleteTags where try !Satellite.delete(db, "trace_tags", owner: seq, key: tag) {
                throw AerieError.notFound("No trace tag with key '\(tag)' for trace with ID '\(id)'")
            }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Trace> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .sqlite)
            statement.require(in: "t.experiment", numbers: query.experimentIDs.compactMap { Int64($0.text) })
            let query = statement.requireTraceParts(of: query)
            let (keys, next) = try statement.page(SQLiteSearch(db), query)
            return Page(try Self.read(db, keys), next: next)
        }
    }

    public func delete(_ selection: TraceSelection) async throws(AerieError) -> [TraceID] {
        try await database.write { db in
            guard let experiment = Int64(selection.experimentID.text) else { return [] }
            var found: [Int64] = []
            if let until = selection.until {
                found = try Int64.fetchAll(
                    db,
                    sql: """
                        SELECT seq FROM traces WHERE experiment = ? AND request_time <= ?
                        ORDER BY request_time, seq LIMIT ?
                        """, arguments: [experiment, until.milliseconds, selection.limit])
            } else {
                found = try selection.ids.prefix(selection.limit).compactMap { try Self.find(db, $0) }
            }
            let statement = try db.cachedStatement(
                sql: "DELETE FROM traces WHERE seq = ? AND experiment = ? RETURNING id")
            return try found.compactMap { seq in
                try String.fetchAll(statement, arguments: [seq, experiment]).first.map { TraceID($0) }
            }
        }
    }

    static func find(_ db: Database, _ id: TraceID) throws -> Int64? {
        let statement = try db.cachedStatement(sql: "SELECT seq FROM traces WHERE id = ?")
        return try Int64.fetchOne(statement, arguments: [id.text])
    }

    static func read(_ db: Database, _ keys: [Int64]) throws -> [Trace] {
        let tags = try Satellite.read(db, "trace_tags", owners: keys)
        let metadata = try Satellite.read(db, "trace_metadata", owners: keys)
        let assessments = try assessments(db, keys)
        let statement = try db.cachedStatement(
            sql: """
                SELECT id, experiment, request_time, duration, state, client_request_id, request_preview,
                    response_preview FROM traces WHERE seq = ?
                """)
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            return Trace(
                id: TraceID(row[0]), experimentID: ExperimentID("\(row[1] as Int64)"),
                requestTime: Timestamp(milliseconds: row[2]), duration: row[3],
                state: TraceState(rawValue: row[4]) ?? .unspecified, clientRequestID: row[5], requestPreview: row[6],
                responsePreview: row[7], metadata: metadata[key] ?? [], tags: tags[key] ?? [],
                assessments: assessments[key] ?? [])
        }
    }
}
