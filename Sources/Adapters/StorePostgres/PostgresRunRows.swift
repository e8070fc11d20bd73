import AerieCore
import Experiments

/// The rows that make up a run.
enum PostgresRunRows {
    struct Found {
        var seq: Int64
        var experiment: Int64
        var isActive: Bool
    }

    /// - Parameter holding: keeps others from changing the run's stage until the transaction ends.
    static func find(_ db: PostgresConnection, _ id: RunID, holding: Bool = false) throws -> Found? {
        let sql = "SELECT seq, experiment, stage FROM runs WHERE id = ?" + (holding ? " FOR SHARE" : "")
        guard let row = try db.query(sql, [.init(id.text)]).first else { return nil }
        return Found(seq: try row.int(0), experiment: try row.int(1), isActive: try row.text(2) == "active")
    }

    /// The run, to be written to.
    static func active(_ db: PostgresConnection, _ id: RunID) throws -> Found {
        guard let run = try find(db, id, holding: true) else { throw missing(id) }
        guard run.isActive else {
            throw AerieError(
                .failedPrecondition, "The run \(id) must be in the 'active' state. Current state is deleted.",
                reason: "run.deleted")
        }
        return run
    }

    static func missing(_ id: RunID) -> AerieError { .notFound("Run with id=\(id) not found") }

    // MARK: Writing

    static func write(_ db: PostgresConnection, _ seq: Int64, _ params: [Param]) throws {
        guard !params.isEmpty else { return }
        let params = params.sorted { $0.key < $1.key }
        let keys = PostgresValue.array(params.map(\.key))
        try db.execute(
            """
            INSERT INTO run_params (owner, key, value)
            SELECT ?::bigint, key, value FROM unnest(?::text[], ?::text[]) AS given (key, value)
            ON CONFLICT (owner, key) DO NOTHING
            """, [.init(seq), keys, .array(params.map(\.value))])
        var kept: [String: String] = [:]
        let rows = try db.query(
            "SELECT key, value FROM run_params WHERE owner = ? AND key = ANY(?::text[])", [.init(seq), keys])
        for row in rows { kept[try row.text(0)] = try row.text(1) }
        for param in params {
            guard let old = kept[param.key], old != param.value else { continue }
            throw AerieError.invalid(
                "params",
                "Changing param values is not allowed. Param with key='\(param.key)' was already logged with "
                    + "value='\(old)'. Attempted logging new value '\(param.value)'.")
        }
    }

    /// Every point in one statement and the latest of each key in another; both by key, so that no two writers wait for
    /// each other in a circle.
    static func write(_ db: PostgresConnection, _ seq: Int64, _ metrics: [Metric]) throws {
        guard !metrics.isEmpty else { return }
        func columns(_ metrics: [Metric]) -> [PostgresValue] {
            [
                .init(seq), .array(metrics.map(\.key)), .array(metrics.map(\.step)),
                .array(metrics.map(\.timestamp.milliseconds)), .array(metrics.map { PostgresValue(stored($0.value)) }),
                .array(metrics.map { $0.value.isNaN ? Int64(1) : 0 }),
                .array(metrics.map { PostgresValue($0.modelID?.text) }),
                .array(metrics.map { PostgresValue($0.datasetName) }),
                .array(metrics.map { PostgresValue($0.datasetDigest) }),
            ]
        }
        let names = "owner, key, step, timestamp, value, is_nan, model_id, dataset_name, dataset_digest"
        let given = """
            SELECT ?::bigint, * FROM unnest(?::text[], ?::bigint[], ?::bigint[], ?::double precision[], ?::smallint[],
                ?::text[], ?::text[], ?::text[]) AS given
            """
        let sorted = metrics.sorted { $0.key < $1.key }
        try db.execute("INSERT INTO metrics (\(names)) \(given) ON CONFLICT DO NOTHING", columns(sorted))
        var latest: [String: Metric] = [:]
        for metric in metrics where latest[metric.key].map({ isLater(metric, than: $0) }) ?? true {
            latest[metric.key] = metric
        }
        try db.execute(
            """
            INSERT INTO latest_metrics AS old (\(names)) \(given)
            ON CONFLICT (owner, key) DO UPDATE SET step = excluded.step, timestamp = excluded.timestamp,
                value = excluded.value, is_nan = excluded.is_nan, model_id = excluded.model_id,
                dataset_name = excluded.dataset_name, dataset_digest = excluded.dataset_digest
            WHERE (excluded.step, excluded.timestamp, excluded.value) > (old.step, old.timestamp, old.value)
            """, columns(latest.values.sorted { $0.key < $1.key }))
    }

    private static func isLater(_ a: Metric, than b: Metric) -> Bool {
        (a.step, a.timestamp.milliseconds, stored(a.value)) > (b.step, b.timestamp.milliseconds, stored(b.value))
    }

    /// Infinities are kept as the greatest numbers, as clients read them back; NaN as 0 beside its mark.
    static func stored(_ value: Double) -> Double {
        if value.isNaN { return 0 }
        return min(max(value, -Double.greatestFiniteMagnitude), Double.greatestFiniteMagnitude)
    }

    static func link(_ db: PostgresConnection, _ run: Found, _ links: RunLinks) throws {
        for dataset in links.datasets {
            try db.execute(
                """
                INSERT INTO datasets (experiment, name, digest, source_type, source, schema, profile)
                VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                """,
                [
                    .init(run.experiment), .init(dataset.name), .init(dataset.digest), .init(dataset.sourceType),
                    .init(dataset.source), .init(dataset.schema), .init(dataset.profile),
                ])
            let rows = try db.query(
                "SELECT seq FROM datasets WHERE experiment = ? AND name = ? AND digest = ?",
                [.init(run.experiment), .init(dataset.name), .init(dataset.digest)])
            guard let key = try rows.first?.int(0) else { throw PostgresRow.unexpected }
            try db.execute(
                "INSERT INTO run_datasets (run, dataset) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [.init(run.seq), .init(key)])
            for tag in dataset.tags {
                try db.execute(
                    """
                    INSERT INTO run_dataset_tags (run, dataset, key, value) VALUES (?, ?, ?, ?)
                    ON CONFLICT (run, dataset, key) DO UPDATE SET value = excluded.value
                    """, [.init(run.seq), .init(key), .init(tag.key), .init(tag.value)])
            }
        }
        let insert = """
            INSERT INTO run_models (run, is_output, model_id, step) VALUES (?, ?, ?, ?)
            ON CONFLICT (run, is_output, model_id) DO UPDATE SET step = excluded.step
            """
        for model in links.modelInputs { try db.execute(insert, [.init(run.seq), 0, .init(model.text), 0]) }
        for model in links.modelOutputs {
            try db.execute(insert, [.init(run.seq), 1, .init(model.modelID.text), .init(model.step)])
        }
    }

    // MARK: Reading

    static func read(_ db: PostgresConnection, _ keys: [Int64]) throws -> [Run] {
        guard !keys.isEmpty else { return [] }
        let infos = try infos(db, keys)
        let params = try PostgresSatellite.read(db, "run_params", owners: keys)
        let tags = try PostgresSatellite.read(db, "run_tags", owners: keys)
        let owners = PostgresValue.array(keys)
        var metrics: [Int64: [Metric]] = [:]
        let points = try db.query(
            """
            SELECT key, value, is_nan, timestamp, step, model_id, dataset_name, dataset_digest, owner
            FROM latest_metrics WHERE owner = ANY(?::bigint[]) ORDER BY owner, key
            """, [owners])
        for row in points { metrics[try row.int(8), default: []].append(try metric(row)) }
        var inputs: [Int64: [LoggedModelID]] = [:]
        var outputs: [Int64: [ModelOutput]] = [:]
        let models = try db.query(
            """
            SELECT run, is_output, model_id, step FROM run_models WHERE run = ANY(?::bigint[])
            ORDER BY run, step, model_id
            """, [owners])
        for row in models {
            let id = LoggedModelID(try row.text(2))
            if try row.int(1) == 1 {
                outputs[try row.int(0), default: []].append(ModelOutput(modelID: id, step: try row.int(3)))
            } else {
                inputs[try row.int(0), default: []].append(id)
            }
        }
        let datasets = try datasets(db, owners)
        return keys.compactMap { key in
            guard let info = infos[key] else { return nil }
            return Run(
                info: info, metrics: metrics[key] ?? [],
                params: (params[key] ?? []).map { Param(key: $0.key, value: $0.value) }, tags: tags[key] ?? [],
                datasets: datasets[key] ?? [], modelInputs: inputs[key] ?? [], modelOutputs: outputs[key] ?? [])
        }
    }

    static func infos(_ db: PostgresConnection, _ keys: [Int64]) throws -> [Int64: RunInfo] {
        var result: [Int64: RunInfo] = [:]
        let rows = try db.query(
            """
            SELECT seq, id, experiment, name, user_id, status, start_time, end_time, artifact_uri, stage
            FROM runs WHERE seq = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            result[try row.int(0)] = RunInfo(
                id: RunID(try row.text(1)), experimentID: ExperimentID(try row.text(2)), name: try row.text(3),
                userID: try row.text(4), status: RunStatus(rawValue: try row.text(5)) ?? .running,
                startTime: try row.time(6), endTime: row.optionalInt(7).map { Timestamp(milliseconds: $0) },
                artifactURI: try row.text(8), stage: LifecycleStage(rawValue: try row.text(9)) ?? .active)
        }
        return result
    }

    private static func datasets(
        _ db: PostgresConnection, _ owners: PostgresValue
    ) throws -> [Int64: [DatasetInput]] {
        let rows = try db.query(
            """
            SELECT r.run, d.seq, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
            FROM run_datasets r JOIN datasets d ON d.seq = r.dataset WHERE r.run = ANY(?::bigint[]) ORDER BY d.seq
            """, [owners])
        guard !rows.isEmpty else { return [:] }
        var tags: [[Int64]: [Tag]] = [:]
        let tagRows = try db.query(
            "SELECT run, dataset, key, value FROM run_dataset_tags WHERE run = ANY(?::bigint[]) ORDER BY key", [owners])
        for row in tagRows {
            tags[[try row.int(0), try row.int(1)], default: []].append(
                Tag(key: try row.text(2), value: try row.text(3)))
        }
        var result: [Int64: [DatasetInput]] = [:]
        for row in rows {
            let run = try row.int(0)
            result[run, default: []].append(
                DatasetInput(
                    name: try row.text(2), digest: try row.text(3), sourceType: try row.text(4),
                    source: try row.text(5), schema: row.optionalText(6), profile: row.optionalText(7),
                    tags: tags[[run, try row.int(1)]] ?? []))
        }
        return result
    }

    /// From columns 0 to 7: key, value, is_nan, timestamp, step, model, dataset name and digest.
    static func metric(_ row: PostgresRow) throws -> Metric {
        Metric(
            key: try row.text(0), value: try row.int(2) == 1 ? .nan : try row.double(1), timestamp: try row.time(3),
            step: try row.int(4), modelID: row.optionalText(5).map { LoggedModelID($0) },
            datasetName: row.optionalText(6), datasetDigest: row.optionalText(7))
    }
}
