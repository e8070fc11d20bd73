import AerieCore
import AerieTelemetry
import Features
import Foundation
import StoreLMDB
import StoreRedis
import Testing

/// What every reader of an online store promises an event loop, on each store for real: what `OnlineStore.read` says.
@Suite(.serialized) struct OnlineReaderConformance {
    /// `caching` keeps all rows that are read, `crowded` a few of them at a time.
    enum Backend: String, CaseIterable {
        case lmdb, redis, caching, crowded, cluster

        var cache: RedisOnlineStore.Cache? {
            switch self {
            case .lmdb, .redis, .cluster: nil
            case .caching: .init(bytes: 4 << 20, metrics: MetricsRegistry())
            case .crowded: .init(bytes: 20_000, metrics: MetricsRegistry())
            }
        }
    }

    @Test(arguments: Backend.allCases) func rowsAreThoseOfTheStore(_ backend: Backend) async throws {
        let servers = backend == .lmdb ? nil : try RedisServers(nodes: backend == .cluster ? 6 : 1)
        defer { servers?.end() }
        let loop = ReadingLoop()
        defer { loop.end() }
        let store: any OnlineStore
        if let servers {
            let redis = try RedisOnlineStore(url: servers.url, cache: backend.cache)
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
