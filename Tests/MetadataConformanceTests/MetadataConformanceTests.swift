import AerieCore
import Experiments
import Foundation
import Registry
import StorePostgres
import StoreSQLite
import Testing

/// A kind of metadata store that can be made fresh for one check.
struct MetadataBackend: Sendable, CustomTestStringConvertible {
    let name: String
    let withStores: @Sendable ((TrackingStores) async throws -> Void) async throws -> Void
    var testDescription: String { name }

    static let all = [sqlite, postgres]

    static let sqlite = MetadataBackend(name: "SQLite") { body in
        try await withSQLite(
            SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations + SQLitePurgeStore.migrations
                + SQLiteDefinitionDocumentStore.migrations
        ) { database in
            try await body(TrackingStores(sqlite: database))
        }
    }

    /// A database in a folder of its own, which goes with it.
    static func withSQLite(
        _ migrations: [Migration], _ body: (MetadataDatabase) async throws -> Void
    ) async throws {
        let folder = NSTemporaryDirectory() + "aerie-sqlite-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(try MetadataDatabase(path: folder + "/metadata.db", migrations: migrations))
    }
}

extension MetadataBackend {
    static let postgres = MetadataBackend(name: "PostgreSQL") { body in
        let database = try await PostgresDatabase(url: try PostgresServer.shared.get().freshDatabase(), connections: 4)
        try await body(TrackingStores(postgres: database))
    }
}

extension TrackingStores {
    init(sqlite database: MetadataDatabase) {
        self.init(
            experiments: SQLiteExperimentStore(database), runs: SQLiteRunStore(database),
            models: SQLiteLoggedModelStore(database), registry: SQLiteRegistryStore(database),
            versions: SQLiteModelVersionStore(database), traces: SQLiteTraceStore(database),
            purge: SQLitePurgeStore(database), definitions: SQLiteDefinitionDocumentStore(database))
    }

    init(postgres database: PostgresDatabase) {
        self.init(
            experiments: PostgresExperimentStore(database), runs: PostgresRunStore(database),
            models: PostgresLoggedModelStore(database), registry: PostgresRegistryStore(database),
            versions: PostgresModelVersionStore(database), traces: PostgresTraceStore(database),
            purge: PostgresPurgeStore(database), definitions: PostgresDefinitionDocumentStore(database))
    }
}

/// The same promises on every kind of metadata store, each with its real engine.
@Suite struct MetadataConformanceTests {
    @Test("keeps the ports' promises", arguments: MetadataBackend.all, TrackingConformance.all)
    func conforms(_ backend: MetadataBackend, _ check: TrackingConformance) async throws {
        try await backend.withStores { try await check.body($0) }
    }

    @Test("keeps the platform ports' promises", arguments: PlatformBackend.all, PlatformConformance.all)
    func conforms(_ backend: PlatformBackend, _ check: PlatformConformance) async throws {
        try await backend.withStores { stores in
            try await check.body(stores)
            #expect(try await stores.verifyAudit() >= 0)
        }
    }

    @Test("200 writers at once lose nothing", arguments: MetadataBackend.all)
    func concurrent(_ backend: MetadataBackend) async throws {
        try await backend.withStores { stores in
            try await TrackingConformance.run(stores, "r")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for step in 0..<200 {
                    group.addTask {
                        let metric = Metric(
                            key: "m", value: Double(step), timestamp: Timestamp(milliseconds: 1), step: Int64(step))
                        try await stores.runs.log([RunBatch(runID: "r", metrics: [metric])])
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await stores.runs.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).count == 200)
        }
    }
}
