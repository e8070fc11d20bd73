import AerieCore
import Experiments
import GRDB

/// The rows that make up a run.
enum RunRows {
    struct Found {
        var seq: Int64
        var experiment: Int64
        var isActive: Bool
    }

    static func find(_ db: Database, _ id: RunID) throws -> Found? {
        let statement = try db.cachedStatement(sql: "SELECT seq, experiment, stage = 'active' FROM runs WHERE id = ?")
        return try Row.fetchOne(statement, arguments: [id.text]).map {
            Found(seq: $0[0], experiment: $0[1], isActive: $0[2])
        }
    }

    static func missing(_ id: RunID) -> AerieError { .notFound("Run with id=\(id) not found") }
    static func deleted(_ id: RunID) -> AerieError {
        AerieError(
            .failedPrecondition, "The run \(id) must be in the 'active' state. Current state is deleted.",
            reason: "run.deleted")
    }

    // MARK: Writing

    static func write(_ db: Database, _ seq: Int64, _ params: [Param]) throws {
        guard !params.isEmpty else { return }
        let insert = try db.cachedStatement(
            sql: "INSERT INTO run_params (owner, key, value) VALUES (?, ?, ?) ON CONFLICT (owner, key) DO NOTHING")
        for param in params {
            try insert.execute(arguments: [seq, param.key, param.value])
            guard db.changesCount == 0 else { continue }
            let select = try db.cachedStatement(sql: "SELECT value FROM run_params WHERE owner = ? AND key = ?")
            let old = try String.fetchOne(select, arguments: [seq, param.key]) ?? ""
            guard old == param.value else {
                throw AerieError.invalid(
                    "params",
                    "Changing param values is not allowed. Param with key='\(param.key)' was already logged with "
                        + "value='\(old)'. Attempted logging new value '\(param.value)'.")
            }
        }
    }

    static func link(_ db: Database, _ seq: Int64, experiment: Int64, _ links: RunLinks) throws {
        for dataset in links.datasets {
            try db.execute(
                sql: """
                    INSERT OR IGNORE INTO datasets (experiment, name, digest, source_type, source, schema, profile)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    experiment, dataset.name, dataset.digest, dataset.sourceType, dataset.source, dataset.schema,
                    dataset.profile,
                ])
            let key = try Int64.fetchOne(
                db, sql: "SELECT seq FROM datasets WHERE experiment = ? AND name = ? AND digest = ?",
                arguments: [experiment, dataset.name, dataset.digest])
            try db.execute(
                sql: "INSERT OR IGNORE INTO run_datasets (run, dataset) VALUES (?, ?)",
                arguments: [
                    seq,
                    key,
                ])
            for tag in dataset.tags {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO run_dataset_tags (run, dataset, key, value) VALUES (?, ?, ?, ?)",
                    arguments: [seq, key, tag.key, tag.value])
            }
        }
        let insert = try db.cachedStatement(
            sql: "INSERT OR REPLACE INTO run_models (run, is_output, model_id, step) VALUES (?, ?, ?, ?)")
        for model in links.modelInputs { try insert.execute(arguments: [seq, false, model.text, 0]) }
        for model in links.modelOutputs { try insert.execute(arguments: [seq, true, model.modelID.text, model.step]) }
    }

    // MARK: Reading

    static func read(_ db: Database, _ keys: [Int64]) throws -> [Run] {
        let infos = try infos(db, keys)
        let params = try Satellite.read(db, "run_params", owners: keys)
        let tags = try Satellite.read(db, "run_tags", owners: keys)
        var metrics: [Int64: [Metric]] = [:]
        var inputs: [Int64: [LoggedModelID]] = [:]
        var outputs: [Int64: [ModelOutput]] = [:]
        for batch in OwnerBatch.of(keys) {
            let rows = try batch.rows(
                db, """
                    SELECT key, value, is_nan, timestamp, step, model_id, dataset_name, dataset_digest, owner
                    FROM latest_metrics WHERE owner IN (\(batch.marks)) ORDER BY owner, key
                    """)
            while let row = try rows.next() { metrics[row[8], default: []].append(metric(row)) }
            let models = try batch.rows(
                db, """
                    SELECT run, is_output, model_id, step FROM run_models WHERE run IN (\(batch.marks))
                    ORDER BY run, step
                    """)
            while let row = try models.next() {
                let id = LoggedModelID(row[2])
                if row[1] {
                    outputs[row[0], default: []].append(ModelOutput(modelID: id, step: row[3]))
                } else {
                    inputs[row[0], default: []].append(id)
                }
            }
        }
        let datasets = try datasets(db, keys)
        return keys.compactMap { key in
            guard let info = infos[key] else { return nil }
            return Run(
                info: info, metrics: metrics[key] ?? [],
                params: (params[key] ?? []).map { Param(key: $0.key, value: $0.value) }, tags: tags[key] ?? [],
                datasets: datasets[key] ?? [], modelInputs: inputs[key] ?? [], modelOutputs: outputs[key] ?? [])
        }
    }

    static func infos(_ db: Database, _ keys: [Int64]) throws -> [Int64: RunInfo] {
        var result: [Int64: RunInfo] = [:]
        for batch in OwnerBatch.of(keys) {
            let rows = try batch.rows(
                db, """
                    SELECT seq, id, experiment, name, user_id, status, start_time, end_time, artifact_uri, stage
                    FROM runs WHERE seq IN (\(batch.marks))
                    """)
            while let row = try rows.next() {
                result[row[0]] = RunInfo(
                    id: RunID(row[1]), experimentID: ExperimentID("\(row[2] as Int64)"), name: row[3], userID: row[4],
                    status: RunStatus(rawValue: row[5]) ?? .running, startTime: Timestamp(milliseconds: row[6]),
                    endTime: (row[7] as Int64?).map { Timestamp(milliseconds: $0) }, artifactURI: row[8],
                    stage: LifecycleStage(rawValue: row[9]) ?? .active)
            }
        }
        return result
    }

    private static func datasets(_ db: Database, _ keys: [Int64]) throws -> [Int64: [DatasetInput]] {
        var result: [Int64: [DatasetInput]] = [:]
        for batch in OwnerBatch.of(keys) {
            let rows = try batch.rows(
                db, """
                    SELECT r.run, d.seq, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
                    FROM run_datasets r JOIN datasets d ON d.seq = r.dataset WHERE r.run IN (\(batch.marks))
                    ORDER BY d.seq
                    """)
            var links: [(run: Int64, dataset: Int64, input: DatasetInput)] = []
            while let row = try rows.next() {
                links.append(
                    (row[0], row[1],
                        DatasetInput(
                            name: row[2], digest: row[3], sourceType: row[4], source: row[5], schema: row[6],
                            profile: row[7], tags: [])))
            }
            guard !links.isEmpty else { continue }
            var tags: [[Int64]: [Tag]] = [:]
            let tagRows = try batch.rows(
                db, """
                    SELECT run, dataset, key, value FROM run_dataset_tags WHERE run IN (\(batch.marks)) ORDER BY key
                    """)
            while let row = try tagRows.next() {
                tags[[row[0], row[1]], default: []].append(
                    Tag(
                        key: row[2],
                        value: row[3]))
            }
            for link in links {
                var input = link.input
                input.tags = tags[[link.run, link.dataset]] ?? []
                result[link.run, default: []].append(input)
            }
        }
        return result
    }

    /// From columns 0 to 7: key, value, is_nan, timestamp, step, model, dataset name and digest.
    static func metric(_ row: Row) -> Metric {
        Metric(
            key: row[0], value: row[2] ? .nan : row[1], timestamp: Timestamp(milliseconds: row[3]), step: row[4],
            modelID: (row[5] as String?).map { LoggedModelID($0) }, datasetName: row[6], datasetDigest: row[7])
    }
}
