import AerieCore
import Features
import Foundation
import StoreLMDB
import Testing

@Suite struct LMDBOnlineStoreTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lmdb-\(UUID().uuidString)").path
    private let view = OnlineView(project: "p", name: "drivers", features: ["rate", "trips"])
    private let key = EntityKey(names: ["driver_id"])

    private func open() throws -> LMDBOnlineStore {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try LMDBOnlineStore(path: folder + "/online.mdb", mapSize: 1 << 28)
    }

    private func row(_ driver: Int64, _ time: Int64, created: Int64 = 0, _ values: FeatureValue?...) throws -> OnlineRow
    {
        OnlineRow(key: try key.bytes([.int64(driver)]), time: time, created: created, values: values)
    }

    private func value(_ store: LMDBOnlineStore, _ driver: Int64) async throws -> OnlineRecord? {
        try await store.read([OnlineRead(view: view, features: [0, 1], keys: [try key.bytes([.int64(driver)])])])[0][0]
    }

    @Test func theNewestStaysAndSurvivesAnotherStart() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let store = try open()
            #expect(try await store.write(view, [try row(1, 100, .double(0.5), .int64(7))]) == 1)
            #expect(try await store.write(view, [try row(1, 50, .double(0.1), .int64(1))]) == 0)
            #expect(try await value(store, 1) == OnlineRecord(time: 100, values: [.double(0.5), .int64(7)]))
            // The same time, written down later; and a row that says nothing of one feature.
            #expect(try await store.write(view, [try row(1, 100, created: 5, nil, .int64(8))]) == 1)
            #expect(try await store.write(view, [try row(1, 100, created: 4, .double(9), .int64(9))]) == 0)
            #expect(try await value(store, 2) == nil)
        }
        let store = try open()
        #expect(try await value(store, 1) == OnlineRecord(time: 100, values: [.double(0.5), .int64(8)]))
    }

    @Test func manyWritersAtOnceLoseNothing() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try open()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for writer in 0..<20 {
                group.addTask {
                    var rows: [OnlineRow] = []
                    for driver in 0..<50 {
                        rows.append(try self.row(Int64(driver), Int64(writer), .double(Double(writer)), .null))
                    }
                    return try await store.write(self.view, rows)
                }
            }
            for try await _ in group {}
        }
        for driver in 0..<50 {
            #expect(try await value(store, Int64(driver)) == OnlineRecord(time: 19, values: [.double(19), .null]))
        }
        #expect(try await store.usage().rows == 50)
    }

    @Test func sweepsAndDropsOnlyWhatItShould() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try open()
        let other = OnlineView(project: "p", name: "drivers2", features: ["rate", "trips"])
        var rows: [OnlineRow] = []
        for driver in 0..<25_000 { rows.append(try row(Int64(driver), Int64(driver), .null, .null)) }
        #expect(try await store.write(view, rows) == 25_000)
        #expect(try await store.write(other, Array(rows.prefix(10))) == 10)
        #expect(try await store.sweep(view, before: 24_000) == 24_000)
        #expect(try await value(store, 23_999) == nil)
        #expect(try await value(store, 24_000) != nil)
        #expect(try await store.drop(view) == 1000)
        #expect(try await store.usage().rows == 10)
    }

    @Test func aLongKeyIsFound() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try open()
        let keys = ["a", "b"].map { try? key.bytes([.string(String(repeating: "x", count: 900) + $0)]) }
        let long = try #require(keys[0])
        _ = try await store.write(view, [OnlineRow(key: long, time: 1, values: [.string("one"), .null])])
        let found = try await store.read([OnlineRead(view: view, features: [0], keys: [long, try #require(keys[1])])])
        #expect(found[0] == [OnlineRecord(time: 1, values: [.string("one")]), nil])
    }
}
