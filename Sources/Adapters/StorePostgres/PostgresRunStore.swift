public import AerieCore
public import Experiments
import SearchSQL

/// Runs in PostgreSQL.
///
/// Whoever logs holds the run's row, shared, so that it is not deleted meanwhile; a call's metrics are two statements,
/// whatever their number. Reading a page of runs costs eight statements whatever its size.
public struct PostgresRunStore: RunStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    static let tables = SearchTables(
        table: "runs", key: "seq", sequence: "seq",
        attributes: [
            "run_id": "t.id", "run_name": "t.name", "user_id": "t.user_id", "status": "t.status",
            "start_time": "t.start_time", "end_time": "t.end_time", "artifact_uri": "t.artifact_uri",
            "experiment_id": "CAST(t.experiment AS TEXT)",
        ],
        nullable: ["end_time": .number],
        satellites: [.metric: "latest_metrics", .param: "run_params", .tag: "run_tags"],
        order: [.descending("t.start_time"), .ascending("t.id")])

    public func create(_ runs: [Run]) async throws(AerieError) {
        try await database.write { db in
            for run in runs { try Self.create(db, run) }
        }
    }

    private static func create(_ db: PostgresConnection, _ run: Run) throws {
        let info = run.info
        let number = Int64(info.experimentID.text)
        let found = try number.flatMap {
            try db.query("SELECT stage FROM experiments WHERE id = ? FOR SHARE", [.init($0)]).first
        }
        guard let experiment = number, let stage = try found?.text(0) else {
            throw AerieError.notFound("No Experiment with id=\(info.experimentID) exists")
        }
        guard stage == "active" else {
            throw AerieError(
                .failedPrecondition,
                "The experiment \(info.experimentID) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        let rows = try db.query(
            """
            INSERT INTO runs (id, experiment, name, user_id, status, start_time, end_time, artifact_uri, stage)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING seq
            """,
            [
                .init(info.id.text), .init(experiment), .init(info.name), .init(info.userID),
                .init(info.status.rawValue), .init(info.startTime.milliseconds), .init(info.endTime?.milliseconds),
                .init(info.artifactURI), .init(info.stage.rawValue),
            ])
        guard let seq = try rows.first?.int(0) else {
            throw AerieError(.alreadyExists, "Run with id=\(info.id) exists already", reason: "run.exists")
        }
        try PostgresSatellite.write(db, "run_tags", owner: seq, run.tags)
        try PostgresRunRows.write(db, seq, run.params)
        try PostgresRunRows.write(db, seq, run.metrics)
        let links = RunLinks(datasets: run.datasets, modelInputs: run.modelInputs, modelOutputs: run.modelOutputs)
        try PostgresRunRows.link(db, .init(seq: seq, experiment: experiment, isActive: true), links)
    }

    public func get(_ ids: [RunID]) async throws(AerieError) -> [Run] {
        try await database.read { db in
            try PostgresRunRows.read(db, try ids.compactMap { try PostgresRunRows.find(db, $0)?.seq })
        }
    }

    public func update(_ id: RunID, _ change: RunChange, at time: Timestamp) async throws(AerieError) -> RunInfo {
        try await database.write { db in
            let sql = "SELECT seq, stage FROM runs WHERE id = ? FOR UPDATE"
            guard let row = try db.query(sql, [.init(id.text)]).first else { throw PostgresRunRows.missing(id) }
            let seq = try row.int(0)
            if let stage = change.stage {
                try db.execute(
                    "UPDATE runs SET stage = ?, deleted_with = 0, deleted_time = ? WHERE seq = ?",
                    [.init(stage.rawValue), .init(stage == .deleted ? time.milliseconds : nil), .init(seq)])
            } else {
                _ = try PostgresRunRows.active(db, id)
            }
            try db.execute(
                """
                UPDATE runs SET status = COALESCE(?, status), end_time = COALESCE(?, end_time), name = COALESCE(?, name)
                WHERE seq = ?
                """,
                [
                    .init(change.status?.rawValue), .init(change.endTime?.milliseconds), .init(change.name), .init(seq),
                ])
            if let name = change.name {
                try PostgresSatellite.write(db, "run_tags", owner: seq, [Tag(key: "mlflow.runName", value: name)])
            }
            guard let info = try PostgresRunRows.infos(db, [seq])[seq] else { throw PostgresRunRows.missing(id) }
            return info
        }
    }

    public func log(_ batches: [RunBatch]) async throws(AerieError) {
        try await database.write { db in
            for batch in batches {
                let run = try PostgresRunRows.active(db, batch.runID)
                try PostgresRunRows.write(db, run.seq, batch.params)
                try PostgresRunRows.write(db, run.seq, batch.metrics)
                for metric in batch.metrics {
                    if let model = metric.modelID {
                        try PostgresLoggedModelRows.write(db, model, run: batch.runID, metric)
                    }
                }
                try PostgresSatellite.write(db, "run_tags", owner: run.seq, batch.tags)
                if let name = batch.tags.last(where: { $0.key == "mlflow.runName" }) {
                    try db.execute("UPDATE runs SET name = ? WHERE seq = ?", [.init(name.value), .init(run.seq)])
                }
            }
        }
    }

    public func deleteTag(_ key: String, of id: RunID) async throws(AerieError) {
        try await database.write { db in
            let run = try PostgresRunRows.active(db, id)
            guard try PostgresSatellite.delete(db, "run_tags", owner: run.seq, key: key) else {
                throw AerieError.notFound("No tag with name: \(key) in run with id \(id)")
            }
        }
    }

    public func rewriteTag(
        _ key: String, of id: RunID, _ change: @escaping @Sendable (String?) throws(AerieError) -> String
    ) async throws(AerieError) {
        try await database.write { db in
            // The whole row is held, so that two who rewrite come one after the other.
            _ = try db.query("SELECT 1 FROM runs WHERE id = ? FOR UPDATE", [.init(id.text)])
            let run = try PostgresRunRows.active(db, id)
            let old = try db.query(
                "SELECT value FROM run_tags WHERE owner = ? AND key = ?", [.init(run.seq), .init(key)]
            ).first?.text(0)
            try PostgresSatellite.write(db, "run_tags", owner: run.seq, [Tag(key: key, value: try change(old))])
        }
    }

    public func link(_ links: RunLinks, to id: RunID) async throws(AerieError) {
        try await database.write { db in
            try PostgresRunRows.link(db, try PostgresRunRows.active(db, id), links)
        }
    }

    public func history(_ query: MetricHistoryQuery) async throws(AerieError) -> [(RunID, Metric)] {
        try await database.read { db in
            var result: [(RunID, Metric)] = []
            for id in query.runIDs where result.count < query.limit {
                guard let run = try PostgresRunRows.find(db, id) else { throw PostgresRunRows.missing(id) }
                let rows = try Self.points(db, run.seq, query, limit: query.limit - result.count)
                result += try rows.map { (id, try PostgresRunRows.metric($0)) }
            }
            return result
        }
    }

    private static func points(
        _ db: PostgresConnection, _ seq: Int64, _ query: MetricHistoryQuery, limit: Int
    ) throws -> [PostgresRow] {
        let steps = query.steps ?? Int64.min...Int64.max
        var condition = "owner = ? AND key = ? AND step BETWEEN ? AND ?"
        var arguments: [PostgresValue] = [
            .init(seq), .init(query.key), .init(steps.lowerBound), .init(steps.upperBound),
        ]
        if let after = query.after {
            condition += " AND (step, timestamp, value, is_nan) > (?, ?, ?, ?)"
            arguments += [
                .init(after.step), .init(after.timestamp.milliseconds), .init(PostgresRunRows.stored(after.value)),
                after.value.isNaN ? 1 : 0,
            ]
        }
        let columns = "key, value, is_nan, timestamp, step, model_id, dataset_name, dataset_digest"
        let order = "step, timestamp, value, is_nan"
        guard let most = query.perRun else {
            return try db.query(
                "SELECT \(columns) FROM metrics WHERE \(condition) ORDER BY \(order) LIMIT ?",
                arguments + [.init(limit)])
        }
        // The first of each of so many equal shares, and the last of all, which the last share gives.
        return try db.query(
            """
            SELECT \(columns) FROM (
                SELECT \(columns), share, row_number() OVER points AS place, COUNT(*) OVER () AS last,
                    lag(share) OVER points AS before
                FROM (SELECT \(columns), ntile(?::int) OVER (ORDER BY \(order)) AS share FROM metrics
                    WHERE \(condition)) AS shared WINDOW points AS (ORDER BY \(order))) AS ranked
            WHERE place = last OR (share < ?::bigint AND share IS DISTINCT FROM before)
            ORDER BY \(order) LIMIT ?
            """, [.init(most)] + arguments + [.init(most), .init(limit)])
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Run> {
        try await database.read { db in
            let (keys, next) = try RunSearch(PostgresSearch(db), query, Self.tables).page()
            return Page(try PostgresRunRows.read(db, keys), next: next)
        }
    }

    public func datasets(in experiments: [ExperimentID], limit: Int) async throws(AerieError) -> [DatasetSummary] {
        let keys = experiments.compactMap { Int64($0.text) }
        return try await database.read { db in
            let rows = try db.query(
                """
                SELECT d.experiment, d.name, d.digest, g.value FROM datasets d
                JOIN run_datasets r ON r.dataset = d.seq
                LEFT JOIN run_dataset_tags g ON g.run = r.run AND g.dataset = d.seq AND g.key = 'mlflow.data.context'
                WHERE d.experiment = ANY(?::bigint[])
                GROUP BY d.seq, d.experiment, d.name, d.digest, g.value ORDER BY d.seq DESC, g.value LIMIT ?
                """, [.array(keys), .init(limit)])
            return try rows.map { row in
                DatasetSummary(
                    experimentID: ExperimentID(try row.text(0)), name: try row.text(1), digest: try row.text(2),
                    context: row.optionalText(3))
            }
        }
    }
}
