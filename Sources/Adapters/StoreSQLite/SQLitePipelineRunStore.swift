public import AerieCore
import AerieJSON
import GRDB
public import Pipelines

/// Pipeline runs in the metadata database: a row a run and a row a step, each with its JSON form, and columns for what
/// is searched by.
public final class SQLitePipelineRunStore: PipelineRunStore {
    private let database: MetadataDatabase

    /// - Parameter database: has been opened with `migrations` among its own.
    public init(_ database: MetadataDatabase) { self.database = database }

    public static let migrations: [Migration] = [
        Migration("pipelines.1") { db in
            try db.execute(sql: """
                CREATE TABLE pipeline_run (
                  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL,
                  pipeline TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL);
                CREATE INDEX pipeline_run_by_pipeline ON pipeline_run (pipeline, sequence);
                CREATE INDEX pipeline_run_by_state ON pipeline_run (state, sequence);
                CREATE TABLE pipeline_step (
                  run INTEGER NOT NULL REFERENCES pipeline_run (sequence) ON DELETE CASCADE, position INTEGER NOT NULL,
                  name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, position)) WITHOUT ROWID;
                CREATE TABLE pipeline_cache (
                  key TEXT PRIMARY KEY, created INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
                CREATE TABLE pipeline_decision (
                  run TEXT NOT NULL, step TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, step)) WITHOUT ROWID;
                """)
        },
        // Which runs still have files, and who took results from whom.
        Migration("pipelines.2") { db in
            try db.execute(sql: """
                ALTER TABLE pipeline_run ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE pipeline_step ADD COLUMN source TEXT;
                ALTER TABLE pipeline_cache ADD COLUMN run TEXT;
                UPDATE pipeline_step SET source = json_extract(body, '$.cachedFrom');
                UPDATE pipeline_cache SET run = json_extract(body, '$.run');
                CREATE INDEX pipeline_run_with_files ON pipeline_run (namespace, pipeline, sequence, state, id)
                  WHERE retired = 0;
                CREATE INDEX pipeline_step_by_source ON pipeline_step (source) WHERE source IS NOT NULL;
                CREATE INDEX pipeline_cache_by_run ON pipeline_cache (run);
                """)
        },
    ]

    public func create(_ run: PipelineRun) async throws(AerieError) {
        try await database.write { db in
            if try Self.sequence(of: run.id, db) != nil {
                throw AerieError(.alreadyExists, "there is a pipeline run '\(run.id)' already")
            }
            try db.execute(
                sql: "INSERT INTO pipeline_run (id, namespace, pipeline, state, created, body) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    run.id, run.namespace, run.pipeline, run.state.rawValue, run.created.milliseconds, Self.header(run),
                ])
            let sequence = db.lastInsertedRowID
            for position in run.steps.indices { try Self.write(run.steps[position], position, of: sequence, db) }
        }
    }

    public func run(_ id: String) async throws(AerieError) -> PipelineRun {
        try await database.read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT sequence, body FROM pipeline_run WHERE id = ?", arguments: [id])
            else { throw AerieError.notFound("there is no pipeline run '\(id)'") }
            return try Self.run(row, db)
        }
    }

    public func owns(_ id: String) async throws(AerieError) -> Bool {
        try await database.read { db in try Self.sequence(of: id, db) != nil }
    }

    public func runs(_ filter: PipelineRunFilter) async throws(AerieError) -> [PipelineRun] {
        try await database.read { db in
            var conditions: [String] = []
            var arguments: StatementArguments = []
            if let namespace = filter.namespace {
                conditions.append("namespace = ?")
                arguments += [namespace]
            }
            if let pipeline = filter.pipeline {
                conditions.append("pipeline = ?")
                arguments += [pipeline]
            }
            if !filter.states.isEmpty {
                conditions.append("state IN (\(filter.states.map { _ in "?" }.joined(separator: ", ")))")
                arguments += StatementArguments(filter.states.map(\.rawValue).sorted())
            }
            if let before = filter.before {
                guard let sequence = try Self.sequence(of: before, db) else {
                    throw AerieError.notFound("there is no pipeline run '\(before)' to go on from")
                }
                conditions.append("sequence < ?")
                arguments += [sequence]
            }
            let place = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
            arguments += [min(max(filter.limit, 1), 1000)]
            return try Row.fetchAll(
                db, sql: "SELECT sequence, body FROM pipeline_run\(place) ORDER BY sequence DESC LIMIT ?",
                arguments: arguments
            ).map { try Self.run($0, db) }
        }
    }

    public func save(_ run: PipelineRun, steps: Set<String>) async throws(AerieError) {
        try await database.write { db in
            guard let sequence = try Self.sequence(of: run.id, db) else {
                throw AerieError.notFound("there is no pipeline run '\(run.id)'")
            }
            try db.execute(
                sql: "UPDATE pipeline_run SET state = ?, body = ? WHERE sequence = ?",
                arguments: [run.state.rawValue, Self.header(run), sequence])
            for (position, step) in run.steps.enumerated() where steps.contains(step.name) {
                try Self.write(step, position, of: sequence, db)
            }
        }
    }

    public func cached(_ key: String) async throws(AerieError) -> CachedStep? {
        try await database.read { db in
            guard let body = try String.fetchOne(db, sql: "SELECT body FROM pipeline_cache WHERE key = ?", arguments: [key])
            else { return nil }
            return try CachedStep(json: Self.object(body))
        }
    }

    public func remember(_ key: String, _ step: CachedStep, time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            try db.execute(
                sql: "INSERT OR REPLACE INTO pipeline_cache (key, created, run, body) VALUES (?, ?, ?, ?)",
                arguments: [key, time.milliseconds, step.runID, JSONValue.object(step.json()).text()])
        }
    }

    public func retire(keeping: Int, limit: Int) async throws(AerieError) -> [String] {
        // Usually there is nothing, and then no commit either.
        let some = try await database.read { db in try Self.expired(keeping: keeping, limit: 1, db) }
        if some.isEmpty { return [] }
        return try await database.write { db in
            let ids = try Self.expired(keeping: keeping, limit: limit, db)
            for id in ids { try db.execute(sql: "DELETE FROM pipeline_cache WHERE run = ?", arguments: [id]) }
            return ids
        }
    }

    public func retired(_ ids: [String]) async throws(AerieError) {
        try await database.write { db in
            for id in ids { try db.execute(sql: "UPDATE pipeline_run SET retired = 1 WHERE id = ?", arguments: [id]) }
        }
    }

    private static func expired(keeping: Int, limit: Int, _ db: Database) throws -> [String] {
        let final = PipelineRun.State.allCases.filter(\.isFinal).map { "'\($0.rawValue)'" }.joined(separator: ", ")
        return try String.fetchAll(
            db,
            sql: """
                SELECT id FROM (
                  SELECT sequence, id, state,
                    row_number() OVER (PARTITION BY namespace, pipeline ORDER BY sequence DESC) AS place
                  FROM pipeline_run WHERE retired = 0) AS r
                WHERE place > ? AND state IN (\(final)) AND NOT EXISTS (
                  SELECT 1 FROM pipeline_step AS s JOIN pipeline_run AS k ON k.sequence = s.run
                  WHERE s.source = r.id AND k.retired = 0)
                ORDER BY sequence LIMIT ?
                """,
            arguments: [max(keeping, 1), limit])
    }

    public func decision(run: String, step: String) async throws(AerieError) -> StepDecision? {
        try await database.read { db in
            guard let body = try String.fetchOne(
                db, sql: "SELECT body FROM pipeline_decision WHERE run = ? AND step = ?", arguments: [run, step])
            else { return nil }
            return StepDecision(json: try Self.object(body))
        }
    }

    public func decide(run: String, step: String, _ decision: StepDecision?) async throws(AerieError) {
        try await database.write { db in
            guard let decision else {
                return try db.execute(
                    sql: "DELETE FROM pipeline_decision WHERE run = ? AND step = ?", arguments: [run, step])
            }
            try db.execute(
                sql: "INSERT OR REPLACE INTO pipeline_decision (run, step, body) VALUES (?, ?, ?)",
                arguments: [run, step, JSONValue.object(decision.json()).text()])
        }
    }

    private static func sequence(of id: String, _ db: Database) throws -> Int64? {
        try Int64.fetchOne(db, sql: "SELECT sequence FROM pipeline_run WHERE id = ?", arguments: [id])
    }

    private static func header(_ run: PipelineRun) -> String {
        JSONValue.object(run.json(includesSteps: false)).text()
    }

    private static func write(_ step: StepRun, _ position: Int, of sequence: Int64, _ db: Database) throws {
        try db.execute(
            sql: "INSERT OR REPLACE INTO pipeline_step (run, position, name, source, body) VALUES (?, ?, ?, ?, ?)",
            arguments: [sequence, position, step.name, step.cachedFrom, JSONValue.object(step.json()).text()])
    }

    private static func run(_ row: Row, _ db: Database) throws -> PipelineRun {
        var run = try PipelineRun(json: object(row["body"]))
        let sequence: Int64 = row["sequence"]
        run.steps = try String.fetchAll(
            db, sql: "SELECT body FROM pipeline_step WHERE run = ? ORDER BY position", arguments: [sequence]
        ).map { try StepRun(json: object($0)) }
        return run
    }

    private static func object(_ text: String) throws -> JSONObject {
        guard let object = try? JSONValue.parse(text).object else {
            throw AerieError(.dataLoss, "a stored pipeline record is not JSON")
        }
        return object
    }
}
