public import AerieCore
public import Experiments
import GRDB
import SearchSQL

/// Logged models in SQLite.
public struct SQLiteLoggedModelStore: LoggedModelStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "logged_models", key: "seq", sequence: "seq",
        attributes: [
            "name": "t.name", "model_id": "t.id", "model_type": "t.model_type", "status": "t.status",
            "source_run_id": "t.source_run_id", "experiment_id": "CAST(t.experiment AS TEXT)",
            "creation_timestamp": "t.creation_time", "last_updated_timestamp": "t.last_update_time",
        ],
        nullable: ["source_run_id": .text],
        satellites: [.metric: SearchTables.latestModelMetrics(), .param: "logged_model_params", .tag: "logged_model_tags"],
        measured: { SearchTables.latestModelMetrics(where: $0) },
        order: [.descending("t.creation_time"), .descending("t.seq")])

    public func create(_ model: LoggedModel) async throws(AerieError) {
        try await database.write { db in
            guard let experiment = Int64(model.experimentID.text),
                try Bool.fetchOne(db, sql: "SELECT 1 FROM experiments WHERE id = ?", arguments: [experiment]) ?? false
            else { throw AerieError.notFound("No Experiment with id=\(model.experimentID) exists") }
            try db.execute(
                sql: """
                    INSERT INTO logged_models (id, experiment, name, model_type, source_run_id, artifact_uri, status,
                        creation_time, last_update_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    model.id.text, experiment, model.name, model.modelType, model.sourceRunID?.text, model.artifactURI,
                    model.status.rawValue, model.creationTime.milliseconds, model.lastUpdateTime.milliseconds,
                ])
            let seq = db.lastInsertedRowID
            try Satellite.write(db, "logged_model_tags", owner: seq, model.tags)
            try Satellite.write(
                db, "logged_model_params", owner: seq, model.params.map { Tag(key: $0.key, value: $0.value) })
            for one in model.metrics { try LoggedModelRows.write(db, model.id, run: one.runID, one.metric) }
        }
    }

    public func get(_ ids: [LoggedModelID]) async throws(AerieError) -> [LoggedModel] {
        try await database.read { db in
            try LoggedModelRows.read(db, try ids.compactMap { try LoggedModelRows.find(db, $0) })
        }
    }

    public func update(
        _ id: LoggedModelID, _ change: LoggedModelChange, at time: Timestamp
    ) async throws(AerieError) -> LoggedModel {
        try await database.write { db in
            guard let seq = try LoggedModelRows.find(db, id) else { throw LoggedModelRows.missing(id) }
            try db.execute(
                sql: "UPDATE logged_models SET status = COALESCE(?, status), last_update_time = ? WHERE seq = ?",
                arguments: [change.status?.rawValue, time.milliseconds, seq])
            try Satellite.write(db, "logged_model_tags", owner: seq, change.setTags)
            try Satellite.write(
                db, "logged_model_params", owner: seq, change.addParams.map { Tag(key: $0.key, value: $0.value) })
            for tag in change.deleteTags where try !Satellite.delete(db, "logged_model_tags", owner: seq, key: tag) {
                throw AerieError.notFound("No tag with key '\(tag)' found for model with ID '\(id)'.")
            }
            guard let model = try LoggedModelRows.read(db, [seq]).first else { throw LoggedModelRows.missing(id) }
            return model
        }
    }

    public func delete(_ id: LoggedModelID, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            try db.execute(
                sql: "UPDATE logged_models SET deleted_time = COALESCE(deleted_time, ?) WHERE id = ?",
                arguments: [time.milliseconds, id.text])
            guard db.changesCount > 0 else { throw LoggedModelRows.missing(id) }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<LoggedModel> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .sqlite)
            if !query.experimentIDs.isEmpty {
                statement.require(in: "t.experiment", numbers: query.experimentIDs.compactMap { Int64($0.text) })
            }
            if query.view != .all {
                statement.require("t.deleted_time IS \(query.view == .activeOnly ? "" : "NOT ")NULL")
            }
            let query = statement.requireDatasets(of: query)
            let (keys, next) = try statement.page(SQLiteSearch(db), query)
            return Page(try LoggedModelRows.read(db, keys), next: next)
        }
    }
}

/// The rows that make up a logged model.
enum LoggedModelRows {
    static func missing(_ id: LoggedModelID) -> AerieError { .notFound("Logged model with ID '\(id)' not found.") }

    static func find(_ db: Database, _ id: LoggedModelID) throws -> Int64? {
        let statement = try db.cachedStatement(
            sql: "SELECT seq FROM logged_models WHERE id = ? AND deleted_time IS NULL")
        return try Int64.fetchOne(statement, arguments: [id.text])
    }

    /// Keeps the latest value by run and dataset. A model that is not known here is no reason to refuse a metric.
    static func write(_ db: Database, _ id: LoggedModelID, run: RunID, _ metric: Metric) throws {
        guard let seq = try find(db, id) else { return }
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO logged_model_metrics
                (owner, key, run_id, dataset_name, dataset_digest, step, timestamp, value, is_nan)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (owner, key, run_id, dataset_name, dataset_digest) DO UPDATE SET step = excluded.step,
                    timestamp = excluded.timestamp, value = excluded.value, is_nan = excluded.is_nan
                WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)
                """)
        try statement.execute(arguments: [
            seq, metric.key, run.text, metric.datasetName ?? "", metric.datasetDigest ?? "", metric.step,
            metric.timestamp.milliseconds, MetricPoint(metric).column, metric.value.isNaN,
        ])
    }

    static func read(_ db: Database, _ keys: [Int64]) throws -> [LoggedModel] {
        let params = try Satellite.read(db, "logged_model_params", owners: keys)
        let tags = try Satellite.read(db, "logged_model_tags", owners: keys)
        let metrics = try metrics(db, keys)
        let statement = try db.cachedStatement(
            sql: """
                SELECT id, experiment, name, model_type, source_run_id, artifact_uri, status, creation_time,
                    last_update_time FROM logged_models WHERE seq = ?
                """)
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            let id = LoggedModelID(row[0])
            return LoggedModel(
                id: id, experimentID: ExperimentID("\(row[1] as Int64)"), name: row[2], modelType: row[3],
                sourceRunID: (row[4] as String?).map { RunID($0) }, artifactURI: row[5],
                status: LoggedModelStatus(rawValue: row[6]) ?? .unspecified,
                creationTime: Timestamp(milliseconds: row[7]),
                lastUpdateTime: Timestamp(milliseconds: row[8]),
                params: (params[key] ?? []).map { Param(key: $0.key, value: $0.value) }, tags: tags[key] ?? [],
                metrics: (metrics[key] ?? []).map { found in
                    var found = found
                    found.metric.modelID = id
                    return found
                })
        }
    }

    private static func metrics(_ db: Database, _ keys: [Int64]) throws -> [Int64: [LoggedModelMetric]] {
        var result: [Int64: [LoggedModelMetric]] = [:]
        for chunk in keys.chunks(of: 500) {
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT key, value, is_nan, timestamp, step, NULL, NULLIF(dataset_name, ''),
                        NULLIF(dataset_digest, ''), owner, run_id
                    FROM logged_model_metrics WHERE owner IN (\(Satellite.marks(chunk.count))) ORDER BY owner, key
                    """, arguments: StatementArguments(chunk))
            while let row = try rows.next() {
                result[row[8], default: []].append(LoggedModelMetric(metric: RunRows.metric(row), runID: RunID(row[9])))
            }
        }
        return result
    }
}
