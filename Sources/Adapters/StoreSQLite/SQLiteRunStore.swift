public import AerieCore
public import Experiments
import GRDB
import SearchSQL

/// Runs in SQLite.
///
/// A run is found by its identifier once a call; everything else goes by its number. Logging metrics costs one row a
/// call (see `MetricLog`); reading a page of runs costs six statements whatever its size.
public struct SQLiteRunStore: RunStore {
    private let database: MetadataDatabase
    private let metrics: MetricLog

    /// - Parameter database: of which this is the only run store, as it is the one that knows what waits to be folded.
    public init(_ database: MetadataDatabase) {
        self.database = database
        metrics = MetricLog(database)
    }

    /// Orders what was logged and still waits for it; so that the next start has nothing to do. For a clean shutdown.
    public func settle() async throws(AerieError) { try await metrics.settle() }

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
        try await database.write { [metrics] db in
            for run in runs {
                let info = run.info
                guard let experiment = Int64(info.experimentID.text),
                    let stage = try String.fetchOne(
                        db, sql: "SELECT stage FROM experiments WHERE id = ?", arguments: [experiment])
                else { throw AerieError.notFound("No Experiment with id=\(info.experimentID) exists") }
                guard stage == "active" else {
                    throw AerieError(
                        .failedPrecondition,
                        "The experiment \(info.experimentID) must be in the 'active' state; it is deleted",
                        reason: "experiment.deleted")
                }
                if try RunRows.find(db, info.id) != nil {
                    throw AerieError(.alreadyExists, "Run with id=\(info.id) exists already", reason: "run.exists")
                }
                let statement = try db.cachedStatement(
                    sql: """
                        INSERT INTO runs (id, experiment, name, user_id, status, start_time, end_time, artifact_uri,
                            stage)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                        """)
                try statement.execute(arguments: [
                    info.id.text, experiment, info.name, info.userID, info.status.rawValue, info.startTime.milliseconds,
                    info.endTime?.milliseconds, info.artifactURI, info.stage.rawValue,
                ])
                let seq = db.lastInsertedRowID
                try Satellite.write(db, "run_tags", owner: seq, run.tags)
                try RunRows.write(db, seq, run.params)
                try metrics.append(db, owner: seq, run.metrics)
                let links = RunLinks(
                    datasets: run.datasets, modelInputs: run.modelInputs, modelOutputs: run.modelOutputs)
                try RunRows.link(db, seq, experiment: experiment, links)
            }
        }
        metrics.wrote()
    }

    public func get(_ ids: [RunID]) async throws(AerieError) -> [Run] {
        try await metrics.read { db in
            try RunRows.read(db, try ids.compactMap { try RunRows.find(db, $0)?.seq })
        }
    }

    public func update(_ id: RunID, _ change: RunChange, at time: Timestamp) async throws(AerieError) -> RunInfo {
        try await database.write { db in
            guard let run = try RunRows.find(db, id) else { throw RunRows.missing(id) }
            if let stage = change.stage {
                try db.execute(
                    sql: "UPDATE runs SET stage = ?, deleted_with = 0, deleted_time = ? WHERE seq = ?",
                    arguments: [stage.rawValue, stage == .deleted ? time.milliseconds : nil, run.seq])
            } else if !run.isActive {
                throw RunRows.deleted(id)
            }
            if let status = change.status {
                try db.execute(sql: "UPDATE runs SET status = ? WHERE seq = ?", arguments: [status.rawValue, run.seq])
            }
            if let end = change.endTime {
                try db.execute(
                    sql: "UPDATE runs SET end_time = ? WHERE seq = ?",
                    arguments: [
                        end.milliseconds,
                        run.seq,
                    ])
            }
            if let name = change.name {
                try db.execute(sql: "UPDATE runs SET name = ? WHERE seq = ?", arguments: [name, run.seq])
                try Satellite.write(db, "run_tags", owner: run.seq, [Tag(key: "mlflow.runName", value: name)])
            }
            guard let info = try RunRows.infos(db, [run.seq])[run.seq] else { throw RunRows.missing(id) }
            return info
        }
    }

    public func log(_ batches: [RunBatch]) async throws(AerieError) {
        try await database.write { [metrics] db in
            for batch in batches {
                guard let run = try RunRows.find(db, batch.runID) else { throw RunRows.missing(batch.runID) }
                guard run.isActive else { throw RunRows.deleted(batch.runID) }
                try RunRows.write(db, run.seq, batch.params)
                try metrics.append(db, owner: run.seq, batch.metrics)
                for metric in batch.metrics {
                    if let model = metric.modelID { try LoggedModelRows.write(db, model, run: batch.runID, metric) }
                }
                try Satellite.write(db, "run_tags", owner: run.seq, batch.tags)
                if let name = batch.tags.last(where: { $0.key == "mlflow.runName" }) {
                    try db.execute(sql: "UPDATE runs SET name = ? WHERE seq = ?", arguments: [name.value, run.seq])
                }
            }
        }
        metrics.wrote()
    }

    public func deleteTag(_ key: String, of id: RunID) async throws(AerieError) {
        try await database.write { db in
            guard let run = try RunRows.find(db, id) else { throw RunRows.missing(id) }
            guard run.isActive else { throw RunRows.deleted(id) }
            guard try Satellite.delete(db, "run_tags", owner: run.seq, key: key) else {
                throw AerieError.notFound("No tag with name: \(key) in run with id \(id)")
            }
        }
    }

    public func link(_ links: RunLinks, to id: RunID) async throws(AerieError) {
        try await database.write { db in
            guard let run = try RunRows.find(db, id) else { throw RunRows.missing(id) }
            guard run.isActive else { throw RunRows.deleted(id) }
            try RunRows.link(db, run.seq, experiment: run.experiment, links)
        }
    }

    public func history(_ query: MetricHistoryQuery) async throws(AerieError) -> [(RunID, Metric)] {
        try await metrics.read { db in
            var result: [(RunID, Metric)] = []
            for id in query.runIDs where result.count < query.limit {
                guard let run = try RunRows.find(db, id) else { throw RunRows.missing(id) }
                let history = MetricHistory(db, owner: run.seq, key: query.key, steps: query.steps)
                let points =
                    if let most = query.perRun {
                        try history.thinned(to: most)
                    } else {
                        try history.points(
                            after: query.after.map { MetricPoint($0) }, limit: query.limit - result.count)
                    }
                result += points.prefix(query.limit - result.count).map { (id, $0.metric(query.key)) }
            }
            return result
        }
    }

    public func rewriteTag(
        _ key: String, of id: RunID, _ change: @escaping @Sendable (String?) throws(AerieError) -> String
    ) async throws(AerieError) {
        try await database.write { db in
            guard let run = try RunRows.find(db, id) else { throw RunRows.missing(id) }
            guard run.isActive else { throw RunRows.deleted(id) }
            let old = try String.fetchOne(
                db, sql: "SELECT value FROM run_tags WHERE owner = ? AND key = ?", arguments: [run.seq, key])
            try Satellite.write(db, "run_tags", owner: run.seq, [Tag(key: key, value: try change(old))])
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Run> {
        try await metrics.read { db in
            let (keys, next) = try RunSearch(SQLiteSearch(db), query, Self.tables).page()
            return Page(try RunRows.read(db, keys), next: next)
        }
    }

    public func datasets(in experiments: [ExperimentID], limit: Int) async throws(AerieError) -> [DatasetSummary] {
        let keys = experiments.compactMap { Int64($0.text) }
        return try await database.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT d.experiment, d.name, d.digest, g.value FROM datasets d
                    JOIN run_datasets r ON r.dataset = d.seq
                    LEFT JOIN run_dataset_tags g ON g.run = r.run AND g.dataset = d.seq AND g.key = 'mlflow.data.context'
                    WHERE d.experiment IN (\(Satellite.marks(keys.count))) ORDER BY d.seq DESC LIMIT ?
                    """, arguments: StatementArguments(keys + [Int64(limit)]))
            return rows.map {
                DatasetSummary(
                    experimentID: ExperimentID("\($0[0] as Int64)"), name: $0[1], digest: $0[2],
                    context: $0[3])
            }
        }
    }
}
