public import AerieCore
public import Experiments
import GRDB
public import Imports

extension MLflowDatabaseSource {
    public func runs(after: String?, limit: Int) async throws(AerieError) -> ImportPage<Run> {
        let tables = tables
        let found: [Run] = try await read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri,
                        experiment_id FROM runs WHERE run_uuid > ? ORDER BY run_uuid LIMIT ?
                    """, arguments: [after ?? "", limit])
            guard let first = rows.first, let last = rows.last else { return [] }
            // The page is one range of identifiers, so that each table is read by its index, once.
            let range: StatementArguments = [first[0] as String, last[0] as String]
            let params = try Self.texts(db, "params", "run_uuid", range)
            let tags = try Self.texts(db, "tags", "run_uuid", range)
            let links = tables.contains("inputs") ? try Self.links(db, range) : [:]
            return rows.map { row in
                let id: String = row[0]
                let info = RunInfo(
                    id: RunID(id), experimentID: ExperimentID("\(row[8] as Int64)"), name: row[1] ?? "",
                    userID: row[2] ?? "", status: RunStatus(rawValue: row[3] ?? "") ?? .finished,
                    startTime: Timestamp(milliseconds: row[4] ?? 0),
                    endTime: (row[5] as Int64?).flatMap { $0 > 0 ? Timestamp(milliseconds: $0) : nil },
                    artifactURI: row[7] ?? "", stage: row[6] == "deleted" ? .deleted : .active)
                var run = Run(info: info)
                run.params = (params[id] ?? []).map { Param(key: $0.key, value: $0.value) }
                run.tags = tags[id] ?? []
                run.datasets = links[id]?.datasets ?? []
                run.modelInputs = links[id]?.modelInputs ?? []
                run.modelOutputs = links[id]?.modelOutputs ?? []
                return run
            }
        }
        return ImportPage(found, next: found.count < limit ? nil : found.last?.info.id.text)
    }

    public func completed(_ runs: [Run]) async throws(AerieError) -> [Run] {
        guard let first = runs.map(\.info.id.text).min(), let last = runs.map(\.info.id.text).max() else { return [] }
        let wanted = Set(runs.map(\.info.id.text))
        let histories = try await read { db in try Self.metrics(db, [first, last], of: wanted) }
        return runs.map { run in
            var run = run
            run.metrics = histories[run.info.id.text] ?? []
            return run
        }
    }

    static func texts(
        _ db: Database, _ table: String, _ owner: String, _ range: StatementArguments, key: String = "key",
        value: String = "value"
    ) throws -> [String: [Tag]] {
        var result: [String: [Tag]] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT \(owner), \(key), \(value) FROM \(table) WHERE \(owner) BETWEEN ? AND ? ORDER BY \(owner), \(key)
                """, arguments: range)
        while let row = try rows.next() { result[row[0], default: []].append(Tag(key: row[1], value: row[2] ?? "")) }
        return result
    }

    private static func metrics(
        _ db: Database, _ range: StatementArguments, of wanted: Set<String>
    ) throws -> [String: [Metric]] {
        var result: [String: [Metric]] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT run_uuid, key, value, is_nan, timestamp, step FROM metrics WHERE run_uuid BETWEEN ? AND ?
                ORDER BY run_uuid, key, step, timestamp
                """, arguments: range)
        while let row = try rows.next() {
            let run: String = row[0]
            guard wanted.contains(run) else { continue }
            result[run, default: []].append(
                Metric(
                    key: row[1], value: (row[3] ?? false) ? .nan : row[2], timestamp: Timestamp(milliseconds: row[4]),
                    step: row[5]))
        }
        return result
    }

    /// Datasets that runs read, with their context, and models that they read and made.
    private static func links(_ db: Database, _ range: StatementArguments) throws -> [String: RunLinks] {
        var result: [String: RunLinks] = [:]
        var tags: [String: [Tag]] = [:]
        let tagRows = try Row.fetchAll(
            db,
            sql: """
                SELECT g.input_uuid, g.name, g.value FROM input_tags g JOIN inputs i ON i.input_uuid = g.input_uuid
                WHERE i.destination_id BETWEEN ? AND ?
                """, arguments: range)
        for row in tagRows { tags[row[0], default: []].append(Tag(key: row[1], value: row[2])) }
        let datasets = try Row.fetchAll(
            db,
            sql: """
                SELECT i.destination_id, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,
                    d.dataset_profile, i.input_uuid
                FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
                WHERE i.destination_type = 'RUN' AND i.source_type = 'DATASET' AND i.destination_id BETWEEN ? AND ?
                """, arguments: range)
        for row in datasets {
            result[row[0], default: RunLinks()].datasets.append(
                DatasetInput(
                    name: row[1], digest: row[2], sourceType: row[3] ?? "", source: row[4] ?? "", schema: row[5],
                    profile: row[6], tags: tags[row[7]] ?? []))
        }
        let step = try column(db, "inputs", "step")
        let inputs = try Row.fetchAll(
            db,
            sql: """
                SELECT destination_id, source_id FROM inputs
                WHERE destination_type = 'MODEL_INPUT' AND source_type = 'RUN_INPUT' AND source_id BETWEEN ? AND ?
                """, arguments: range)
        for row in inputs { result[row[1], default: RunLinks()].modelInputs.append(LoggedModelID(row[0])) }
        let outputs = try Row.fetchAll(
            db,
            sql: """
                SELECT source_id, destination_id, \(step) FROM inputs
                WHERE source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT' AND source_id BETWEEN ? AND ?
                """, arguments: range)
        for row in outputs {
            result[row[0], default: RunLinks()].modelOutputs.append(
                ModelOutput(modelID: LoggedModelID(row[1]), step: row[2] ?? 0))
        }
        return result
    }
}
