public import AerieCore
public import Experiments
public import Registry
import SearchSQL

/// Registered models in PostgreSQL.
public struct PostgresRegistryStore: RegistryStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "registered_models", key: "seq", sequence: "seq",
        attributes: [
            "name": "t.name", "creation_timestamp": "t.creation_time", "last_updated_timestamp": "t.last_update_time",
        ],
        satellites: [.tag: "registered_model_tags"], order: [.ascending("t.name")])

    public func create(_ model: RegisteredModel) async throws(AerieError) {
        try await database.write { db in
            let rows = try db.query(
                """
                INSERT INTO registered_models (name, description, creation_time, last_update_time) VALUES (?, ?, ?, ?)
                ON CONFLICT (name) DO NOTHING RETURNING seq
                """,
                [
                    .init(model.name), .init(model.description), .init(model.creationTime.milliseconds),
                    .init(model.lastUpdateTime.milliseconds),
                ])
            guard let seq = try rows.first?.int(0) else { throw Self.taken(model.name) }
            try PostgresSatellite.write(db, "registered_model_tags", owner: seq, model.tags)
        }
    }

    private static func taken(_ name: String) -> AerieError {
        AerieError(.alreadyExists, "Registered Model (name=\(name)) already exists.", reason: "model.exists")
    }

    public func get(_ names: [String]) async throws(AerieError) -> [RegisteredModel] {
        try await database.read { db in
            try PostgresRegistryRows.models(db, try names.compactMap { try PostgresRegistryRows.find(db, $0) })
        }
    }

    public func update(
        _ name: String, _ change: RegisteredModelChange, at time: Timestamp
    ) async throws(AerieError) -> RegisteredModel {
        try await database.write { db in
            let seq = try PostgresRegistryRows.hold(db, name)
            try db.execute(
                """
                UPDATE registered_models SET description = COALESCE(?, description), last_update_time = ? WHERE seq = ?
                """, [.init(change.description), .init(time.milliseconds), .init(seq)])
            if let newName = change.newName, newName != name {
                if try PostgresRegistryRows.find(db, newName) != nil { throw Self.taken(newName) }
                try db.execute("UPDATE registered_models SET name = ? WHERE seq = ?", [.init(newName), .init(seq)])
                try db.execute("UPDATE stage_transitions SET model = ? WHERE model = ?", [.init(newName), .init(name)])
            }
            try PostgresSatellite.write(db, "registered_model_tags", owner: seq, change.setTags)
            for tag in change.deleteTags {
                _ = try PostgresSatellite.delete(db, "registered_model_tags", owner: seq, key: tag)
            }
            for alias in change.setAliases {
                let key = ModelVersionKey(change.newName ?? name, alias.version)
                guard try PostgresRegistryRows.find(db, key) != nil else {
                    throw PostgresRegistryRows.missing(ModelVersionKey(name, alias.version))
                }
                try db.execute(
                    """
                    INSERT INTO model_aliases (model, alias, version) VALUES (?, ?, ?)
                    ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version
                    """, [.init(seq), .init(alias.alias), .init(alias.version)])
            }
            for alias in change.deleteAliases {
                try db.execute("DELETE FROM model_aliases WHERE model = ? AND alias = ?", [.init(seq), .init(alias)])
            }
            guard let model = try PostgresRegistryRows.models(db, [seq]).first else {
                throw PostgresRegistryRows.missing(name)
            }
            return model
        }
    }

    public func delete(_ name: String) async throws(AerieError) {
        try await database.write { db in
            guard try db.execute("DELETE FROM registered_models WHERE name = ?", [.init(name)]) > 0 else {
                throw PostgresRegistryRows.missing(name)
            }
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<RegisteredModel> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .postgres)
            let (keys, next) = try statement.page(PostgresSearch(db), query)
            return Page(try PostgresRegistryRows.models(db, keys), next: next)
        }
    }
}

/// The rows that make up registered models and their versions.
enum PostgresRegistryRows {
    static func missing(_ name: String) -> AerieError { .notFound("Registered Model with name=\(name) not found") }
    static func missing(_ key: ModelVersionKey) -> AerieError {
        .notFound("Model Version (name=\(key.name), version=\(key.version)) not found")
    }

    static func find(_ db: PostgresConnection, _ name: String) throws -> Int64? {
        try db.query("SELECT seq FROM registered_models WHERE name = ?", [.init(name)]).first?.int(0)
    }

    /// The model, which nobody else changes until the transaction ends.
    static func hold(_ db: PostgresConnection, _ name: String) throws -> Int64 {
        let rows = try db.query("SELECT seq FROM registered_models WHERE name = ? FOR UPDATE", [.init(name)])
        guard let seq = try rows.first?.int(0) else { throw missing(name) }
        return seq
    }

    static func find(_ db: PostgresConnection, _ key: ModelVersionKey) throws -> Int64? {
        try db.query(
            """
            SELECT v.seq FROM model_versions v JOIN registered_models m ON m.seq = v.model
            WHERE m.name = ? AND v.version = ?
            """, [.init(key.name), .init(key.version)]
        ).first?.int(0)
    }

    static func models(_ db: PostgresConnection, _ keys: [Int64]) throws -> [RegisteredModel] {
        guard !keys.isEmpty else { return [] }
        let tags = try PostgresSatellite.read(db, "registered_model_tags", owners: keys)
        let latest = try latest(db, keys)
        var aliases: [Int64: [ModelAlias]] = [:]
        let aliasRows = try db.query(
            "SELECT model, alias, version FROM model_aliases WHERE model = ANY(?::bigint[]) ORDER BY model, alias",
            [.array(keys)])
        for row in aliasRows {
            aliases[try row.int(0), default: []].append(
                ModelAlias(alias: try row.text(1), version: Int(try row.int(2))))
        }
        var found: [Int64: RegisteredModel] = [:]
        let rows = try db.query(
            """
            SELECT seq, name, description, creation_time, last_update_time FROM registered_models
            WHERE seq = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            let key = try row.int(0)
            found[key] = RegisteredModel(
                name: try row.text(1), description: try row.text(2), creationTime: try row.time(3),
                lastUpdateTime: try row.time(4), tags: tags[key] ?? [], aliases: aliases[key] ?? [],
                latestVersions: latest[key] ?? [])
        }
        return keys.compactMap { found[$0] }
    }

    /// The newest version in each stage, in the order of versions, by model.
    static func latest(_ db: PostgresConnection, _ models: [Int64]) throws -> [Int64: [ModelVersion]] {
        let rows = try db.query(
            """
            SELECT model, seq FROM (
                SELECT DISTINCT ON (model, stage) model, seq, version FROM model_versions
                WHERE model = ANY(?::bigint[]) ORDER BY model, stage, version DESC) AS newest
            ORDER BY model, version
            """, [.array(models)])
        let owners = try rows.map { try $0.int(0) }
        var result: [Int64: [ModelVersion]] = [:]
        for (owner, version) in zip(owners, try versions(db, try rows.map { try $0.int(1) })) {
            result[owner, default: []].append(version)
        }
        return result
    }

    static func versions(_ db: PostgresConnection, _ keys: [Int64]) throws -> [ModelVersion] {
        guard !keys.isEmpty else { return [] }
        let tags = try PostgresSatellite.read(db, "model_version_tags", owners: keys)
        var aliases: [Int64: [String]] = [:]
        let aliasRows = try db.query(
            """
            SELECT v.seq, a.alias FROM model_aliases a
            JOIN model_versions v ON v.model = a.model AND v.version = a.version
            WHERE v.seq = ANY(?::bigint[]) ORDER BY a.alias
            """, [.array(keys)])
        for row in aliasRows { aliases[try row.int(0), default: []].append(try row.text(1)) }
        var found: [Int64: ModelVersion] = [:]
        let rows = try db.query(
            """
            SELECT v.seq, m.name, v.version, v.creation_time, v.last_update_time, v.user_id, v.stage, v.description,
                v.source, v.location, v.run_id, v.run_link, v.model_id, v.status
            FROM model_versions v JOIN registered_models m ON m.seq = v.model WHERE v.seq = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            let key = try row.int(0)
            found[key] = ModelVersion(
                name: try row.text(1), version: Int(try row.int(2)), creationTime: try row.time(3),
                lastUpdateTime: try row.time(4), userID: try row.text(5),
                stage: ModelStage(rawValue: try row.text(6)) ?? .none, description: try row.text(7),
                source: try row.text(8), location: try row.text(9), runID: row.optionalText(10).map { RunID($0) },
                runLink: try row.text(11), modelID: row.optionalText(12).map { LoggedModelID($0) },
                status: ModelVersion.Status(rawValue: try row.text(13)) ?? .ready, tags: tags[key] ?? [],
                aliases: aliases[key] ?? [])
        }
        return keys.compactMap { found[$0] }
    }
}
