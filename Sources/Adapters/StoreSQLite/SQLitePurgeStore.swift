public import AerieCore
import Experiments
import GRDB
public import Retention

/// Finds and removes deleted runs, logged models, traces and experiments in SQLite. What hangs on them goes by
/// `ON DELETE CASCADE`.
public struct SQLitePurgeStore: PurgeStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    public static let migrations: [Migration] = [
        Migration("retention.1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE orphaned_files (
                        seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, owner TEXT NOT NULL,
                        location TEXT NOT NULL, time INTEGER NOT NULL)
                    """)
            // Without these, each data set of an experiment that goes would read every link of every run.
            try db.execute(sql: "CREATE INDEX run_datasets_by_dataset ON run_datasets (dataset)")
            try db.execute(sql: "CREATE INDEX run_dataset_tags_by_dataset ON run_dataset_tags (dataset)")
        }
    ]

    /// How a kind is kept: its table and the columns of a candidate. `e` is the experiment.
    private struct Source {
        var table: String
        var key: String
        var id: String
        var name: String
        var location: String
        var deletedTime: String
        var isDeleted: String
    }

    private static func source(_ kind: PurgeKind) -> Source {
        switch kind {
        case .run:
            Source(
                table: "runs", key: "seq", id: "t.id", name: "t.name", location: "t.artifact_uri",
                deletedTime: "COALESCE(t.deleted_time, t.start_time)", isDeleted: "t.stage = 'deleted'")
        case .loggedModel:
            Source(
                table: "logged_models", key: "seq", id: "t.id", name: "t.name", location: "t.artifact_uri",
                deletedTime:
                    "MIN(COALESCE(t.deleted_time, e.last_update_time), CASE WHEN e.stage = 'deleted' AND e.id <> 0 "
                    + "THEN e.last_update_time ELSE COALESCE(t.deleted_time, e.last_update_time) END)",
                isDeleted: "(t.deleted_time IS NOT NULL OR (e.stage = 'deleted' AND e.id <> 0))")
        case .trace:
            Source(
                table: "traces", key: "seq", id: "t.id", name: "''", location: "''", deletedTime: "e.last_update_time",
                isDeleted: "e.stage = 'deleted' AND e.id <> 0")
        case .experiment:
            Source(
                table: "experiments", key: "id", id: "CAST(t.id AS TEXT)", name: "t.name",
                location: "t.artifact_location", deletedTime: "t.last_update_time",
                isDeleted: "t.stage = 'deleted' AND t.id <> 0")
        }
    }

    private static func select(
        _ db: Database, _ kind: PurgeKind, _ selection: PurgeSelection, keys: [Int64]? = nil, after: Int64, limit: Int
    ) throws -> [PurgeCandidate] {
        let source = source(kind)
        let experiment = kind == .experiment ? "t.id" : "t.experiment"
        var sql = """
            SELECT t.\(source.key), \(source.id), \(experiment), \(source.name), \(source.location), \(source.deletedTime)
            FROM \(source.table) t JOIN experiments e ON e.id = \(experiment)
            WHERE \(source.isDeleted) AND \(source.deletedTime) < ? AND t.\(source.key) > ?
            """
        var arguments: StatementArguments = [selection.deletedBefore.milliseconds, after]
        if !selection.experiments.isEmpty {
            sql += " AND \(experiment) IN (SELECT value FROM json_each(?))"
            arguments += [numbers(selection.experiments.compactMap { Int64($0.text) })]
        }
        if !selection.runs.isEmpty, kind == .run {
            sql += " AND t.id IN (\(Satellite.marks(selection.runs.count)))"
            arguments += StatementArguments(selection.runs.map(\.text))
        }
        if let keys {
            sql += " AND t.\(source.key) IN (SELECT value FROM json_each(?))"
            arguments += [numbers(keys)]
        }
        let rows = try Row.fetchAll(
            db, sql: sql + " ORDER BY t.\(source.key) LIMIT ?", arguments: arguments + [limit])
        return rows.map { row in
            PurgeCandidate(
                kind: kind, id: row[1], sequence: row[0], experiment: ExperimentID("\(row[2] as Int64)"), name: row[3],
                location: row[4], deletedTime: Timestamp(milliseconds: row[5]))
        }
    }

    private static func numbers(_ numbers: [Int64]) -> String {
        "[" + numbers.lazy.map { String($0) }.joined(separator: ",") + "]"
    }

    public func candidates(
        _ kind: PurgeKind, _ selection: PurgeSelection, after: Int64, limit: Int
    ) async throws(AerieError) -> [PurgeCandidate] {
        // Experiment 0 has number 0, and is no candidate; so "above 0" leaves nothing out.
        try await database.read { db in try Self.select(db, kind, selection, after: after, limit: limit) }
    }

    public func purge(
        _ kind: PurgeKind, _ candidates: [PurgeCandidate], _ selection: PurgeSelection, at time: Timestamp
    ) async throws(AerieError) -> Set<String> {
        try await database.write { db in
            let still = try Self.select(
                db, kind, selection, keys: candidates.map(\.sequence), after: 0, limit: candidates.count)
            let source = Self.source(kind)
            var gone: Set<String> = []
            for one in still {
                if kind == .experiment, try Self.isInUse(db, one.sequence) { continue }
                try db.execute(sql: "DELETE FROM \(source.table) WHERE \(source.key) = ?", arguments: [one.sequence])
                gone.insert(one.id)
                guard !one.location.isEmpty else { continue }
                try db.execute(
                    sql: "INSERT INTO orphaned_files (kind, owner, location, time) VALUES (?, ?, ?, ?)",
                    arguments: [kind.rawValue, one.id, one.location, time.milliseconds])
            }
            return gone
        }
    }

    private static func isInUse(_ db: Database, _ experiment: Int64) throws -> Bool {
        for table in ["runs", "logged_models", "traces"] {
            let found = try Bool.fetchOne(
                db, sql: "SELECT 1 FROM \(table) WHERE experiment = ? LIMIT 1", arguments: [experiment])
            if found == true { return true }
        }
        return false
    }

    public func orphanedFiles(after: Int64, limit: Int) async throws(AerieError) -> [OrphanedFiles] {
        try await database.read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT seq, kind, owner, location FROM orphaned_files WHERE seq > ? ORDER BY seq LIMIT ?",
                arguments: [after, limit])
            return rows.map { row in
                OrphanedFiles(
                    sequence: row[0], kind: PurgeKind(rawValue: row[1]) ?? .run, owner: row[2], location: row[3])
            }
        }
    }

    public func forget(_ sequences: [Int64]) async throws(AerieError) {
        try await database.write { db in
            try db.execute(
                sql: "DELETE FROM orphaned_files WHERE seq IN (SELECT value FROM json_each(?))",
                arguments: [Self.numbers(sequences)])
        }
    }

    public func holders(
        of files: [OrphanedFiles], onlyVersions: Bool
    ) async throws(AerieError) -> [String: String] {
        try await database.read { db in
            var found = try Self.versions(db, holding: files)
            guard !onlyVersions else { return found }
            for one in files where found[one.location] == nil { found[one.location] = try Self.row(db, in: one) }
            return found
        }
    }

    /// The registry is small beside the runs, so it is read through once for all.
    private static func versions(_ db: Database, holding files: [OrphanedFiles]) throws -> [String: String] {
        let asked = files.map { (text: $0.location, folder: folder($0.location)) }
        var found: [String: String] = [:]
        let versions = try Row.fetchCursor(
            db,
            sql: """
                SELECT v.location, m.name, v.version FROM model_versions v JOIN registered_models m ON m.seq = v.model
                """)
        while let row = try versions.next() {
            let place = folder(row[0])
            for one in asked where one.folder.hasPrefix(place) || place.hasPrefix(one.folder) {
                found[one.text] = "models:/\(row[1] as String)/\(row[2] as Int)"
            }
        }
        return found
    }

    private static func row(_ db: Database, in files: OrphanedFiles) throws -> String? {
        func isIn(_ column: String) -> String {
            "(\(column) = :place OR substr(\(column), 1, length(:folder)) = :folder)"
        }
        var searches = ["SELECT 'experiment ' || id FROM experiments WHERE \(isIn("artifact_location"))"]
        let models = "SELECT 'logged model ' || id FROM logged_models WHERE \(isIn("artifact_uri"))"
        switch files.kind {
        // A client chooses an experiment's place; below it, each run and model has one of its own.
        case .experiment: searches += [models, "SELECT 'run ' || id FROM runs WHERE \(isIn("artifact_uri"))"]
        case .run: searches.append(models + " AND source_run_id = :owner")
        case .loggedModel, .trace: break
        }
        let folder = folder(files.location)
        var values: [String: (any DatabaseValueConvertible)?] = ["place": String(folder.dropLast()), "folder": folder]
        for search in searches {
            if search.contains(":owner") { values["owner"] = files.owner }
            let arguments = StatementArguments(values)
            if let holder = try String.fetchOne(db, sql: search + " LIMIT 1", arguments: arguments) { return holder }
        }
        return nil
    }

    private static func folder(_ location: String) -> String { location.hasSuffix("/") ? location : location + "/" }
}
