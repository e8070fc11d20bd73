import AerieCore
import AerieResources
import AerieTelemetry
import Datasets
import Features
import Foundation
import Quality
import StoreDuckDB
import StoreFiles
import StoreLMDB
import StoreSQLite

/// A feature store on the real embedded stores, in a folder of its own.
final class Workshop: Sendable {
    let folder: String
    let store: FeatureStore
    let resources: ResourceService
    let online: LMDBOnlineStore

    /// - Parameter folder: one that another workshop has used.
    init(
        folder: String? = nil, clock: any WallClock = SystemClock(), sampleEvery: Int = 1000,
        metrics: MetricsRegistry? = nil, hasStreams: Bool = false,
        online wrap: (LMDBOnlineStore) -> any OnlineStore = { $0 }
    ) throws {
        self.folder = folder ?? NSTemporaryDirectory() + "aerie-features-" + IdentifierSource.system.hex32().prefix(12)
        try FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)
        let database = try MetadataDatabase(
            path: self.folder + "/metadata.db", migrations: SQLiteResourceStore.migrations)
        resources = ResourceService(
            store: SQLiteResourceStore(database: database),
            kinds: KindRegistry([
                EntityKind(), FeatureViewKind(), FeatureServiceKind(), MaterializationScheduleKind(),
                ExpectationSuiteKind(),
            ]), guards: [FeatureUse()])
        online = try LMDBOnlineStore(path: self.folder + "/online.mdb", mapSize: 1 << 30)
        let states = hasStreams ? try LMDBStreamStore(path: self.folder + "/streams.mdb", mapSize: 1 << 28) : nil
        store = FeatureStore(
            resources: resources, online: wrap(online), states: states, clock: clock,
            log: try FileFeatureLog(root: self.folder + "/log"), metrics: metrics, sampleEvery: sampleEvery
        ) { () throws(AerieError) in DuckDBEngine(options: .init(threads: 1)) }
    }

    func end() { try? FileManager.default.removeItem(atPath: folder) }

    /// 50,000 drivers with one row each, of 2026-10-01; the last digit of a driver is its `digit`.
    func makeDrivers(_ count: Int = 50_000, spec: String = "") async throws {
        let path = folder + "/drivers.parquet"
        let engine = DuckDBEngine(options: .init(threads: 1))
        try await engine.execute(
            "COPY (SELECT i AS driver_id, TIMESTAMP '2026-10-01 00:00:00' + to_microseconds(i) AS event_timestamp, "
                + "i / 7.0 AS rate, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 10 END AS digit, 'c' || i % 3 AS city "
                + "FROM range(\(count)) t(i)) TO '\(path)' (FORMAT parquet)")
        _ = try await resources.apply(
            """
            apiVersion: aerie.dev/v1
            kind: Entity
            metadata: {name: driver}
            spec: {joinKey: driver_id, valueType: INT64}
            ---
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: drivers}
            spec:
              entities: [driver]
              source: {path: \(path), timestampField: event_timestamp}
              features:
              - {name: rate, dtype: DOUBLE}
              - {name: digit, dtype: INT64}
              - {name: city, dtype: STRING}
              \(spec)
            """, actor: "test")
    }

    static let october = (FeatureTime.parse("2026-10-01")!, FeatureTime.parse("2026-10-31")!)

    func digit(of driver: Int64) async throws -> FeatureValue? {
        let view = try await store.catalog().view("drivers")
        let key = try view.entityKey.bytes([.int64(driver)])
        return try await online.read([OnlineRead(view: view.online, features: [1], keys: [key])])[0][0]?.values[0]
    }
}
