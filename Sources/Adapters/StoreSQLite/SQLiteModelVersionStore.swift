public import AerieCore
public import Experiments
import GRDB
import SearchSQL
public import Registry

/// Versions of registered models in SQLite. Its tables come with `SQLiteRegistryStore.migrations`.
public struct SQLiteModelVersionStore: ModelVersionStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

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
            guard let model = try RegistryRows.find(db, version.name) else { throw RegistryRows.missing(version.name) }
            try db.execute(
                sql: "UPDATE registered_models SET last_version = last_version + 1, last_update_time = ? WHERE seq = ?",
                arguments: [version.creationTime.milliseconds, model])
            var version = version
            version.version = try Int.fetchOne(
                db, sql: "SELECT last_version FROM registered_models WHERE seq = ?", arguments: [model]) ?? 1
            try db.execute(
                sql: """
                    INSERT INTO model_versions (model, version, creation_time, last_update_time, user_id, stage,
                        description,
                        source, location, run_id, run_link, model_id, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                            ?, ?)
                    """,
                arguments: [
                    model, version.version, version.creationTime.milliseconds, version.lastUpdateTime.milliseconds,
                    version.userID, version.stage.rawValue, version.description, version.source, version.location,
                    version.runID?.text, version.runLink, version.modelID?.text, version.status.rawValue,
                ])
            try Satellite.write(db, "model_version_tags", owner: db.lastInsertedRowID, version.tags)
            return version
        }
    }

    public func get(_ keys: [ModelVersionKey]) async throws(AerieError) -> [ModelVersion] {
        try await database.read { db in
            try RegistryRows.versions(db, try keys.compactMap { try RegistryRows.find(db, $0) })
        }
    }

    public func update(
        _ key: ModelVersionKey, _ change: ModelVersionChange, at time: Timestamp
    ) async throws(AerieError) -> ModelVersion {
        try await database.write { db in
            guard let seq = try RegistryRows.find(db, key) else { throw RegistryRows.missing(key) }
            if let description = change.description {
                try db.execute(
                    sql: "UPDATE model_versions SET description = ?, last_update_time = ? WHERE seq = ?",
                    arguments: [description, time.milliseconds, seq])
            }
            try Satellite.write(db, "model_version_tags", owner: seq, change.setTags)
            for tag in change.deleteTags { _ = try Satellite.delete(db, "model_version_tags", owner: seq, key: tag) }
            return try Self.read(db, seq, key)
        }
    }

    public func transition(
        _ key: ModelVersionKey, to stage: ModelStage, archivingOthers: Bool, actor: String, at time: Timestamp
    ) async throws(AerieError) -> ModelVersion {
        try await database.write { db in
            guard let seq = try RegistryRows.find(db, key), let model = try RegistryRows.find(db, key.name) else {
                throw RegistryRows.missing(key)
            }
            if archivingOthers {
                let others = try Row.fetchAll(
                    db, sql: "SELECT seq, version FROM model_versions WHERE model = ? AND stage = ? AND seq <> ?",
                    arguments: [model, stage.rawValue, seq])
                for row in others {
                    try Self.move(db, row[0], ModelVersionKey(key.name, row[1]), to: .archived, actor: actor, at: time)
                }
            }
            try Self.move(db, seq, key, to: stage, actor: actor, at: time)
            try db.execute(
                sql: "UPDATE registered_models SET last_update_time = ? WHERE seq = ?", arguments: [time.milliseconds,
                    model])
            return try Self.read(db, seq, key)
        }
    }

    private static func move(
        _ db: Database, _ seq: Int64, _ key: ModelVersionKey, to stage: ModelStage, actor: String, at time: Timestamp
    ) throws {
        let old = try String.fetchOne(db, sql: "SELECT stage FROM model_versions WHERE seq = ?", arguments: [seq])
        try db.execute(
            sql: "UPDATE model_versions SET stage = ?, last_update_time = ? WHERE seq = ?",
            arguments: [stage.rawValue, time.milliseconds, seq])
        guard let old, old != stage.rawValue else { return }
        try db.execute(
            sql: """
                INSERT INTO stage_transitions (model, version, from_stage, to_stage, actor, time) VALUES (?, ?, ?, ?,
                    ?, ?)
                """, arguments: [key.name, key.version, old, stage.rawValue, actor, time.milliseconds])
    }

    public func delete(_ key: ModelVersionKey, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            guard let seq = try RegistryRows.find(db, key) else { throw RegistryRows.missing(key) }
            try db.execute(sql: "DELETE FROM model_versions WHERE seq = ?", arguments: [seq])
            try db.execute(
                sql: "UPDATE registered_models SET last_update_time = ? WHERE name = ?",
                arguments: [time.milliseconds, key.name])
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<ModelVersion> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .sqlite)
            let (keys, next) = try statement.page(SQLiteSearch(db), query)
            return Page(try RegistryRows.versions(db, keys), next: next)
        }
    }

    public func latest(_ name: String, stages: [ModelStage]) async throws(AerieError) -> [ModelVersion] {
        try await database.read { db in
            guard let model = try RegistryRows.find(db, name) else { throw RegistryRows.missing(name) }
            return try RegistryRows.latest(db,
                [model])[model]?.filter { stages.isEmpty || stages.contains($0.stage) } ?? []
        }
    }

    public func transitions(_ name: String, version: Int?, limit: Int) async throws(AerieError) -> [StageTransition] {
        try await database.read { db in
            let rows = try Row.fetchAll(
                db, sql: """
                    SELECT model, version, from_stage, to_stage, actor, time FROM stage_transitions
                    WHERE model = ? AND (? IS NULL OR version = ?) ORDER BY seq DESC LIMIT ?
                    """, arguments: [name, version, version, limit])
            return rows.map { row in
                StageTransition(
                    name: row[0], version: row[1], from: ModelStage(rawValue: row[2]) ?? .none,
                    to: ModelStage(rawValue: row[3]) ?? .none, actor: row[4], time: Timestamp(milliseconds: row[5]))
            }
        }
    }

    private static func read(_ db: Database, _ seq: Int64, _ key: ModelVersionKey) throws -> ModelVersion {
        guard let version = try RegistryRows.versions(db, [seq]).first else { throw RegistryRows.missing(key) }
        return version
    }
}
