public import AerieCore
public import Experiments
import GRDB
import SearchSQL

/// Experiments in SQLite.
public struct SQLiteExperimentStore: ExperimentStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    private static let tables = SearchTables(
        table: "experiments", key: "id", sequence: "id",
        attributes: [
            "name": "t.name", "experiment_id": "t.id", "creation_time": "t.creation_time",
            "last_update_time": "t.last_update_time",
        ],
        satellites: [.tag: "experiment_tags"], order: [.descending("t.creation_time"), .descending("t.id")])

    public func create(_ draft: ExperimentDraft) async throws(AerieError) -> Experiment {
        try await database.write { db in
            if let stage = try String.fetchOne(
                db, sql: "SELECT stage FROM experiments WHERE name = ?",
                arguments: [draft.name])
            {
                let hint =
                    stage == "deleted"
                    ? " in deleted state. You can restore the experiment, or permanently delete it to create a new one."
                    : "."
                throw AerieError(
                    .alreadyExists, "Experiment '\(draft.name)' already exists\(hint)",
                    reason: "experiment.exists")
            }
            let wanted = try Self.number(draft.id, db)
            try db.execute(
                sql: """
                    INSERT INTO experiments (id, name, artifact_location, stage, creation_time, last_update_time)
                    VALUES (?, ?, ?, 'active', ?, ?)
                    """,
                arguments: [
                    wanted, draft.name, draft.artifactLocation ?? "", draft.time.milliseconds, draft.time.milliseconds,
                ])
            let id = db.lastInsertedRowID
            var location = draft.artifactLocation ?? ""
            if location.isEmpty {
                let root =
                    draft.artifactRoot.hasSuffix("/") ? String(draft.artifactRoot.dropLast()) : draft.artifactRoot
                location = "\(root)/\(id)"
                try db.execute(
                    sql: "UPDATE experiments SET artifact_location = ? WHERE id = ?",
                    arguments: [
                        location,
                        id,
                    ])
            }
            try Satellite.write(db, "experiment_tags", owner: id, draft.tags)
            return Experiment(
                id: ExperimentID("\(id)"), name: draft.name, artifactLocation: location, creationTime: draft.time,
                lastUpdateTime: draft.time, tags: draft.tags)
        }
    }

    private static func number(_ id: ExperimentID?, _ db: Database) throws -> Int64? {
        guard let id else { return nil }
        guard let number = Int64(id.text), number >= 0 else {
            throw AerieError.invalid("experiment_id", "'\(id)' is no whole number")
        }
        if try Bool.fetchOne(db, sql: "SELECT 1 FROM experiments WHERE id = ?", arguments: [number]) ?? false {
            throw AerieError(.alreadyExists, "Experiment with id=\(id) exists already", reason: "experiment.exists")
        }
        return number
    }

    public func get(_ ids: [ExperimentID]) async throws(AerieError) -> [Experiment] {
        let keys = ids.compactMap { Int64($0.text) }
        return try await database.read { db in try Self.read(db, keys) }
    }

    public func find(name: String) async throws(AerieError) -> Experiment? {
        try await database.read { db in
            let id = try Int64.fetchOne(db, sql: "SELECT id FROM experiments WHERE name = ?", arguments: [name])
            return try id.flatMap { try Self.read(db, [$0]).first }
        }
    }

    public func update(_ id: ExperimentID, _ change: ExperimentChange, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            let missing = AerieError.notFound("No Experiment with id=\(id) exists")
            guard let key = Int64(id.text),
                let stage = try String.fetchOne(db, sql: "SELECT stage FROM experiments WHERE id = ?", arguments: [key])
            else { throw missing }
            try db.execute(
                sql: "UPDATE experiments SET last_update_time = ? WHERE id = ?", arguments: [time.milliseconds, key])
            if let name = change.name {
                let owner = try Int64.fetchOne(db, sql: "SELECT id FROM experiments WHERE name = ?", arguments: [name])
                if let owner, owner != key {
                    throw AerieError(
                        .alreadyExists, "Experiment '\(name)' already exists.",
                        reason: "experiment.exists")
                }
                try db.execute(sql: "UPDATE experiments SET name = ? WHERE id = ?", arguments: [name, key])
            }
            if let newStage = change.stage {
                guard newStage.rawValue != stage else {
                    throw AerieError.notFound("No Experiment with id=\(id) exists that is not \(stage) already")
                }
                try Self.setStage(db, key, newStage, time)
            }
            try Satellite.write(db, "experiment_tags", owner: key, change.setTags)
            for tag in change.deleteTags where try !Satellite.delete(db, "experiment_tags", owner: key, key: tag) {
                throw AerieError.notFound("No tag with name: \(tag) in experiment with id \(id)")
            }
        }
    }

    private static func setStage(_ db: Database, _ key: Int64, _ stage: LifecycleStage, _ time: Timestamp) throws {
        try db.execute(sql: "UPDATE experiments SET stage = ? WHERE id = ?", arguments: [stage.rawValue, key])
        if stage == .deleted {
            try db.execute(
                sql: """
                    UPDATE runs SET stage = 'deleted', deleted_with = 1, deleted_time = ?
                    WHERE experiment = ? AND stage = 'active'
                    """, arguments: [time.milliseconds, key])
        } else {
            try db.execute(
                sql: """
                    UPDATE runs SET stage = 'active', deleted_with = 0, deleted_time = NULL
                    WHERE experiment = ? AND deleted_with = 1
                    """, arguments: [key])
        }
    }

    public func search(_ query: SearchQuery) async throws(AerieError) -> Page<Experiment> {
        try await database.read { db in
            var statement = SearchStatement(Self.tables, .sqlite)
            if query.view != .all {
                statement.require("t.stage = ?", [.text(query.view == .activeOnly ? "active" : "deleted")])
            }
            if !query.experimentIDs.isEmpty {
                statement.require(
                    in: "t.id",
                    numbers: query.experimentIDs.compactMap { Int64($0.text) })
            }
            let (keys, next) = try statement.page(SQLiteSearch(db), query)
            return Page(try Self.read(db, keys), next: next)
        }
    }

    private static func read(_ db: Database, _ keys: [Int64]) throws -> [Experiment] {
        let tags = try Satellite.read(db, "experiment_tags", owners: keys)
        let statement = try db.cachedStatement(
            sql:
                "SELECT id, name, artifact_location, stage, creation_time, last_update_time FROM experiments WHERE id = ?"
        )
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            return Experiment(
                id: ExperimentID("\(key)"), name: row[1], artifactLocation: row[2],
                stage: LifecycleStage(rawValue: row[3]) ?? .active, creationTime: Timestamp(milliseconds: row[4]),
                lastUpdateTime: Timestamp(milliseconds: row[5]), tags: tags[key] ?? [])
        }
    }
}
