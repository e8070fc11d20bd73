import AerieCore
import Experiments
import Foundation
import Registry
import StoreSQLite
import Testing

@Suite struct SQLiteTrackingTests {
    private func withStores(_ body: (TrackingStores) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-sqlite-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try MetadataDatabase(
            path: folder + "/metadata.db",
                migrations: SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations)
        try await body(TrackingStores(
            experiments: SQLiteExperimentStore(database), runs: SQLiteRunStore(database),
            models: SQLiteLoggedModelStore(database), registry: SQLiteRegistryStore(database),
            versions: SQLiteModelVersionStore(database)))
    }

    @Test("keeps the ports' promises", arguments: TrackingConformance.all)
    func conforms(_ check: TrackingConformance) async throws {
        try await withStores { try await check.body($0) }
    }

    @Test("200 writers at once lose nothing")
    func concurrent() async throws {
        try await withStores { stores in
            try await TrackingConformance.run(stores, "r")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for step in 0..<200 {
                    group.addTask {
                        let metric = Metric(key: "m", value: Double(step), timestamp: Timestamp(milliseconds: 1),
                            step: Int64(step))
                        try await stores.runs.log([RunBatch(runID: "r", metrics: [metric])])
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await stores.runs.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).count == 200)
        }
    }
}
