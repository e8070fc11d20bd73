import AerieCore
import AerieResources
import Features
import Foundation
import NIOCore
import NIOPosix
import StoreLMDB
import StoreRedis
import StoreSQLite
import Testing

/// What every reader of an online store promises an event loop, on each store for real: what `OnlineStore.read` says.
@Suite(.serialized) struct OnlineReaderConformance {
    enum Backend: String, CaseIterable { case lmdb, redis, cluster }

    @Test(arguments: Backend.allCases) func rowsAreThoseOfTheStore(_ backend: Backend) async throws {
        let servers = backend == .lmdb ? nil : try RedisServers(nodes: backend == .redis ? 1 : 6)
        defer { servers?.end() }
        let loop = ReadingLoop()
        defer { loop.end() }
        let store: any OnlineStore
        if let servers {
            let redis = try RedisOnlineStore(url: servers.url)
            (store, loop.reader) = (redis, redis.reader(on: loop.eventLoop))
        } else {
            let mapped = try LMDBOnlineStore(path: loop.folder + "/online.mdb", mapSize: 1 << 30)
            (store, loop.reader) = (mapped, mapped.reader())
        }
        try await loop.declare(store)
        // Before anything is there, and twice, as a connection or slots may have been learnt by the first.
        for _ in 0..<2 { #expect(try await loop.read([1, 2]) == [[nil, nil], [nil, nil]]) }
        try await loop.fill(store)
        for drivers: [Int64] in [Array(0..<3000) + [99_999, 7, 7], [7], [99_999, 2]] {
            #expect(try await loop.read(drivers) == loop.expected(drivers))
        }
        // Reads that are under way at once are each answered with their own.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for first in 0..<Int64(200) {
                group.addTask { () async throws -> Void in
                    let drivers = [first, first * 3 % 3000, first * 7 % 3000]
                    #expect(try await loop.read(drivers) == loop.expected(drivers))
                }
            }
            try await group.waitForAll()
        }
        #expect(try await loop.read([]) == [[], []])
    }

    @Test func aServerThatIsAwayIsSaidAndFoundAgain() async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        let loop = ReadingLoop()
        defer { loop.end() }
        let store = try RedisOnlineStore(url: servers.url, timeout: 500)
        loop.reader = store.reader(on: loop.eventLoop)
        try await loop.declare(store)
        try await loop.fill(store)
        #expect(try await loop.read([1]) == loop.expected([1]))
        servers.kill(servers.ports[0])
        let error = await #expect(throws: AerieError.self) { try await loop.read([1]) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("127.0.0.1:\(servers.ports[0])") == true)
        try servers.start(servers.ports[0])
        try await loop.readUntilItIs([1, 2])
        // A server that hangs is given up in time, and taken up again when it goes on.
        servers.freeze(servers.ports[0], true)
        await #expect(throws: AerieError.self) { try await loop.read([1]) }
        servers.freeze(servers.ports[0], false)
        try await loop.readUntilItIs([1, 2])
    }

    @Test func aClusterThatChangesIsReadRight() async throws {
        let servers = try RedisServers(nodes: 6)
        defer { servers.end() }
        let loop = ReadingLoop()
        defer { loop.end() }
        let store = try RedisOnlineStore(url: servers.url, timeout: 1000, patience: .seconds(20))
        loop.reader = store.reader(on: loop.eventLoop)
        try await loop.declare(store)
        try await loop.fill(store)
        let drivers = Array(0..<Int64(3000))
        #expect(try await loop.read(drivers) == loop.expected(drivers))
        let masters = try servers.ports.filter { try servers.cli($0, ["ROLE"]).hasPrefix("master") }
        let ids = try masters.map {
            try servers.cli($0, ["CLUSTER", "MYID"]).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let moving = Task.detached {
            try RedisServers.run(
                "/usr/bin/redis-cli",
                [
                    "--cluster", "reshard", "127.0.0.1:\(masters[0])", "--cluster-from", ids[0], "--cluster-to", ids[1],
                    "--cluster-slots", "500", "--cluster-yes",
                ])
        }
        for _ in 0..<20 { #expect(try await loop.read(drivers) == loop.expected(drivers)) }
        #expect(try await moving.value.status == 0)
        #expect(try await loop.read(drivers) == loop.expected(drivers))
        // A master dies; its replica, which has had time to follow, takes over.
        for port in servers.ports { _ = try servers.cli(port, ["WAIT", "1", "1000"]) }
        servers.kill(masters[2])
        for _ in 0..<3 { #expect(try await loop.read(drivers) == loop.expected(drivers)) }
    }
}

/// An event loop that reads two views of one entity by a plan.
///
/// `@unchecked Sendable`: the reader is set before the first read, and used on the loop only.
private final class ReadingLoop: @unchecked Sendable {
    let folder: String
    let eventLoop: any EventLoop
    var reader: (any OnlineReader)?
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private var layout: OnlineLayout?
    private var views: [OnlineView] = []
    private let key = EntityKey(names: ["driver_id"])

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

    /// Even drivers have no car; every third has no rate.
    private func stats(_ driver: Int64) -> [FeatureValue] {
        [driver % 3 == 0 ? .null : .double(Double(driver) / 7), .int64(driver), .string("city of \(driver)")]
    }

    func fill(_ store: any OnlineStore) async throws {
        var rows: [[OnlineRow]] = [[], []]
        for driver in 0..<Int64(3000) {
            let name = try key.bytes([.int64(driver)])
            rows[0].append(OnlineRow(key: name, time: 1000 + driver, values: stats(driver)))
            if driver % 2 == 1 { rows[1].append(OnlineRow(key: name, time: 5, values: [.int64(4)])) }
        }
        for (view, rows) in zip(views, rows) { _ = try await store.write(view, rows) }
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
    func readUntilItIs(_ drivers: [Int64]) async throws {
        for _ in 0..<200 {
            if let found = try? await read(drivers) { return #expect(found == expected(drivers)) }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("the server is not found again")
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
