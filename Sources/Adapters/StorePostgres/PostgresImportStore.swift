public import AerieCore
import Experiments
public import Imports
import Registry

/// Registered models as they were on another server, in PostgreSQL.
public struct PostgresImportStore: ImportStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    public func put(_ imported: ImportedModel) async throws(AerieError) -> Bool {
        let model = imported.model
        return try await database.write { db in
            let made = try db.query(
                """
                INSERT INTO registered_models (name, description, creation_time, last_update_time, last_version)
                VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING seq
                """,
                [
                    .init(model.name), .init(model.description), .init(model.creationTime.milliseconds),
                    .init(model.lastUpdateTime.milliseconds), .init(imported.versions.map(\.version).max() ?? 0),
                ])
            guard let seq = try made.first?.int(0) else { return false }
            try PostgresSatellite.write(db, "registered_model_tags", owner: seq, model.tags)
            for version in imported.versions {
                let rows = try db.query(
                    """
                    INSERT INTO model_versions (model, version, creation_time, last_update_time, user_id, stage,
                        description, source, location, run_id, run_link, model_id, status)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq
                    """,
                    [
                        .init(seq), .init(version.version), .init(version.creationTime.milliseconds),
                        .init(version.lastUpdateTime.milliseconds), .init(version.userID),
                        .init(version.stage.rawValue), .init(version.description), .init(version.source),
                        .init(version.location), .init(version.runID?.text), .init(version.runLink),
                        .init(version.modelID?.text), .init(version.status.rawValue),
                    ])
                guard let number = try rows.first?.int(0) else { throw PostgresRow.unexpected }
                try PostgresSatellite.write(db, "model_version_tags", owner: number, version.tags)
            }
            for alias in model.aliases where imported.versions.contains(where: { $0.version == alias.version }) {
                try db.execute(
                    "INSERT INTO model_aliases (model, alias, version) VALUES (?, ?, ?)",
                    [.init(seq), .init(alias.alias), .init(alias.version)])
            }
            return true
        }
    }
}
