public import AerieCore
public import Experiments
import Foundation
import GRDB
public import Imports
import Registry

/// The SQLite database of an MLflow server, and the folder of its artifacts.
///
/// The file is only read, also while a server has it open. Schemas from MLflow 2.0 on are read: what a schema does not
/// have (logged models, traces, aliases) it has none of.
public final class MLflowDatabaseSource: ImportSource {
    let database: DatabaseQueue
    let tables: Set<String>
    private let artifacts: LocalArtifacts

    /// - Throws: `notFound` for a file that is not there, `invalidArgument` for one that is no MLflow database.
    public init(path: String, artifacts: String?) throws(AerieError) {
        guard FileManager.default.fileExists(atPath: path) else { throw .notFound("there is no file \(path)") }
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(10)
            database = try DatabaseQueue(path: path, configuration: configuration)
            tables = try database.read {
                Set(try String.fetchAll($0, sql: "SELECT name FROM sqlite_master WHERE type = 'table'"))
            }
        } catch {
            throw AerieError(.invalidArgument, "\(path) cannot be read as an SQLite database: \(error)", cause: error)
        }
        guard tables.isSuperset(of: ["experiments", "runs", "metrics", "params", "tags"]) else {
            throw .invalid("from", "\(path) is an SQLite database, but not one of an MLflow server")
        }
        self.artifacts = LocalArtifacts(
            root: artifacts.map { URL(fileURLWithPath: $0).standardizedFileURL.path },
            folder: URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent().path)
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws(AerieError) -> Value
    {
        do { return try await database.read(body) } catch let error as AerieError { throw error } catch {
            throw AerieError(.dataLoss, "the MLflow database cannot be read: \(error)", cause: error)
        }
    }

    /// Columns came with versions; one that is not there is NULL.
    static func column(_ db: Database, _ table: String, _ name: String) throws -> String {
        try db.columns(in: table).contains { $0.name == name } ? name : "NULL"
    }

    public func counts() async throws(AerieError) -> ImportCounts {
        let tables = tables
        return try await read { db in
            func count(_ table: String) throws -> Int {
                guard tables.contains(table) else { return 0 }
                return try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM \(table)") ?? 0
            }
            var counts = ImportCounts()
            counts.experiments = try count("experiments")
            counts.runs = try count("runs")
            counts.loggedModels = try count("logged_models")
            counts.traces = try count("trace_info")
            counts.registeredModels = try count("registered_models")
            return counts
        }
    }

    public func experiments() async throws(AerieError) -> [Experiment] {
        let hasTags = tables.contains("experiment_tags")
        return try await read { db in
            var tags: [Int64: [Tag]] = [:]
            if hasTags {
                for row in try Row.fetchAll(
                    db, sql: "SELECT experiment_id, key, value FROM experiment_tags ORDER BY key")
                {
                    tags[row[0], default: []].append(Tag(key: row[1], value: row[2] ?? ""))
                }
            }
            let created = try Self.column(db, "experiments", "creation_time")
            let updated = try Self.column(db, "experiments", "last_update_time")
            let sql = """
                SELECT experiment_id, name, artifact_location, lifecycle_stage, \(created), \(updated) FROM experiments
                ORDER BY experiment_id
                """
            return try Row.fetchAll(db, sql: sql).map { row in
                let id: Int64 = row[0]
                let time = Timestamp(milliseconds: row[4] ?? 0)
                return Experiment(
                    id: ExperimentID("\(id)"), name: row[1], artifactLocation: row[2] ?? "",
                    stage: row[3] == "deleted" ? .deleted : .active, creationTime: time,
                    lastUpdateTime: (row[5] as Int64?).map { Timestamp(milliseconds: $0) } ?? time,
                    tags: tags[id] ?? [])
            }
        }
    }

    // MARK: Files

    public func files(at location: String) async throws(AerieError) -> [ImportedFile]? {
        artifacts.files(at: location)
    }

    public func read(
        _ file: ImportedFile,
        into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) { try await LocalArtifacts.read(file, into: body) }
}
