public import AerieCore
public import Experiments
import SearchSQL

/// Experiments in PostgreSQL.
public struct PostgresExperimentStore: ExperimentStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "experiments", key: "id", sequence: "id",
        attributes: [
            "name": "t.name", "experiment_id": "t.id", "creation_time": "t.creation_time",
            "last_update_time": "t.last_update_time",
        ],
        satellites: [.tag: "experiment_tags"], order: [.descending("t.creation_time"), .descending("t.id")])

    public func create(_ draft: ExperimentDraft) async throws(AerieError) -> Experiment {
        let wanted = try Self.number(draft.id)
        return try await database.write { db in
            if let row = try db.query("SELECT stage FROM experiments WHERE name = ?", [.init(draft.name)]).first {
                let hint =
                    try row.text(0) == "deleted"
                    ? " in deleted state. You can restore the experiment, or permanently delete it to create a new one."
                    : "."
                throw AerieError(
                    .alreadyExists, "Experiment '\(draft.name)' already exists\(hint)", reason: "experiment.exists")
            }
            let id = try Self.insert(db, draft, wanted)
            var location = draft.artifactLocation ?? ""
            if location.isEmpty {
                let root =
                    draft.artifactRoot.hasSuffix("/") ? String(draft.artifactRoot.dropLast()) : draft.artifactRoot
                location = "\(root)/\(id)"
                try db.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE id = ?", [.init(location), .init(id)])
            }
            try PostgresSatellite.write(db, "experiment_tags", owner: id, draft.tags)
            return Experiment(
                id: ExperimentID("\(id)"), name: draft.name, artifactLocation: location, creationTime: draft.time,
                lastUpdateTime: draft.time, tags: draft.tags)
        }
    }

    private static func number(_ id: ExperimentID?) throws(AerieError) -> Int64? {
        guard let id else { return nil }
        guard let number = Int64(id.text), number >= 0 else {
            throw .invalid("experiment_id", "'\(id)' is no whole number")
        }
        return number
    }

    private static func insert(_ db: PostgresConnection, _ draft: ExperimentDraft, _ wanted: Int64?) throws -> Int64 {
        if let wanted {
            if try !db.query("SELECT 1 FROM experiments WHERE id = ?", [.init(wanted)]).isEmpty {
                throw AerieError(
                    .alreadyExists, "Experiment with id=\(wanted) exists already", reason: "experiment.exists")
            }
        }
        let time = PostgresValue(draft.time.milliseconds)
        let values: [PostgresValue] = [.init(draft.name), .init(draft.artifactLocation ?? ""), time, time]
        let rows = try db.query(
            """
            INSERT INTO experiments (\(wanted == nil ? "" : "id, ")name, artifact_location, stage, creation_time,
                last_update_time) VALUES (\(wanted == nil ? "" : "?, ")?, ?, 'active', ?, ?) RETURNING id
            """, (wanted.map { [PostgresValue($0)] } ?? []) + values)
        guard let id = try rows.first?.int(0) else { throw PostgresRow.unexpected }
        if wanted != nil {
            // Those given later are above it.
            _ = try db.query(
                """
                SELECT setval(pg_get_serial_sequence('experiments', 'id'),
                    GREATEST(?::bigint, nextval(pg_get_serial_sequence('experiments', 'id'))))
                """, [.init(id)])
        }
        return id
    }

    public func get(_ ids: [ExperimentID]) async throws(AerieError) -> [Experiment] {
        let keys = ids.compactMap { Int64($0.text) }
        return try await database.read { db in try Self.read(db, keys) }
    }

    public func find(name: String) async throws(AerieError) -> Experiment? {
        guard !name.utf8.contains(0) else { return nil }
        return try await database.read { db in
            let id = try db.query("SELECT id FROM experiments WHERE name = ?", [.init(name)]).first?.int(0)
            return try id.flatMap { try Self.read(db, [$0]).first }
        }
    }

    public func update(_ id: ExperimentID, _ change: ExperimentChange, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            guard let key = Int64(id.text),
                let row = try db.query("SELECT stage FROM experiments WHERE id = ? FOR UPDATE", [.init(key)]).first
            else { throw AerieError.notFound("No Experiment with id=\(id) exists") }
            let stage = try row.text(0)
            try db.execute(
                "UPDATE experiments SET last_update_time = ? WHERE id = ?", [.init(time.milliseconds), .init(key)])
            if let name = change.name {
                let owner = try db.query("SELECT id FROM experiments WHERE name = ?", [.init(name)]).first?.int(0)
                if let owner, owner != key {
                    throw AerieError(
                        .alreadyExists, "Experiment '\(name)' already exists.", reason: "experiment.exists")
                }
                try db.execute("UPDATE experiments SET name = ? WHERE id = ?", [.init(name), .init(key)])
            }
            if let newStage = change.stage {
                guard newStage.rawValue != stage else {
                    throw AerieError.notFound("No Experiment with id=\(id) exists that is not \(stage) already")
                }
                try Self.setStage(db, key, newStage, time)
            }
            try PostgresSatellite.write(db, "experiment_tags", owner: key, change.setTags)
            for tag in change.deleteTags
            where try !PostgresSatellite.delete(db, "experiment_tags", owner: key, key: tag) {
                throw AerieError.notFound("No tag with name: \(tag) in experiment with id \(id)")
            }
        }
    }

    private static func setStage(
        _ db: PostgresConnection, _ key: Int64, _ stage: LifecycleStage, _ time: Timestamp
    ) throws {
        try db.execute("UPDATE experiments SET stage = ? WHERE id = ?", [.init(stage.rawValue), .init(key)])
        if stage == .deleted {
            try db.execute(
                """
                UPDATE runs SET stage = 'deleted', deleted_with = 1, deleted_time = ?
                WHERE experiment = ? AND stage = 'active'
                """, [.init(time.milliseconds), .init(key)])
        } else {
            try db.execute(
                """
                UPDATE runs SET stage = 'active', deleted_with = 0, deleted_time = NULL
                WHERE experiment = ? AND deleted_with = 1
                """, [.init(key)])
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Experiment> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .postgres)
            if query.view != .all {
                statement.require("t.stage = ?", [.text(query.view == .activeOnly ? "active" : "deleted")])
            }
            if !query.experimentIDs.isEmpty {
                statement.require(in: "t.id", numbers: query.experimentIDs.compactMap { Int64($0.text) })
            }
            let (keys, next) = try statement.page(PostgresSearch(db), query)
            return Page(try Self.read(db, keys), next: next)
        }
    }

    private static func read(_ db: PostgresConnection, _ keys: [Int64]) throws -> [Experiment] {
        guard !keys.isEmpty else { return [] }
        let tags = try PostgresSatellite.read(db, "experiment_tags", owners: keys)
        var found: [Int64: Experiment] = [:]
        let rows = try db.query(
            """
            SELECT id, name, artifact_location, stage, creation_time, last_update_time FROM experiments
            WHERE id = ANY(?::bigint[])
            """, [.array(keys)])
        for row in rows {
            let key = try row.int(0)
            found[key] = Experiment(
                id: ExperimentID("\(key)"), name: try row.text(1), artifactLocation: try row.text(2),
                stage: LifecycleStage(rawValue: try row.text(3)) ?? .active, creationTime: try row.time(4),
                lastUpdateTime: try row.time(5), tags: tags[key] ?? [])
        }
        return keys.compactMap { found[$0] }
    }
}
