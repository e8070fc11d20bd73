import AerieCore
import AerieResources
import Features
import Foundation
import NIOCore
import NIOPosix
import StoreSQLite
import Testing

/// An event loop that reads two views of one entity by a plan.
///
/// `@unchecked Sendable`: the reader is set before the first read, and used on the loop only.
final class ReadingLoop: @unchecked Sendable {
    let folder: String
    let eventLoop: any EventLoop
    var reader: (any OnlineReader)?
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private var layout: OnlineLayout?
    private(set) var views: [OnlineView] = []
    private let entity = EntityKey(names: ["driver_id"])

    init() {
        folder = NSTemporaryDirectory() + "aerie-readers-" + IdentifierSource.system.hex32().prefix(12)
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        eventLoop = group.next()
    }

    func end() {
        try? group.syncShutdownGracefully()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func declare(_ online: any OnlineStore) async throws {
        let database = try MetadataDatabase(path: folder + "/metadata.db", migrations: SQLiteResourceStore.migrations)
        let resources = ResourceService(
            store: SQLiteResourceStore(database: database), kinds: KindRegistry([EntityKind(), FeatureViewKind()]))
        let features = FeatureStore(resources: resources, online: online) { () throws(AerieError) in
            throw AerieError(.failedPrecondition, "nothing is read offline here")
        }
        _ = try await resources.apply(
            """
            apiVersion: aerie.dev/v1
            kind: Entity
            metadata: {name: driver}
            spec: {joinKey: driver_id, valueType: INT64}
            ---
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: stats}
            spec:
              entities: [driver]
              source: {path: none.parquet, timestampField: event_timestamp}
              features: [{name: rate, dtype: DOUBLE}, {name: trips, dtype: INT64}, {name: city, dtype: STRING}]
            ---
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: cars}
            spec:
              entities: [driver]
              source: {path: none.parquet, timestampField: event_timestamp}
              features: [{name: seats, dtype: INT64}]
            """, actor: "test")
        let references = ["stats:city", "stats:rate", "cars:seats"]
        layout = try await features.plan(.init(references: references)).layout
        views = [
            OnlineView(project: "default", name: "stats", features: ["rate", "trips", "city"]),
            OnlineView(project: "default", name: "cars", features: ["seats"]),
        ]
    }

    func key(_ driver: Int64) throws -> [UInt8] { try entity.bytes([.int64(driver)]) }

    /// The driver's key on a server, as redis-cli takes it.
    func name(_ driver: Int64) throws -> String {
        "\"" + (try key(driver) + Array("default".utf8)).map { "\\x" + Hexadecimal.encode([$0]) }.joined() + "\""
    }

    /// Even drivers have no car; every third has no rate.
    private func stats(_ driver: Int64) -> [FeatureValue] {
        [driver % 3 == 0 ? .null : .double(Double(driver) / 7), .int64(driver), .string("city of \(driver)")]
    }

    func fill(_ store: any OnlineStore) async throws {
        var rows: [[OnlineRow]] = [[], []]
        for driver in 0..<Int64(3000) {
            let name = try key(driver)
            rows[0].append(OnlineRow(key: name, time: 1000 + driver, values: stats(driver)))
            if driver % 2 == 1 { rows[1].append(OnlineRow(key: name, time: 5, values: [.int64(4)])) }
        }
        for (view, rows) in zip(views, rows) { _ = try await store.write(view, rows) }
    }

    /// Writes a row of the first view whose values tell its time.
    /// - Returns: what is read of it.
    func write(_ store: any OnlineStore, driver: Int64, time: Int64) async throws -> OnlineRecord {
        let values: [FeatureValue] = [.double(Double(time)), .int64(driver), .string("at \(time)")]
        _ = try await store.write(views[0], [OnlineRow(key: try key(driver), time: time, values: values)])
        return OnlineRecord(time: time, values: [values[2], values[0]])
    }

    func expected(_ drivers: [Int64]) -> [[OnlineRecord?]] {
        [
            drivers.map { driver in
                if driver >= 3000 { return nil }
                let values = stats(driver)
                return OnlineRecord(time: 1000 + driver, values: [values[2], values[0]])
            },
            drivers.map { $0 < 3000 && $0 % 2 == 1 ? OnlineRecord(time: 5, values: [.int64(4)]) : nil },
        ]
    }

    /// By part, then by driver.
    func read(_ drivers: [Int64]) async throws -> [[OnlineRecord?]] {
        let promise = eventLoop.makePromise(of: [[OnlineRecord?]].self)
        eventLoop.execute { [self] in
            guard let layout, let reader else { return promise.fail(AerieError(.internal, "no plan")) }
            let lookups = ReadRows(promise)
            lookups.begin(layout)
            for driver in drivers { _ = lookups.append(driver, key: 0, type: .int64) }
            guard lookups.seal() else { return promise.fail(AerieError(.internal, "no keys")) }
            reader.read(lookups)
        }
        return try await promise.futureResult.get()
    }

    /// A connection is tried again by and by.
    func readUntilItIs(_ drivers: [Int64]) async throws { try await readUntil(drivers) { $0 == expected(drivers) } }

    /// What others have written, or a server that comes back, is seen by and by.
    func readUntil(_ drivers: [Int64], _ isRight: ([[OnlineRecord?]]) throws -> Bool) async throws {
        for _ in 0..<200 {
            if let found = try? await read(drivers), try isRight(found) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("it is not found")
    }

    func readUntilItFails(_ drivers: [Int64]) async throws {
        for _ in 0..<200 {
            guard (try? await read(drivers)) != nil else { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("it is answered for")
    }
}

/// The rows of one read, taken while their places are valid.
private final class ReadRows: OnlineLookups {
    private let promise: EventLoopPromise<[[OnlineRecord?]]>

    init(_ promise: EventLoopPromise<[[OnlineRecord?]]>) { self.promise = promise }

    override func finished(_ failure: AerieError?) {
        if let failure { return promise.fail(failure) }
        promise.completeWith(Result { try records() })
    }

    private func records() throws -> [[OnlineRecord?]] {
        guard let layout else { return [] }
        return try layout.parts.enumerated().map { part, fields in
            try (0..<count).map { entity in
                let row = row(part: part, entity: entity)
                guard row.isFound else { return nil }
                let values = try fields.fields.indices.map { field in
                    let bytes = value(part: part, entity: entity, field: field)
                    return try bytes.isEmpty ? FeatureValue.null : FeatureValue(protobuf: bytes)
                }
                return OnlineRecord(time: row.time, values: values)
            }
        }
    }
}
