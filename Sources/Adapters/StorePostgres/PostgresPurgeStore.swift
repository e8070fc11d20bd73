public import AerieCore
import Experiments
public import Retention

/// Finds and removes deleted runs, logged models, traces and experiments in PostgreSQL. What hangs on them goes by
/// `ON DELETE CASCADE`.
///
/// A removal locks the rows that it is about, and those of their experiments, so that what another process restores,
/// or creates in an experiment, at that moment comes wholly before it or wholly after it.
public struct PostgresPurgeStore: PurgeStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    /// How a kind is kept: its table and the columns of a candidate. `e` is the experiment.
    private struct Source {
        var table: String
        var key = "seq"
        var id = "t.id"
        var name: String
        var location: String
        var deletedTime: String
        var isDeleted: String
    }

    private static let experimentIsDeleted = "(e.stage = 'deleted' AND e.id <> 0)"

    private static func source(_ kind: PurgeKind) -> Source {
        switch kind {
        case .run:
            Source(
                table: "runs", name: "t.name", location: "t.artifact_uri",
                deletedTime: "COALESCE(t.deleted_time, t.start_time)", isDeleted: "t.stage = 'deleted'")
        case .loggedModel:
            // LEAST passes over NULL, which each of the two may be, but not both.
            Source(
                table: "logged_models", name: "t.name", location: "t.artifact_uri",
                deletedTime: "LEAST(t.deleted_time, CASE WHEN \(experimentIsDeleted) THEN e.last_update_time END)",
                isDeleted: "(t.deleted_time IS NOT NULL OR \(experimentIsDeleted))")
        case .trace:
            Source(
                table: "traces", name: "''::text", location: "''::text", deletedTime: "e.last_update_time",
                isDeleted: experimentIsDeleted)
        case .experiment:
            Source(
                table: "experiments", key: "id", id: "t.id::text", name: "t.name", location: "t.artifact_location",
                deletedTime: "t.last_update_time", isDeleted: "t.stage = 'deleted' AND t.id <> 0")
        }
    }

    /// - Parameter keys: of the only rows to look at, which are locked until the transaction's end; `nil` for all.
    private static func select(
        _ db: PostgresConnection, _ kind: PurgeKind, _ selection: PurgeSelection, keys: [Int64]? = nil, after: Int64,
        limit: Int
    ) throws -> [PurgeCandidate] {
        let source = source(kind)
        let experiment = kind == .experiment ? "t.id" : "t.experiment"
        var sql = """
            SELECT t.\(source.key), \(source.id), \(experiment), \(source.name), \(source.location), \(source.deletedTime)
            FROM \(source.table) t JOIN experiments e ON e.id = \(experiment)
            WHERE \(source.isDeleted) AND \(source.deletedTime) < ? AND t.\(source.key) > ?
            """
        var arguments: [PostgresValue] = [.init(selection.deletedBefore.milliseconds), .init(after)]
        if !selection.experiments.isEmpty {
            sql += " AND \(experiment) = ANY(?::bigint[])"
            arguments.append(.array(selection.experiments.compactMap { Int64($0.text) }))
        }
        if !selection.runs.isEmpty, kind == .run {
            sql += " AND t.id = ANY(?::text[])"
            arguments.append(.array(selection.runs.map(\.text)))
        }
        if let keys {
            sql += " AND t.\(source.key) = ANY(?::bigint[])"
            arguments.append(.array(keys))
        }
        sql += " ORDER BY t.\(source.key) LIMIT ?"
        arguments.append(.init(limit))
        if keys != nil { sql += kind == .experiment ? " FOR UPDATE OF t" : " FOR UPDATE OF t FOR SHARE OF e" }
        return try db.query(sql, arguments).map { row in
            PurgeCandidate(
                kind: kind, id: try row.text(1), sequence: try row.int(0), experiment: ExperimentID(try row.text(2)),
                name: try row.text(3), location: try row.text(4), deletedTime: try row.time(5))
        }
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
            var going = try Self.select(
                db, kind, selection, keys: candidates.map(\.sequence), after: 0, limit: candidates.count)
            if kind == .experiment {
                let used = try Self.inUse(db, going.map(\.sequence))
                going.removeAll { used.contains($0.sequence) }
            }
            let source = Self.source(kind)
            try db.execute(
                "DELETE FROM \(source.table) WHERE \(source.key) = ANY(?::bigint[])", [.array(going.map(\.sequence))])
            let withFiles = going.filter { !$0.location.isEmpty }
            try db.execute(
                """
                INSERT INTO orphaned_files (kind, owner, location, time)
                SELECT ?::text, owner, location, ?::bigint
                FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS given (owner, location, place) ORDER BY place
                """,
                [
                    .init(kind.rawValue), .init(time.milliseconds), .array(withFiles.map(\.id)),
                    .array(withFiles.map(\.location)),
                ])
            return Set(going.map(\.id))
        }
    }

    /// Those of some experiments that something is in. They are locked, so that nothing comes in after this.
    private static func inUse(_ db: PostgresConnection, _ experiments: [Int64]) throws -> Set<Int64> {
        let holds = ["runs", "logged_models", "traces"].map {
            "EXISTS (SELECT 1 FROM \($0) h WHERE h.experiment = e.id)"
        }
        let rows = try db.query(
            """
            SELECT e.id FROM experiments e
            WHERE e.id = ANY(?::bigint[]) AND (\(holds.joined(separator: " OR ")))
            """, [.array(experiments)])
        return Set(try rows.map { try $0.int(0) })
    }

    public func orphanedFiles(after: Int64, limit: Int) async throws(AerieError) -> [OrphanedFiles] {
        try await database.read { db in
            let rows = try db.query(
                "SELECT seq, kind, owner, location FROM orphaned_files WHERE seq > ? ORDER BY seq LIMIT ?",
                [.init(after), .init(limit)])
            return try rows.map { row in
                OrphanedFiles(
                    sequence: try row.int(0), kind: PurgeKind(rawValue: try row.text(1)) ?? .run,
                    owner: try row.text(2), location: try row.text(3))
            }
        }
    }

    public func forget(_ sequences: [Int64]) async throws(AerieError) {
        try await database.write { db in
            _ = try db.execute("DELETE FROM orphaned_files WHERE seq = ANY(?::bigint[])", [.array(sequences)])
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

    private static func versions(_ db: PostgresConnection, holding files: [OrphanedFiles]) throws -> [String: String] {
        let rows = try db.query(
            """
            SELECT given.location, m.name, v.version
            FROM unnest(?::text[], ?::text[]) AS given (location, folder)
            JOIN (SELECT seq, model, version,
                    CASE WHEN right(location, 1) = '/' THEN location ELSE location || '/' END AS folder
                FROM model_versions) v
                ON starts_with(given.folder, v.folder) OR starts_with(v.folder, given.folder)
            JOIN registered_models m ON m.seq = v.model
            ORDER BY v.seq
            """, [.array(files.map(\.location)), .array(files.map { folder($0.location) })])
        var found: [String: String] = [:]
        for row in rows { found[try row.text(0)] = "models:/\(try row.text(1))/\(try row.int(2))" }
        return found
    }

    private static func row(_ db: PostgresConnection, in files: OrphanedFiles) throws -> String? {
        func search(_ what: String, _ table: String, _ column: String, _ condition: String = "") -> String {
            "SELECT '\(what) ' || id FROM \(table) "
                + "WHERE (\(column) = ?::text OR starts_with(\(column), ?::text))\(condition) LIMIT 1"
        }
        let folder = folder(files.location)
        let place: [PostgresValue] = [.init(String(folder.dropLast())), .init(folder)]
        var searches = [(search("experiment", "experiments", "artifact_location"), place)]
        switch files.kind {
        // A client chooses an experiment's place; below it, each run and model has one of its own.
        case .experiment:
            searches.append((search("logged model", "logged_models", "artifact_uri"), place))
            searches.append((search("run", "runs", "artifact_uri"), place))
        case .run:
            let own = search("logged model", "logged_models", "artifact_uri", " AND source_run_id = ?::text")
            searches.append((own, place + [.init(files.owner)]))
        case .loggedModel, .trace: break
        }
        for (sql, arguments) in searches {
            if let holder = try db.query(sql, arguments).first { return try holder.text(0) }
        }
        return nil
    }

    private static func folder(_ location: String) -> String { location.hasSuffix("/") ? location : location + "/" }
}
