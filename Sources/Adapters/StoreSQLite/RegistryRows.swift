import AerieCore
import Experiments
import GRDB
import Registry

/// The rows that make up registered models and their versions.
enum RegistryRows {
    static func missing(_ name: String) -> AerieError { .notFound("Registered Model with name=\(name) not found") }
    static func missing(_ key: ModelVersionKey) -> AerieError {
        .notFound("Model Version (name=\(key.name), version=\(key.version)) not found")
    }

    static func find(_ db: Database, _ name: String) throws -> Int64? {
        let statement = try db.cachedStatement(sql: "SELECT seq FROM registered_models WHERE name = ?")
        return try Int64.fetchOne(statement, arguments: [name])
    }

    static func find(_ db: Database, _ key: ModelVersionKey) throws -> Int64? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT v.seq FROM model_versions v JOIN registered_models m ON m.seq = v.model
                WHERE m.name = ? AND v.version = ?
                """)
        return try Int64.fetchOne(statement, arguments: [key.name, key.version])
    }

    static func models(_ db: Database, _ keys: [Int64]) throws -> [RegisteredModel] {
        let tags = try Satellite.read(db, "registered_model_tags", owners: keys)
        let latest = try latest(db, keys)
        var aliases: [Int64: [ModelAlias]] = [:]
        for chunk in keys.chunks(of: 500) {
            let rows = try Row.fetchCursor(
                db, sql: """
                    SELECT model, alias, version FROM model_aliases
                    WHERE model IN (\(Satellite.marks(chunk.count))) ORDER BY model, alias
                    """, arguments: StatementArguments(chunk))
            while let row = try rows.next() {
                aliases[row[0], default: []].append(ModelAlias(alias: row[1], version: row[2]))
            }
        }
        let statement = try db.cachedStatement(
            sql: "SELECT name, description, creation_time, last_update_time FROM registered_models WHERE seq = ?")
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            return RegisteredModel(
                name: row[0], description: row[1], creationTime: Timestamp(milliseconds: row[2]),
                lastUpdateTime: Timestamp(milliseconds: row[3]), tags: tags[key] ?? [], aliases: aliases[key] ?? [],
                latestVersions: latest[key] ?? [])
        }
    }

    /// The newest version in each stage, in the order of versions, by model.
    static func latest(_ db: Database, _ models: [Int64]) throws -> [Int64: [ModelVersion]] {
        var owners: [Int64] = []
        var keys: [Int64] = []
        for chunk in models.chunks(of: 500) {
            let rows = try Row.fetchCursor(
                db, sql: """
                    SELECT v.model, v.seq FROM model_versions v JOIN (
                        SELECT model, stage, MAX(version) AS version FROM model_versions
                        WHERE model IN (\(Satellite.marks(chunk.count))) GROUP BY model, stage) newest
                    ON newest.model = v.model AND newest.version = v.version ORDER BY v.model, v.version
                    """, arguments: StatementArguments(chunk))
            while let row = try rows.next() {
                owners.append(row[0])
                keys.append(row[1])
            }
        }
        var result: [Int64: [ModelVersion]] = [:]
        for (owner, version) in zip(owners, try versions(db, keys)) { result[owner, default: []].append(version) }
        return result
    }

    static func versions(_ db: Database, _ keys: [Int64]) throws -> [ModelVersion] {
        let tags = try Satellite.read(db, "model_version_tags", owners: keys)
        let statement = try db.cachedStatement(
            sql: """
                SELECT m.name, v.version, v.creation_time, v.last_update_time, v.user_id, v.stage, v.description,
                    v.source,
                    v.location, v.run_id, v.run_link, v.model_id, v.status, v.model
                FROM model_versions v JOIN registered_models m ON m.seq = v.model WHERE v.seq = ?
                """)
        let aliasStatement = try db.cachedStatement(
            sql: "SELECT alias FROM model_aliases WHERE model = ? AND version = ? ORDER BY alias")
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            let aliases = try String.fetchAll(aliasStatement, arguments: [row[13] as Int64, row[1] as Int])
            return ModelVersion(
                name: row[0], version: row[1], creationTime: Timestamp(milliseconds: row[2]),
                lastUpdateTime: Timestamp(milliseconds: row[3]), userID: row[4],
                    stage: ModelStage(rawValue: row[5]) ?? .none,
                description: row[6], source: row[7], location: row[8], runID: (row[9] as String?).map { RunID($0) },
                runLink: row[10], modelID: (row[11] as String?).map { LoggedModelID($0) },
                status: ModelVersion.Status(rawValue: row[12]) ?? .ready, tags: tags[key] ?? [], aliases: aliases)
        }
    }
}
