public import AerieCore
public import Experiments
public import Registry
import SearchSQL

/// Versions of registered models in PostgreSQL. Whoever changes a version holds its model, so that numbers and stages
/// are given out one after the other.
public struct PostgresModelVersionStore: ModelVersionStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "model_versions", key: "seq", sequence: "seq",
        attributes: [
            "name": "(SELECT m.name FROM registered_models m WHERE m.seq = t.model)", "version_number": "t.version",
            "run_id": "t.run_id", "source_path": "t.source", "model_id": "t.model_id",
            "creation_timestamp": "t.creation_time", "last_updated_timestamp": "t.last_update_time",
        ],
        nullable: ["run_id": .text, "model_id": .text], satellites: [.tag: "model_version_tags"],
        order: [.descending("t.last_update_time"), .ascending("t.model"), .descending("t.version")])

    public func create(_ version: ModelVersion) async throws(AerieError) -> ModelVersion {
        try await database.write { db in
            let rows = try db.query(
                """
                UPDATE registered_models SET last_version = last_version + 1, last_update_time = ? WHERE name = ?
                RETURNING seq, last_version
                """, [.init(version.creationTime.milliseconds), .init(version.name)])
            guard let row = rows.first else { throw PostgresRegistryRows.missing(version.name) }
            var version = version
            version.version = Int(try row.int(1))
            let made = try db.query(
                """
                INSERT INTO model_versions (model, version, creation_time, last_update_time, user_id, stage, description,
                    source, location, run_id, run_link, model_id, status)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq
                """,
                [
                    .init(try row.int(0)), .init(version.version), .init(version.creationTime.milliseconds),
                    .init(version.lastUpdateTime.milliseconds), .init(version.userID), .init(version.stage.rawValue),
                    .init(version.description), .init(version.source), .init(version.location),
                    .init(version.runID?.text), .init(version.runLink), .init(version.modelID?.text),
                    .init(version.status.rawValue),
                ])
            guard let seq = try made.first?.int(0) else { throw PostgresRow.unexpected }
            try PostgresSatellite.write(db, "model_version_tags", owner: seq, version.tags)
            return version
        }
    }

    public func get(_ keys: [ModelVersionKey]) async throws(AerieError) -> [ModelVersion] {
        try await database.read { db in
            try PostgresRegistryRows.versions(db, try keys.compactMap { try PostgresRegistryRows.find(db, $0) })
        }
    }

    public func update(
        _ key: ModelVersionKey, _ change: ModelVersionChange, at time: Timestamp
    ) async throws(AerieError) -> ModelVersion {
        try await database.write { db in
            guard let seq = try PostgresRegistryRows.find(db, key) else { throw PostgresRegistryRows.missing(key) }
            if let description = change.description {
                try db.execute(
                    "UPDATE model_versions SET description = ?, last_update_time = ? WHERE seq = ?",
                    [.init(description), .init(time.milliseconds), .init(seq)])
            }
            try PostgresSatellite.write(db, "model_version_tags", owner: seq, change.setTags)
            for tag in change.deleteTags {
                _ = try PostgresSatellite.delete(db, "model_version_tags", owner: seq, key: tag)
            }
            return try Self.read(db, seq, key)
        }
    }

    public func transition(
        _ key: ModelVersionKey, to stage: ModelStage, archivingOthers: Bool, actor: String, at time: Timestamp
    ) async throws(AerieError) -> ModelVersion {
        try await database.write { db in
            guard try PostgresRegistryRows.find(db, key) != nil else { throw PostgresRegistryRows.missing(key) }
            let model = try PostgresRegistryRows.hold(db, key.name)
            guard let seq = try PostgresRegistryRows.find(db, key) else { throw PostgresRegistryRows.missing(key) }
            if archivingOthers {
                let others = try db.query(
                    "SELECT seq, version FROM model_versions WHERE model = ? AND stage = ? AND seq <> ? ORDER BY version",
                    [.init(model), .init(stage.rawValue), .init(seq)])
                for row in others {
                    let other = ModelVersionKey(key.name, Int(try row.int(1)))
                    try Self.move(db, try row.int(0), other, to: .archived, actor: actor, at: time)
                }
            }
            try Self.move(db, seq, key, to: stage, actor: actor, at: time)
            try db.execute(
                "UPDATE registered_models SET last_update_time = ? WHERE seq = ?",
                [.init(time.milliseconds), .init(model)])
            return try Self.read(db, seq, key)
        }
    }

    private static func move(
        _ db: PostgresConnection, _ seq: Int64, _ key: ModelVersionKey, to stage: ModelStage, actor: String,
        at time: Timestamp
    ) throws {
        let old = try db.query("SELECT stage FROM model_versions WHERE seq = ?", [.init(seq)]).first?.text(0)
        try db.execute(
            "UPDATE model_versions SET stage = ?, last_update_time = ? WHERE seq = ?",
            [.init(stage.rawValue), .init(time.milliseconds), .init(seq)])
        guard let old, old != stage.rawValue else { return }
        try db.execute(
            """
            INSERT INTO stage_transitions (model, version, from_stage, to_stage, actor, time)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [
                .init(key.name), .init(key.version), .init(old), .init(stage.rawValue), .init(actor),
                .init(time.milliseconds),
            ])
    }

    public func delete(_ key: ModelVersionKey, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            guard let seq = try PostgresRegistryRows.find(db, key) else { throw PostgresRegistryRows.missing(key) }
            try db.execute("DELETE FROM model_versions WHERE seq = ?", [.init(seq)])
            try db.execute(
                "UPDATE registered_models SET last_update_time = ? WHERE name = ?",
                [.init(time.milliseconds), .init(key.name)])
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<ModelVersion> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .postgres)
            let (keys, next) = try statement.page(PostgresSearch(db), query)
            return Page(try PostgresRegistryRows.versions(db, keys), next: next)
        }
    }

    public func latest(_ name: String, stages: [ModelStage]) async throws(AerieError) -> [ModelVersion] {
        try await database.read { db in
            guard let model = try PostgresRegistryRows.find(db, name) else { throw PostgresRegistryRows.missing(name) }
            let newest = try PostgresRegistryRows.latest(db, [model])[model] ?? []
            return newest.filter { stages.isEmpty || stages.contains($0.stage) }
        }
    }

    public func transitions(_ name: String, version: Int?, limit: Int) async throws(AerieError) -> [StageTransition] {
        try await database.read { db in
            let rows = try db.query(
                """
                SELECT model, version, from_stage, to_stage, actor, time FROM stage_transitions
                WHERE model = ? AND (?::bigint IS NULL OR version = ?::bigint) ORDER BY seq DESC LIMIT ?
                """,
                [.init(name), .init(version.map { Int64($0) }), .init(version.map { Int64($0) }), .init(limit)])
            return try rows.map { row in
                StageTransition(
                    name: try row.text(0), version: Int(try row.int(1)),
                    from: ModelStage(rawValue: try row.text(2)) ?? .none,
                    to: ModelStage(rawValue: try row.text(3)) ?? .none, actor: try row.text(4), time: try row.time(5))
            }
        }
    }

    private static func read(
        _ db: PostgresConnection, _ seq: Int64, _ key: ModelVersionKey
    ) throws -> ModelVersion {
        guard let version = try PostgresRegistryRows.versions(db, [seq]).first else {
            throw PostgresRegistryRows.missing(key)
        }
        return version
    }
}
