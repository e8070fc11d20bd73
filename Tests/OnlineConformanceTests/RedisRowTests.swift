import AerieCore
import Features
import StoreRedis
import Testing

/// Many rows at once, which go to the server as whole hashes where nobody knows their entities.
@Suite(.serialized) struct RedisRowTests {
    private let key = EntityKey(names: ["driver_id"])
    private let count = 300

    private func view(_ name: String, project: String = "p") -> OnlineView {
        OnlineView(project: project, name: name, features: ["rate", "city"])
    }

    private func rows(_ drivers: Range<Int>, time: Int64, created: Int64 = 0, city: String) throws -> [OnlineRow] {
        try drivers.map { driver in
            OnlineRow(
                key: try key.bytes([.int64(Int64(driver))]), time: time, created: created,
                values: [driver % 3 == 0 ? nil : .double(Double(driver)), .string(city + String(driver))])
        }
    }

    private func expected(_ rows: [OnlineRow]) -> [OnlineRecord?] {
        rows.map { OnlineRecord(time: $0.time, values: $0.values.map { $0 ?? .null }) }
    }

    private func read(_ store: RedisOnlineStore, _ view: OnlineView, _ drivers: Range<Int>) async throws
        -> [OnlineRecord?]
    {
        let keys = try drivers.map { try key.bytes([.int64(Int64($0))]) }
        return try await store.read([OnlineRead(view: view, features: [0, 1], keys: keys)])[0]
    }

    /// The words of a row's hash, with a byte that is no letter in the form in which redis-cli takes it.
    private func name(_ driver: Int, _ project: String) throws -> String {
        let bytes = try key.bytes([.int64(Int64(driver))]) + Array(project.utf8)
        return "\"" + bytes.map { "\\x" + Hexadecimal.encode([$0]) }.joined() + "\""
    }

    @Test(arguments: [1, 6]) func entitiesThatAnotherViewKnowsKeepIts(nodes: Int) async throws {
        let servers = try RedisServers(nodes: nodes)
        defer { servers.end() }
        let store = try RedisOnlineStore(url: servers.url)
        let (cars, drivers) = (view("cars"), view("drivers"))
        let first = try rows(0..<200, time: 10, created: 7, city: "Lecce ")
        #expect(try await store.write(cars, first) == 200)
        // Of these some are known, some not, and some have values that no small hash holds.
        var second = try rows(0..<count, time: 5, city: "Bari ")
        for place in stride(from: 0, to: count, by: 7) {
            second[place].values[1] = .string(String(repeating: "è", count: 200))
        }
        #expect(try await store.write(drivers, second) == count)
        #expect(try await read(store, cars, 0..<200) == expected(first))
        #expect(try await read(store, drivers, 0..<count) == expected(second))
        // Older ones change nothing, equal ones count, newer ones stay.
        #expect(try await store.write(drivers, try rows(0..<count, time: 4, city: "Roma ")) == 0)
        #expect(try await store.write(drivers, second) == count)
        #expect(try await store.write(cars, try rows(0..<200, time: 10, created: 6, city: "Roma ")) == 0)
        let third = try rows(0..<count, time: 11, city: "Trani ")
        #expect(try await store.write(cars, third) == count)
        #expect(try await read(store, cars, 1..<3) == expected(Array(third[1..<3])))
        #expect(try await read(store, drivers, 0..<count) == expected(second))
    }

    @Test func anEntityTwiceInOneBatchIsItsNewest() async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        let store = try RedisOnlineStore(url: servers.url)
        let newer = try rows(0..<count, time: 20, city: "Lecce ")
        let older = try rows(0..<count, time: 10, city: "Bari ")
        #expect(try await store.write(view("drivers"), newer + older) == count)
        #expect(try await read(store, view("drivers"), 0..<count) == expected(newer))
    }

    @Test func aHashInOneWordIsWhatTheCommandsMake() async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        let store = try RedisOnlineStore(url: servers.url)
        for created in [Int64(0), 1_790_000_000_000_000] {
            for row in try rows(0..<4, time: 1_790_000_000_123_456, created: created, city: "né ") {
                _ = try await store.write(view("drivers", project: "one by one"), [row])
            }
            let all = try rows(0..<count, time: 1_790_000_000_123_456, created: created, city: "né ")
            #expect(try await store.write(view("drivers", project: "together"), all) == count)
            for driver in 0..<4 {
                let names = "\(try name(driver, "one by one")) \(try name(driver, "together"))"
                let script =
                    "local a, b = redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) "
                    + "return {#a, cmsgpack.pack(a) == cmsgpack.pack(b) and 'same' or 'other'}"
                let answer = try servers.cli(
                    servers.ports[0],
                    script: ["EVAL \"\(script)\" 2 \(names)", "OBJECT ENCODING \(try name(driver, "together"))"])
                let words = 2 + (created == 0 ? 0 : 2) + (driver % 3 == 0 ? 2 : 4)
                #expect(answer == ["1) (integer) \(words)", "2) \"same\"", "\"listpack\""])
            }
            _ = try servers.cli(servers.ports[0], ["FLUSHALL"])
        }
    }

    @Test func aServerThatTakesNoWholeHashesTakesTheirFields() async throws {
        let servers = try RedisServers(nodes: 1)
        defer { servers.end() }
        #expect(try servers.cli(servers.ports[0], ["ACL", "SETUSER", "default", "-restore"]).hasPrefix("OK"))
        let store = try RedisOnlineStore(url: servers.url)
        for time in [Int64(10), 11] {
            let all = try rows(0..<count, time: time, city: "Lecce ")
            #expect(try await store.write(view("drivers"), all) == count)
            #expect(try await read(store, view("drivers"), 0..<count) == expected(all))
        }
    }
}
