public import AerieCore
import AerieJSON
public import Pipelines

/// Pipeline runs in PostgreSQL: a row a run and a row a step, each with its JSON form, and columns for what is searched
/// by. Of servers that share the database each carries the runs that it created.
public struct PostgresPipelineRunStore: PipelineRunStore {
    private let database: PostgresDatabase
    private let home: String

    /// - Parameter home: names the server whose folder holds the files of the runs that are created here; the same
    ///   after each start, and no other server's.
    public init(_ database: PostgresDatabase, home: String) {
        self.database = database
        self.home = home
    }

    public func create(_ run: PipelineRun) async throws(AerieError) {
        let home = home
        try await database.write { db in
            let made = try db.query(
                """
                INSERT INTO pipeline_run (id, home, namespace, pipeline, state, created, body)
                VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING sequence
                """,
                [
                    .init(run.id), .init(home), .init(run.namespace), .init(run.pipeline), .init(run.state.rawValue),
                    .init(run.created.milliseconds), .init(PostgresPipelineRows.header(run)),
                ])
            guard let sequence = try made.first?.int(0) else {
                throw AerieError(.alreadyExists, "there is a pipeline run '\(run.id)' already")
            }
            try PostgresPipelineRows.write(db, run.steps.enumerated().map { $0 }, of: sequence)
        }
    }

    public func run(_ id: String) async throws(AerieError) -> PipelineRun {
        try await database.read { db in
            let rows = try db.query("SELECT sequence, body FROM pipeline_run WHERE id = ?", [.init(id)])
            guard let run = try PostgresPipelineRows.runs(db, rows).first else {
                throw PostgresPipelineRows.missing(id)
            }
            return run
        }
    }

    public func owns(_ id: String) async throws(AerieError) -> Bool {
        let home = home
        return try await database.read { db in
            try !db.query("SELECT 1 FROM pipeline_run WHERE id = ? AND home = ?", [.init(id), .init(home)]).isEmpty
        }
    }

    public func runs(_ filter: PipelineRunFilter) async throws(AerieError) -> [PipelineRun] {
        let home = home
        return try await database.read { db in
            var conditions: [String] = []
            var arguments: [PostgresValue] = []
            func require(_ condition: String, _ argument: PostgresValue) {
                conditions.append(condition)
                arguments.append(argument)
            }
            if let namespace = filter.namespace { require("namespace = ?", .init(namespace)) }
            if let pipeline = filter.pipeline { require("pipeline = ?", .init(pipeline)) }
            if filter.isOwn { require("home = ?", .init(home)) }
            if !filter.states.isEmpty {
                require("state = ANY(?::text[])", .array(filter.states.map(\.rawValue).sorted()))
            }
            if let before = filter.before {
                guard let sequence = try PostgresPipelineRows.sequence(db, of: before) else {
                    throw AerieError.notFound("there is no pipeline run '\(before)' to go on from")
                }
                require("sequence < ?", .init(sequence))
            }
            let place = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
            arguments.append(.init(min(max(filter.limit, 1), 1000)))
            let rows = try db.query(
                "SELECT sequence, body FROM pipeline_run\(place) ORDER BY sequence DESC LIMIT ?", arguments)
            return try PostgresPipelineRows.runs(db, rows)
        }
    }

    public func save(_ run: PipelineRun, steps: Set<String>) async throws(AerieError) {
        try await database.write { db in
            let changed = try db.query(
                "UPDATE pipeline_run SET state = ?, body = ? WHERE id = ? RETURNING sequence",
                [.init(run.state.rawValue), .init(PostgresPipelineRows.header(run)), .init(run.id)])
            guard let sequence = try changed.first?.int(0) else { throw PostgresPipelineRows.missing(run.id) }
            let named = run.steps.enumerated().filter { steps.contains($0.element.name) }
            try PostgresPipelineRows.write(db, named, of: sequence)
        }
    }

    // MARK: Cached results

    public func cached(_ key: String) async throws(AerieError) -> CachedStep? {
        let home = home
        return try await database.read { db in
            try db.query("SELECT body FROM pipeline_cache WHERE home = ? AND key = ?", [.init(home), .init(key)])
                .first.map { try CachedStep(json: PostgresPipelineRows.object($0.text(0))) }
        }
    }

    public func remember(_ key: String, _ step: CachedStep, time: Timestamp) async throws(AerieError) {
        let home = home
        _ = try await database.write { db in
            try db.execute(
                """
                INSERT INTO pipeline_cache (home, key, created, run, body) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (home, key) DO UPDATE SET
                    created = excluded.created, run = excluded.run, body = excluded.body
                """,
                [
                    .init(home), .init(key), .init(time.milliseconds), .init(step.runID),
                    .init(JSONValue.object(step.json()).text()),
                ])
        }
    }

    public func retire(keeping: Int, limit: Int) async throws(AerieError) -> [String] {
        let home = home
        // Usually there is nothing, and then no commit either.
        let some = try await database.read { db in
            try PostgresPipelineRows.expired(db, home: home, keeping: keeping, limit: 1)
        }
        if some.isEmpty { return [] }
        return try await database.write { db in
            let ids = try PostgresPipelineRows.expired(db, home: home, keeping: keeping, limit: limit)
            try db.execute("DELETE FROM pipeline_cache WHERE run = ANY(?::text[])", [.array(ids)])
            return ids
        }
    }

    public func retired(_ ids: [String]) async throws(AerieError) {
        _ = try await database.write { db in
            try db.execute("UPDATE pipeline_run SET retired = true WHERE id = ANY(?::text[])", [.array(ids)])
        }
    }

    // MARK: Decisions

    public func decision(run: String, step: String) async throws(AerieError) -> StepDecision? {
        try await database.read { db in
            try db.query("SELECT body FROM pipeline_decision WHERE run = ? AND step = ?", [.init(run), .init(step)])
                .first.flatMap { StepDecision(json: try PostgresPipelineRows.object($0.text(0))) }
        }
    }

    public func decide(run: String, step: String, _ decision: StepDecision?) async throws(AerieError) {
        try await database.write { db in
            guard let decision else {
                try db.execute("DELETE FROM pipeline_decision WHERE run = ? AND step = ?", [.init(run), .init(step)])
                return
            }
            try db.execute(
                """
                INSERT INTO pipeline_decision (run, step, body) VALUES (?, ?, ?)
                ON CONFLICT (run, step) DO UPDATE SET body = excluded.body
                """,
                [.init(run), .init(step), .init(JSONValue.object(decision.json()).text())])
        }
    }
}
