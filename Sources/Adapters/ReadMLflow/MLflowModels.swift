public import AerieCore
public import Experiments
import GRDB
public import Imports
import Registry

extension MLflowDatabaseSource {
    public func loggedModels(after: String?, limit: Int) async throws(AerieError) -> ImportPage<LoggedModel> {
        guard tables.contains("logged_models") else { return ImportPage() }
        let hasMetrics = tables.contains("logged_model_metrics")
        let found: [LoggedModel] = try await read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT model_id, experiment_id, name, artifact_location, creation_timestamp_ms,
                        last_updated_timestamp_ms, status, model_type, source_run_id
                    FROM logged_models WHERE lifecycle_stage = 'active' AND model_id > ? ORDER BY model_id LIMIT ?
                    """, arguments: [after ?? "", limit])
            guard let first = rows.first, let last = rows.last else { return [] }
            let range: StatementArguments = [first[0] as String, last[0] as String]
            let params = try Self.texts(
                db, "logged_model_params", "model_id", range, key: "param_key", value: "param_value")
            let tags = try Self.texts(db, "logged_model_tags", "model_id", range, key: "tag_key", value: "tag_value")
            let metrics = hasMetrics ? try Self.modelMetrics(db, range) : [:]
            return rows.map { row in
                let id: String = row[0]
                let states: [LoggedModelStatus] = [.unspecified, .pending, .ready, .uploadFailed]
                let status: Int = row[6] ?? 0
                return LoggedModel(
                    id: LoggedModelID(id), experimentID: ExperimentID("\(row[1] as Int64)"), name: row[2],
                    modelType: row[7] ?? "", sourceRunID: (row[8] as String?).flatMap { $0.isEmpty ? nil : RunID($0) },
                    artifactURI: row[3] ?? "", status: states.indices.contains(status) ? states[status] : .unspecified,
                    creationTime: Timestamp(milliseconds: row[4]), lastUpdateTime: Timestamp(milliseconds: row[5]),
                    params: (params[id] ?? []).map { Param(key: $0.key, value: $0.value) }, tags: tags[id] ?? [],
                    metrics: metrics[id] ?? [])
            }
        }
        return ImportPage(found, next: found.count < limit ? nil : found.last?.id.text)
    }

    private static func modelMetrics(
        _ db: Database, _ range: StatementArguments
    ) throws -> [String: [LoggedModelMetric]] {
        var result: [String: [LoggedModelMetric]] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT model_id, metric_name, metric_value, metric_timestamp_ms, metric_step, run_id, dataset_name,
                    dataset_digest FROM logged_model_metrics WHERE model_id BETWEEN ? AND ?
                ORDER BY model_id, metric_timestamp_ms, metric_step
                """, arguments: range)
        while let row = try rows.next() {
            let model: String = row[0]
            result[model, default: []].append(
                LoggedModelMetric(
                    metric: Metric(
                        key: row[1], value: row[2] ?? .nan, timestamp: Timestamp(milliseconds: row[3]), step: row[4],
                        modelID: LoggedModelID(model), datasetName: row[6], datasetDigest: row[7]),
                    runID: RunID(row[5])))
        }
        return result
    }

    public func registeredModels() async throws(AerieError) -> [ImportedModel] {
        guard tables.isSuperset(of: ["registered_models", "model_versions"]) else { return [] }
        let tables = tables
        return try await read { db in
            var tags: [String: [Tag]] = [:]
            if tables.contains("registered_model_tags") {
                for row in try Row.fetchAll(db, sql: "SELECT name, key, value FROM registered_model_tags ORDER BY key")
                {
                    tags[row[0], default: []].append(Tag(key: row[1], value: row[2] ?? ""))
                }
            }
            var aliases: [String: [ModelAlias]] = [:]
            if tables.contains("registered_model_aliases") {
                for row in try Row.fetchAll(db, sql: "SELECT name, alias, version FROM registered_model_aliases") {
                    aliases[row[0], default: []].append(ModelAlias(alias: row[1], version: row[2]))
                }
            }
            let versions = try Self.versions(db, hasTags: tables.contains("model_version_tags"))
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT name, creation_time, last_updated_time, description FROM registered_models ORDER BY name
                    """)
            return rows.map { row in
                let name: String = row[0]
                let created = Timestamp(milliseconds: row[1] ?? 0)
                return ImportedModel(
                    model: RegisteredModel(
                        name: name, description: row[3] ?? "", creationTime: created,
                        lastUpdateTime: (row[2] as Int64?).map { Timestamp(milliseconds: $0) } ?? created,
                        tags: tags[name] ?? [], aliases: aliases[name] ?? []),
                    versions: versions[name] ?? [])
            }
        }
    }

    private static func versions(_ db: Database, hasTags: Bool) throws -> [String: [ModelVersion]] {
        var tags: [String: [Tag]] = [:]
        if hasTags {
            for row in try Row.fetchAll(db, sql: "SELECT name, version, key, value FROM model_version_tags") {
                tags["\(row[0] as String)/\(row[1] as Int)", default: []].append(Tag(key: row[2], value: row[3] ?? ""))
            }
        }
        let storage = try column(db, "model_versions", "storage_location")
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT name, version, creation_time, last_updated_time, description, user_id, current_stage, source,
                    run_id, status, run_link, \(storage) FROM model_versions
                WHERE current_stage <> 'Deleted_Internal' ORDER BY name, version
                """)
        var result: [String: [ModelVersion]] = [:]
        for row in rows {
            let name: String = row[0]
            let number: Int = row[1]
            let source: String = row[7] ?? ""
            let created = Timestamp(milliseconds: row[2] ?? 0)
            let location = (row[11] as String?).flatMap { $0.isEmpty ? nil : $0 } ?? source
            result[name, default: []].append(
                ModelVersion(
                    name: name, version: number, creationTime: created,
                    lastUpdateTime: (row[3] as Int64?).map { Timestamp(milliseconds: $0) } ?? created,
                    userID: row[5] ?? "", stage: ModelStage(rawValue: row[6] ?? "None") ?? .none,
                    description: row[4] ?? "", source: source, location: location,
                    runID: (row[8] as String?).flatMap { $0.isEmpty ? nil : RunID($0) }, runLink: row[10] ?? "",
                    modelID: LoggedModelID(versionSource: source),
                    status: ModelVersion.Status(rawValue: row[9] ?? "READY") ?? .ready,
                    tags: tags["\(name)/\(number)"] ?? []))
        }
        return result
    }
}
