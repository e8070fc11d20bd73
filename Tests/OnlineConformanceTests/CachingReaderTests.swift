import AerieCore
import AerieTelemetry
import Features
import StoreRedis
import Testing

/// Rows that an event loop keeps are those of the server, whoever changes them and whatever becomes of the server.
@Suite(.serialized) struct CachingReaderTests {
    private let metrics = MetricsRegistry()

    /// One server that is filled, a store with a cache that has room for all its rows, and a loop.
    private func with(
        timeout: Int64 = 2000, bytes: Int = 4 << 20, prepare: (RedisServers) throws -> Void = { _ in },
        _ body: (RedisServers, RedisOnlineStore, ReadingLoop) async throws -> Void
    ) async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        try prepare(servers)
        let loop = ReadingLoop()
        defer { loop.end() }
        let store = try RedisOnlineStore(
            url: servers.url, timeout: timeout, cache: .init(bytes: bytes, metrics: metrics))
        loop.reader = store.reader(on: loop.eventLoop)
        try await loop.declare(store)
        try await loop.fill(store)
        try await body(servers, store, loop)
    }

    private func counted(_ name: String) -> Int {
        let line = metrics.exposition().split(separator: "\n").first { $0.hasPrefix("aerie_online_cache_\(name){") }
        return line.flatMap { Double($0.split(separator: " ").last ?? "") }.map { Int($0) } ?? -1
    }

    @Test func aRowThatIsReadAgainIsNotAskedFor() async throws {
        try await with { (servers, store, loop) async throws -> Void in
            #expect(try await loop.read([1, 2, 99_999]) == loop.expected([1, 2, 99_999]))
            let asked = try servers.calls("hmget")
            for _ in 0..<20 { #expect(try await loop.read([99_999, 1, 2]) == loop.expected([99_999, 1, 2])) }
            #expect(try servers.calls("hmget") == asked)
            #expect(counted("hits_total") == 20 * 6)
            #expect(counted("bytes") > 0)
            // A second reader of the loop is the same.
            #expect(store.reader(on: loop.eventLoop) === loop.reader)
            // One row that is not kept is asked for, and the others are not.
            #expect(try await loop.read([1, 3, 2]) == loop.expected([1, 3, 2]))
            #expect(try servers.calls("hmget") == asked + 2)
        }
    }

    @Test func whatThisProcessHasWrittenIsReadAtOnce() async throws {
        try await with { (_, store, loop) async throws -> Void in
            for round in 0..<Int64(300) {
                let record = try await loop.write(store, driver: round % 3, time: 5000 + round)
                #expect(try await loop.read([round % 3])[0] == [record])
                #expect(try await loop.read([round % 3])[0] == [record])
            }
            #expect(counted("hits_total") > 300)
            #expect(try await store.drop(loop.views[0]) == 3000)
            #expect(try await loop.read([0, 7])[0] == [nil, nil])
        }
    }

    @Test func whatOthersWriteIsReadOnceTheServerHasToldIt() async throws {
        try await with { (servers, store, loop) async throws -> Void in
            _ = try await loop.read(Array(0..<3000))
            let other = try RedisOnlineStore(url: servers.url)
            let record = try await loop.write(other, driver: 7, time: 9000)
            try await loop.readUntil([7]) { $0[0] == [record] }
            #expect(try await loop.read([8]) == loop.expected([8]))
            // Whole entities go, one or all of them.
            _ = try servers.cli(servers.ports[0], script: ["DEL \(try loop.name(9))"])
            try await loop.readUntil([9]) { $0 == [[nil], [nil]] }
            #expect(try await loop.read([8]) == loop.expected([8]))
            _ = try servers.cli(servers.ports[0], ["FLUSHALL"])
            try await loop.readUntil([8]) { $0 == [[nil], [nil]] }
            #expect(try await loop.read([7, 8, 9])[0] == [nil, nil, nil])
            // What was unknown is known.
            let again = try await loop.write(other, driver: 9, time: 1)
            try await loop.readUntil([9]) { $0[0] == [again] }
        }
    }

    /// Two writers, one of this process, and reads of a few rows at a time out of memory that has no room for all: a
    /// reader never sees an older row after a newer one.
    @Test(arguments: [4 << 20, 20_000]) func noRowGoesBackInTime(bytes: Int) async throws {
        try await with(bytes: bytes) { (servers, store, loop) async throws -> Void in
            let other = try RedisOnlineStore(url: servers.url)
            let drivers: [Int64] = [3, 5, 7, 11]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (writer, writing) in [store, other].enumerated() {
                    group.addTask { () async throws -> Void in
                        for round in 0..<Int64(400) {
                            let time = 10_000 + 2 * round + Int64(writer)
                            _ = try await loop.write(writing, driver: drivers[Int(round) % 4], time: time)
                        }
                    }
                }
                group.addTask { () async throws -> Void in
                    var newest: [Int64] = [0, 0, 0, 0]
                    for round in 0..<Int64(2000) {
                        // Beside the four a row that pushes others out.
                        let found = try await loop.read(drivers + [20 + round % 2900])[0]
                        let times = found.prefix(4).map { $0?.time ?? 0 }
                        #expect(zip(times, newest).allSatisfy { $0 >= $1 })
                        newest = times
                    }
                }
                try await group.waitForAll()
            }
            #expect(counted("hits_total") > 0)
            let last = try await store.read([
                OnlineRead(view: loop.views[0], features: [2, 0], keys: try drivers.map(loop.key))
            ])
            try await loop.readUntil(drivers) { $0[0] == last[0] }
        }
    }

    @Test func aServerThatIsGoneOrHangsIsNotAnsweredFor() async throws {
        try await with(timeout: 500) { (servers, store, loop) async throws -> Void in
            _ = try await loop.read([1, 2])
            servers.freeze(servers.ports[0], true)
            // Nobody asks it for anything, and yet it is found out.
            try await loop.readUntilItFails([1, 2])
            servers.freeze(servers.ports[0], false)
            try await loop.readUntil([1, 2]) { $0 == loop.expected([1, 2]) }
            servers.kill(servers.ports[0])
            try await loop.readUntilItFails([1, 2])
            try servers.start(servers.ports[0])
            // What changed while no connection was there is read.
            let record = try await loop.write(try RedisOnlineStore(url: servers.url), driver: 1, time: 9000)
            try await loop.readUntil([1]) { $0[0] == [record] }
            for _ in 0..<3 { #expect(try await loop.read([2]) == loop.expected([2])) }
        }
    }

    @Test func aServerThatTellsNoChangesIsAskedEachTime() async throws {
        try await with(prepare: { servers in
            let answer = try servers.cli(servers.ports[0], ["ACL", "SETUSER", "default", "-client"])
            #expect(answer.hasPrefix("OK"))
        }) { (servers, store, loop) async throws -> Void in
            let other = try RedisOnlineStore(url: servers.url)
            for round in 0..<Int64(20) {
                let record = try await loop.write(other, driver: 7, time: 9000 + round)
                #expect(try await loop.read([7])[0] == [record])
            }
            #expect(counted("hits_total") == 0)
        }
    }
}
