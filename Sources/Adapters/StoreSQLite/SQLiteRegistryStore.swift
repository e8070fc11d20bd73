public import AerieCore
public import Experiments
import GRDB
import SearchSQL
public import Registry

/// Registered models in SQLite.
public struct SQLiteRegistryStore: RegistryStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "registered_models", key: "seq", sequence: "seq",
        attributes: [
            "name": "t.name", "creation_timestamp": "t.creation_time", "last_updated_timestamp": "t.last_update_time",
        ],
        satellites: [.tag: "registered_model_tags"], order: [.ascending("t.name")])

    public func create(_ model: RegisteredModel) async throws(AerieError) {
        try await database.write { db in
            if try RegistryRows.find(db, model.name) != nil { throw Self.taken(model.name) }
            try db.execute(
                sql:
                    "INSERT INTO registered_models (name, description, creation_time, last_update_time) VALUES (?, ?, ?, ?)",
                arguments: [
                    model.name, model.description, model.creationTime.milliseconds, model.lastUpdateTime.milliseconds,
                ])
            try Satellite.write(db, "registered_model_tags", owner: db.lastInsertedRowID, model.tags)
        }
    }

    private static func taken(_ name: String) -> AerieError {
        AerieError(.alreadyExists, "Registered Model (name=\(name)) already exists.", reason: "model.exists")
    }

    public func get(_ names: [String]) async throws(AerieError) -> [RegisteredModel] {
        try await database.read { db in
            try RegistryRows.models(db, try names.compactMap { try RegistryRows.find(db, $0) })
        }
    }

    public func update(
        _ name: String, _ change: RegisteredModelChange, at time: Timestamp
    ) async throws(AerieError) -> RegisteredModel {
        try await database.write { db in
            guard let seq = try RegistryRows.find(db, name) else { throw RegistryRows.missing(name) }
            try db.execute(
                sql:
                    "UPDATE registered_models SET description = COALESCE(?, description), last_update_time = ? WHERE seq = ?",
                arguments: [change.description, time.milliseconds, seq])
            if let newName = change.newName, newName != name {
                if try RegistryRows.find(db, newName) != nil { throw Self.taken(newName) }
                try db.execute(sql: "UPDATE registered_models SET name = ? WHERE seq = ?", arguments: [newName, seq])
                try db.execute(
                    sql: "UPDATE stage_transitions SET model = ? WHERE model = ?",
                    arguments: [
                        newName,
                        name,
                    ])
            }
            try Satellite.write(db, "registered_model_tags", owner: seq, change.setTags)
            for tag in change.deleteTags { _ = try Satellite.delete(db, "registered_model_tags", owner: seq, key: tag) }
            for alias in change.setAliases {
                guard try RegistryRows.find(db, ModelVersionKey(name, alias.version)) != nil else {
                    throw RegistryRows.missing(ModelVersionKey(name, alias.version))
                }
                try db.execute(
                    sql: """
                        INSERT INTO model_aliases (model, alias, version) VALUES (?, ?, ?)
                        ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version
                        """, arguments: [seq, alias.alias, alias.version])
            }
            for alias in change.deleteAliases {
                try db.execute(sql: "DELETE FROM model_aliases WHERE model = ? AND alias = ?", arguments: [seq, alias])
            }
            guard let model = try RegistryRows.models(db, [seq]).first else { throw RegistryRows.missing(name) }
            return model
        }
    }

    public func delete(_ name: String) async throws(AerieError) {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM registered_models WHERE name = ?", arguments: [name])
            guard db.changesCount > 0 else { throw RegistryRows.missing(name) }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<RegisteredModel> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .sqlite)
            let (keys, next) = try statement.page(SQLiteSearch(db), query)
            return Page(try RegistryRows.models(db, keys), next: next)
        }
    }
}
