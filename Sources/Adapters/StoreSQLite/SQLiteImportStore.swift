public import AerieCore
import Experiments
import GRDB
public import Imports
import Registry

/// Registered models as they were on another server, in SQLite.
public struct SQLiteImportStore: ImportStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    public func put(_ imported: ImportedModel) async throws(AerieError) -> Bool {
        let model = imported.model
        return try await database.write { db in
            if try RegistryRows.find(db, model.name) != nil { return false }
            try db.execute(
                sql: """
                    INSERT INTO registered_models (name, description, creation_time, last_update_time, last_version)
                    VALUES (?, ?, ?, ?, ?)
                    """,
                arguments: [
                    model.name, model.description, model.creationTime.milliseconds, model.lastUpdateTime.milliseconds,
                    imported.versions.map(\.version).max() ?? 0,
                ])
            let seq = db.lastInsertedRowID
            try Satellite.write(db, "registered_model_tags", owner: seq, model.tags)
            for version in imported.versions {
                try db.execute(
                    sql: """
                        INSERT INTO model_versions (model, version, creation_time, last_update_time, user_id, stage,
                            description, source, location, run_id, run_link, model_id, status)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        seq, version.version, version.creationTime.milliseconds, version.lastUpdateTime.milliseconds,
                        version.userID, version.stage.rawValue, version.description, version.source, version.location,
                        version.runID?.text, version.runLink, version.modelID?.text, version.status.rawValue,
                    ])
                try Satellite.write(db, "model_version_tags", owner: db.lastInsertedRowID, version.tags)
            }
            for alias in model.aliases where imported.versions.contains(where: { $0.version == alias.version }) {
                try db.execute(
                    sql: "INSERT INTO model_aliases (model, alias, version) VALUES (?, ?, ?)",
                    arguments: [seq, alias.alias, alias.version])
            }
            return true
        }
    }
}
