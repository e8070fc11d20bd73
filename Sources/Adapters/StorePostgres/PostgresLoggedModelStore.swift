public import AerieCore
public import Experiments
import SearchSQL

/// Logged models in PostgreSQL.
public struct PostgresLoggedModelStore: LoggedModelStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

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
                try !db.query("SELECT 1 FROM experiments WHERE id = ?", [.init(experiment)]).isEmpty
            else { throw AerieError.notFound("No Experiment with id=\(model.experimentID) exists") }
            let rows = try db.query(
                """
                INSERT INTO logged_models (id, experiment, name, model_type, source_run_id, artifact_uri, status,
                    creation_time, last_update_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq
                """,
                [
                    .init(model.id.text), .init(experiment), .init(model.name), .init(model.modelType),
                    .init(model.sourceRunID?.text), .init(model.artifactURI), .init(model.status.rawValue),
                    .init(model.creationTime.milliseconds), .init(model.lastUpdateTime.milliseconds),
                ])
            guard let seq = try rows.first?.int(0) else { throw PostgresRow.unexpected }
            try PostgresSatellite.write(db, "logged_model_tags", owner: seq, model.tags)
            try PostgresSatellite.write(
                db, "logged_model_params", owner: seq, model.params.map { Tag(key: $0.key, value: $0.value) })
            for one in model.metrics { try PostgresLoggedModelRows.write(db, model.id, run: one.runID, one.metric) }
        }
    }

    public func get(_ ids: [LoggedModelID]) async throws(AerieError) -> [LoggedModel] {
        try await database.read { db in
            try PostgresLoggedModelRows.read(db, try ids.compactMap { try PostgresLoggedModelRows.find(db, $0) })
        }
    }

    public func update(
        _ id: LoggedModelID, _ change: LoggedModelChange, at time: Timestamp
    ) async throws(AerieError) -> LoggedModel {
        try await database.write { db in
            guard let seq = try PostgresLoggedModelRows.find(db, id) else { throw PostgresLoggedModelRows.missing(id) }
            try db.execute(
                "UPDATE logged_models SET status = COALESCE(?, status), last_update_time = ? WHERE seq = ?",
                [.init(change.status?.rawValue), .init(time.milliseconds), .init(seq)])
            try PostgresSatellite.write(db, "logged_model_tags", owner: seq, change.setTags)
            try PostgresSatellite.write(
                db, "logged_model_params", owner: seq, change.addParams.map { Tag(key: $0.key, value: $0.value) })
            for tag in change.deleteTags
            where try !PostgresSatellite.delete(db, "logged_model_tags", owner: seq, key: tag) {
                throw AerieError.notFound("No tag with key '\(tag)' found for model with ID '\(id)'.")
            }
            guard let model = try PostgresLoggedModelRows.read(db, [seq]).first else {
                throw PostgresLoggedModelRows.missing(id)
            }
            return model
        }
    }

    public func delete(_ id: LoggedModelID, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            let changed = try db.execute(
                "UPDATE logged_models SET deleted_time = COALESCE(deleted_time, ?) WHERE id = ?",
                [.init(time.milliseconds), .init(id.text)])
            guard changed > 0 else { throw PostgresLoggedModelRows.missing(id) }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<LoggedModel> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .postgres)
            if !query.experimentIDs.isEmpty {
                statement.require(in: "t.experiment", numbers: query.experimentIDs.compactMap { Int64($0.text) })
            }
            if query.view != .all {
                statement.require("t.deleted_time IS \(query.view == .activeOnly ? "" : "NOT ")NULL")
            }
            let query = statement.requireDatasets(of: query)
            let (keys, next) = try statement.page(PostgresSearch(db), query)
            return Page(try PostgresLoggedModelRows.read(db, keys), next: next)
        }
    }
}

/// The rows that make up a logged model.
enum PostgresLoggedModelRows {
    static func missing(_ id: LoggedModelID) -> AerieError { .notFound("Logged model with ID '\(id)' not found.") }

    static func find(_ db: PostgresConnection, _ id: LoggedModelID) throws -> Int64? {
        try db.query("SELECT seq FROM logged_models WHERE id = ? AND deleted_time IS NULL", [.init(id.text)])
            .first?.int(0)
    }

    /// Keeps the latest value by run and dataset. A model that is not known here is no reason to refuse a metric.
    static func write(_ db: PostgresConnection, _ id: LoggedModelID, run: RunID, _ metric: Metric) throws {
        guard let seq = try find(db, id) else { return }
        try db.execute(
            """
            INSERT INTO logged_model_metrics AS old
            (owner, key, run_id, dataset_name, dataset_digest, step, timestamp, value, is_nan)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (owner, key, run_id, dataset_name, dataset_digest) DO UPDATE SET step = excluded.step,
                timestamp = excluded.timestamp, value = excluded.value, is_nan = excluded.is_nan
            WHERE (excluded.step, excluded.timestamp, excluded.value) > (old.step, old.timestamp, old.value)
            """,
            [
                .init(seq), .init(metric.key), .init(run.text), .init(metric.datasetName ?? ""),
                .init(metric.datasetDigest ?? ""), .init(metric.step), .init(metric.timestamp.milliseconds),
                .init(PostgresRunRows.stored(metric.value)), metric.value.isNaN ? 1 : 0,
            ])
    }

    static func read(_ db: PostgresConnection, _ keys: [Int64]) throws -> [LoggedModel] {
        guard !keys.isEmpty else { return [] }
        let params = try PostgresSatellite.read(db, "logged_model_params", owners: keys)
        let tags = try PostgresSatellite.read(db, "logged_model_tags", owners: keys)
        let metrics = try metrics(db, keys)
        var found: [Int64: LoggedModel] = [:]
        let rows = try db.query(
            """
            SELECT seq, id, experiment, name, model_type, source_run_id, artifact_uri, status, creation_time,
                last_update_time FROM logged_models WHERE seq = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            let key = try row.int(0)
            let id = LoggedModelID(try row.text(1))
            found[key] = LoggedModel(
                id: id, experimentID: ExperimentID(try row.text(2)), name: try row.text(3), modelType: try row.text(4),
                sourceRunID: row.optionalText(5).map { RunID($0) }, artifactURI: try row.text(6),
                status: LoggedModelStatus(rawValue: try row.text(7)) ?? .unspecified, creationTime: try row.time(8),
                lastUpdateTime: try row.time(9),
                params: (params[key] ?? []).map { Param(key: $0.key, value: $0.value) }, tags: tags[key] ?? [],
                metrics: (metrics[key] ?? []).map { found in
                    var found = found
                    found.metric.modelID = id
                    return found
                })
        }
        return keys.compactMap { found[$0] }
    }

    private static func metrics(_ db: PostgresConnection, _ keys: [Int64]) throws -> [Int64: [LoggedModelMetric]] {
        var result: [Int64: [LoggedModelMetric]] = [:]
        let rows = try db.query(
            """
            SELECT key, value, is_nan, timestamp, step, NULL, NULLIF(dataset_name, ''), NULLIF(dataset_digest, ''),
                owner, run_id
            FROM logged_model_metrics WHERE owner = ANY(?::bigint[])
            ORDER BY owner, key, run_id, dataset_name, dataset_digest
            """, [.array(keys)])
        for row in rows {
            result[try row.int(8), default: []].append(
                LoggedModelMetric(metric: try PostgresRunRows.metric(row), runID: RunID(try row.text(9))))
        }
        return result
    }
}
