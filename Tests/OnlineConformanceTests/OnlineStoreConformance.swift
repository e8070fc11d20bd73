import AerieCore
import Features
import Foundation
import StoreLMDB
import StoreRedis
import Testing

/// What every online store promises, on each of them for real.
@Suite(.serialized) struct OnlineStoreConformance {
    enum Backend: String, CaseIterable { case lmdb, redis, cluster }

    private let view = OnlineView(project: "p", name: "drivers", features: ["rate", "trips", "tags"])
    private let key = EntityKey(names: ["driver_id"])

    private func with(_ backend: Backend, _ body: (any OnlineStore) async throws -> Void) async throws {
        switch backend {
        case .lmdb:
            let folder = "/tmp/aerie-online-" + IdentifierSource.system.hex32().prefix(12)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try await body(try LMDBOnlineStore(path: folder + "/online.mdb", mapSize: 1 << 30))
        case .redis, .cluster:
            let servers = try RedisServers(nodes: backend == .redis ? 1 : 6)
            defer { servers.end() }
            try await body(try RedisOnlineStore(url: servers.url))
        }
    }

    private func row(_ driver: Int64, _ time: Int64, created: Int64 = 0, _ values: FeatureValue?...) throws -> OnlineRow
    {
        OnlineRow(key: try key.bytes([.int64(driver)]), time: time, created: created, values: values)
    }

    private func read(_ store: any OnlineStore, _ drivers: [Int64], _ features: [Int] = [0, 1, 2]) async throws
        -> [OnlineRecord?]
    {
        let keys = try drivers.map { try key.bytes([.int64($0)]) }
        return try await store.read([OnlineRead(view: view, features: features, keys: keys)])[0]
    }

    @Test(arguments: Backend.allCases) func theNewestStays(_ backend: Backend) async throws {
        try await with(backend) { (store: any OnlineStore) async throws -> Void in
            let tags = FeatureValue.list(.string, [.string("né"), .string("")])
            #expect(try await store.write(view, [try row(1, 2_000_000, .double(0.5), .int64(7), tags)]) == 1)
            #expect(try await store.write(view, [try row(1, 1_999_999, .double(0.1), .int64(1), .null)]) == 0)
            #expect(
                try await read(store, [1, 2, 1], [2, 0])
                    == [
                        OnlineRecord(time: 2_000_000, values: [tags, .double(0.5)]), nil,
                        OnlineRecord(time: 2_000_000, values: [tags, .double(0.5)]),
                    ])
            // Equal times: what was written down later wins, and the same again changes nothing.
            #expect(try await store.write(view, [try row(1, 2_000_000, created: 9, nil, .int64(8), .null)]) == 1)
            #expect(try await store.write(view, [try row(1, 2_000_000, created: 8, .double(3), .int64(3), .null)]) == 0)
            #expect(try await store.write(view, [try row(1, 2_000_000, created: 9, nil, .int64(8), .null)]) == 1)
            #expect(
                try await read(store, [1]) == [OnlineRecord(time: 2_000_000, values: [.double(0.5), .int64(8), .null])])
            // Times before 1970 are times.
            #expect(try await store.write(view, [try row(5, -1_500_000, .null, .int64(1), .null)]) == 1)
            #expect(try await store.write(view, [try row(5, -1_600_000, .null, .int64(2), .null)]) == 0)
            #expect(try await store.write(view, [try row(5, 0, .null, .int64(3), .null)]) == 1)
            #expect(try await read(store, [5], [1]) == [OnlineRecord(time: 0, values: [.int64(3)])])
        }
    }

    @Test(arguments: Backend.allCases) func viewsOfOneEntityStandBesideEachOther(_ backend: Backend) async throws {
        try await with(backend) { (store: any OnlineStore) async throws -> Void in
            let other = OnlineView(project: "p", name: "cars", features: ["rate"])
            let elsewhere = OnlineView(project: "q", name: "drivers", features: ["rate", "trips", "tags"])
            _ = try await store.write(view, [try row(1, 10, .double(1), .null, .null)])
            _ = try await store.write(other, [try row(1, 5, .double(2))])
            let name = try key.bytes([.int64(1)])
            let found = try await store.read([
                OnlineRead(view: view, features: [0], keys: [name]),
                OnlineRead(view: other, features: [0], keys: [name]),
                OnlineRead(view: elsewhere, features: [0], keys: [name]),
            ])
            #expect(
                found == [
                    [OnlineRecord(time: 10, values: [.double(1)])], [OnlineRecord(time: 5, values: [.double(2)])],
                    [nil],
                ])
            #expect(try await store.drop(view) == 1)
            #expect(try await store.read([OnlineRead(view: other, features: [0], keys: [name])])[0][0] != nil)
            #expect(try await read(store, [1]) == [nil])
        }
    }

    @Test(arguments: Backend.allCases) func manyRowsAndManyWriters(_ backend: Backend) async throws {
        try await with(backend) { (store: any OnlineStore) async throws -> Void in
            let count = 6000
            try await withThrowingTaskGroup(of: Int.self) { group in
                for writer in 0..<6 {
                    group.addTask {
                        // Each writes all, in an order of its own; the greatest time must stay everywhere.
                        var rows: [OnlineRow] = []
                        for step in 0..<count {
                            let driver = Int64((step * 7919 + writer * 131) % count)
                            rows.append(
                                try self.row(
                                    driver, Int64(writer) * 1000 + 1, .double(Double(writer)), .int64(driver), .null))
                        }
                        return try await store.write(self.view, rows)
                    }
                }
                for try await _ in group {}
            }
            let drivers = (0..<Int64(count)).map { $0 }
            let found = try await read(store, drivers)
            for (driver, record) in zip(drivers, found) {
                #expect(record == OnlineRecord(time: 5001, values: [.double(5), .int64(driver), .null]))
            }
            _ = try await store.write(view, [try row(3, 9000, .double(0), .int64(3), .null)])
            #expect(try await store.sweep(view, before: 9000) == count - 1)
            #expect(try await read(store, [2, 3]).map { $0 == nil } == [true, false])
            #expect(try await store.usage().rows == 1)
        }
    }

    @Test(arguments: Backend.allCases) func aScanShowsEveryRowOfItsView(_ backend: Backend) async throws {
        try await with(backend) { (store: any OnlineStore) async throws -> Void in
            let vectors = FeatureValue.list(.float, [.float(1), .float(2)])
            let count: Int64 = backend == .lmdb ? 12_000 : 2500
            _ = try await store.write(
                view, try (0..<count).map { try row($0, $0, .null, .int64($0), $0 % 2 == 0 ? vectors : .null) })
            // Of other views and projects, also one whose name ends alike, nothing is shown or taken out.
            let others = [
                OnlineView(project: "p", name: "drivers2", features: view.features),
                OnlineView(project: "xp", name: view.name, features: view.features),
            ]
            for other in others { _ = try await store.write(other, [try row(1, 5, .null, .int64(-1), .null)]) }
            // An entity with a long key, which LMDB keeps under a hash.
            let long = try EntityKey(names: ["name"]).bytes([.string(String(repeating: "n", count: 600))])
            _ = try await store.write(
                view, [OnlineRow(key: long, time: 7, values: [.null, .int64(count), vectors])])
            var seen: [[UInt8]: (Int64, FeatureValue, FeatureValue)] = [:]
            try await store.scan(view, features: [2, 1]) { row throws(AerieError) in
                seen[Array(row.key)] = (
                    row.time, try FeatureValue(protobuf: row.values[0]), try FeatureValue(protobuf: row.values[1])
                )
            }
            #expect(seen.count == Int(count) + 1)
            for driver in stride(from: 0, to: count, by: 97) {
                let found = try #require(seen[try key.bytes([.int64(driver)])])
                #expect(found == (driver, driver % 2 == 0 ? vectors : .null, .int64(driver)))
            }
            #expect(try #require(seen[long]) == (7, vectors, .int64(count)))
            let stop = AerieError(.cancelled, "enough")
            let error = await #expect(throws: AerieError.self) {
                try await store.scan(view, features: []) { _ throws(AerieError) in throw stop }
            }
            #expect(error?.message == "enough")
            #expect(try await store.drop(view) == Int(count) + 1)
            for other in others {
                let read = OnlineRead(view: other, features: [1], keys: [try key.bytes([.int64(1)])])
                #expect(try await store.read([read])[0][0]?.values == [.int64(-1)])
            }
        }
    }

    @Test func aServerThatComesBackIsFoundAgain() async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        let store = try RedisOnlineStore(url: servers.url, timeout: 500, patience: .milliseconds(300))
        _ = try await store.write(view, [try row(1, 10, .double(1), .int64(2), .null)])
        servers.kill(servers.ports[0])
        let error = await #expect(throws: AerieError.self) { try await self.read(store, [1]) }
        #expect(error?.code == .unavailable)
        #expect(error?.message == "cannot reach Redis at 127.0.0.1:\(servers.ports[0]): Connection refused")
        try servers.start(servers.ports[0])
        // What was acknowledged was on the disk; the script is taught anew.
        #expect(try await read(store, [1]) == [OnlineRecord(time: 10, values: [.double(1), .int64(2), .null])])
        #expect(try await store.write(view, [try row(1, 11, .double(1), .int64(3), .null)]) == 1)
        // A server that hangs is given up, and taken up again when it goes on.
        servers.freeze(servers.ports[0], true)
        await #expect(throws: AerieError.self) { try await self.read(store, [1]) }
        servers.freeze(servers.ports[0], false)
        #expect(try await read(store, [1])[0]?.values[1] == .int64(3))
        // A replica takes no writes, and says so itself.
        _ = try servers.cli(servers.ports[0], ["REPLICAOF", "127.0.0.1", "1"])
        let refusal = await #expect(throws: AerieError.self) {
            try await store.write(self.view, [try self.row(1, 12, .double(1), .int64(4), .null)])
        }
        #expect(refusal?.message.contains("refuses: READONLY") == true)
    }

    @Test func aClusterLosesANodeAndMovesItsSlots() async throws {
        let servers = try RedisServers(nodes: 6)
        defer { servers.end() }
        let store = try RedisOnlineStore(url: servers.url, timeout: 1000, patience: .seconds(20))
        let drivers = (0..<Int64(3000)).map { $0 }
        _ = try await store.write(view, try drivers.map { try row($0, 10, .double(1), .int64($0), .null) })
        // Slots move while reads and writes go on; every answer must be right.
        let nodes = try servers.ports.map { port in
            (port, try servers.cli(port, ["CLUSTER", "MYID"]).trimmingCharacters(in: .whitespacesAndNewlines))
        }
        let masters = try nodes.filter { try servers.cli($0.0, ["ROLE"]).hasPrefix("master") }
        let moving = Task.detached {
            try RedisServers.run(
                "/usr/bin/redis-cli",
                [
                    "--cluster", "reshard", "127.0.0.1:\(masters[0].0)", "--cluster-from", masters[0].1, "--cluster-to",
                    masters[1].1, "--cluster-slots", "1000", "--cluster-yes",
                ])
        }
        for round in 0..<10 {
            #expect(
                try await store.write(
                    view, try drivers.map { try row($0, Int64(20 + round), .double(2), .int64($0), .null) })
                    == drivers.count)
            #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
        }
        #expect(try await moving.value.status == 0)
        #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
        try await passOverAHalfMovedSlot(servers, store, drivers, from: masters[1], to: masters[2])
        // A node that answers late, but in time, costs nothing but that time.
        servers.freeze(masters[1].0, true)
        let thaw = Task.detached {
            try await Task.sleep(for: .milliseconds(300))
            servers.freeze(masters[1].0, false)
        }
        #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
        try await thaw.value
        // A master dies; its replica, which has had time to follow, takes over.
        for port in servers.ports { _ = try servers.cli(port, ["WAIT", "1", "1000"]) }
        servers.kill(masters[2].0)
        #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
        #expect(
            try await store.write(view, try drivers.map { try row($0, 99, .double(3), .int64($0), .null) })
                == drivers.count)
        // Of a cluster that is away only the first waits in vain: all others together take less than twice as long.
        let hasty = try RedisOnlineStore(url: servers.url, timeout: 1000, patience: .seconds(2))
        #expect(try await read(hasty, [1], [1])[0]?.values == [.int64(1)])
        for port in servers.ports { servers.kill(port) }
        let taken = await ContinuousClock().measure {
            for _ in 0..<10 { await #expect(throws: AerieError.self) { try await self.read(hasty, [1]) } }
        }
        #expect(taken < .seconds(10))
        for port in servers.ports { try servers.start(port) }
        var back = try? await read(hasty, [1], [1])
        while back == nil { back = try? await read(hasty, [1], [1]) }
        #expect(back?[0]?.values == [.int64(1)])
    }

    /// Of a slot that is on its way one key has arrived: the old node sends who asks for it on to the new one, once.
    private func passOverAHalfMovedSlot(
        _ servers: RedisServers, _ store: RedisOnlineStore, _ drivers: [Int64], from: (port: Int, id: String),
        to: (port: Int, id: String)
    ) async throws {
        let counts = try servers.cli(from.port, script: (0..<16_384).map { "CLUSTER COUNTKEYSINSLOT \($0)" })
        let slot = try #require(counts.firstIndex { $0 == "(integer) 2" || $0 == "(integer) 3" })
        let keys = try servers.cli(from.port, script: ["CLUSTER GETKEYSINSLOT \(slot) 10"]).compactMap { line in
            line.firstIndex(of: "\"").map { String(line[$0...]) }
        }
        try #require(keys.count >= 2)
        func move(_ key: String) throws {
            let answer = try servers.cli(from.port, script: ["MIGRATE 127.0.0.1 \(to.port) \(key) 0 5000"])
            #expect(answer == ["OK"])
        }
        _ = try servers.cli(to.port, ["CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", from.id])
        _ = try servers.cli(from.port, ["CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", to.id])
        try move(keys[0])
        for round in 0..<2 {
            #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
            let rows = try drivers.map { try row($0, Int64(50 + round), .double(4), .int64($0), .null) }
            #expect(try await store.write(view, rows) == drivers.count)
        }
        for key in keys.dropFirst() { try move(key) }
        for node in [to, from] { _ = try servers.cli(node.port, ["CLUSTER", "SETSLOT", "\(slot)", "NODE", to.id]) }
        #expect(try await read(store, drivers, [1]).map { $0?.values } == drivers.map { [.int64($0)] })
    }
}

@Suite struct RedisAddressTests {
    @Test func urls() throws {
        let one = try RedisAddress.parse("redis://user:se:cret@db/3")
        #expect(
            !one.isCluster
                && one.addresses[0]
                    == RedisAddress(host: "db", port: 6379, user: "user", password: "se:cret", database: 3)
        )
        let many = try RedisAddress.parse("redis-cluster://a:1,b:2")
        #expect(many.isCluster && many.addresses.map(\.port) == [1, 2])
        #expect("\(one.addresses[0])" == "db:6379")
        for bad in [
            "redis://", "redis://a:x", "redis://a,b", "http://a", "redis://secret@a", "redis://a/x",
            "redis-cluster://a:1/2",
        ] {
            let error = #expect(throws: AerieError.self) { try RedisAddress.parse(bad) }
            #expect(error?.message.contains("secret") == false)
        }
    }
}
