import AerieCore
import AerieJSON
import AerieResources
import StoreLMDB
import Streaming
import Testing

@testable import Features

/// Rows of a log, message by message.
@Suite struct RowStreamTests {
    private static let noon = FeatureTime.parse("2026-10-01T12:00:00Z")!

    private func message(_ offset: Int64, _ text: String) -> EventMessage {
        EventMessage(partition: "rows/0", offset: offset, arrival: Self.noon, content: Array(text.utf8))
    }

    private func view(_ shop: Workshop, _ change: (String, String) = ("", "")) async throws -> FeatureCatalog.View {
        let text = """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: drivers}
            spec:
              entities: [driver]
              stream: {type: kafka, brokers: "127.0.0.1:1", topic: rows, timestampField: at, to: online}
              features:
              - {name: rate, dtype: DOUBLE}
              - {name: digit, dtype: INT64}
            """
        let changed = change.0.isEmpty ? text : text.replacing(change.0, with: change.1)
        _ = try await shop.resources.apply(changed, actor: "test")
        return try await shop.store.catalog().view("drivers")
    }

    @Test("a message of a far future is set aside with the reason, and those after it count")
    func future() async throws {
        let shop = try Workshop(clock: ManualClock(Timestamp(milliseconds: Self.noon / 1000)))
        defer { shop.end() }
        try await shop.makeDrivers(1)
        let view = try await view(shop)
        let name = try #require(view.streamName)
        let states = try LMDBStreamStore(path: shop.folder + "/streams.mdb", mapSize: 1 << 26)
        let stream = RowStream(
            view, stream: name, states: states, clock: shop.store.clock, writer: shop.store.rowWriter(view))
        try await stream.take([
            message(0, #"{"driver_id": 7, "at": "2026-10-01T11:00:00Z", "digit": 1}"#),
            message(1, #"{"driver_id": 7, "at": "2036-10-01T11:00:00Z", "digit": 2}"#),
            message(2, #"{"driver_id": 7, "at": "2026-10-01T11:30:00Z", "digit": 3}"#),
        ])
        #expect(try await shop.digit(of: 7) == .int64(3))
        let totals = await stream.totals
        #expect(totals.verdicts[.counted] == 2 && totals.deadLetters == 1)
        let aside = try await states.deadLetters(name, limit: 10)
        #expect(aside.map(\.origin) == ["rows/0@1"] && aside.allSatisfy { $0.reason.contains("ahead of the clock") })
        #expect(try await states.positions(name) == ["rows/0": 3])
        #expect(shop.store.counters.age(of: view).map { $0 / 1_000_000 } == 1800)
    }

    @Test("a word about a view leaves its stream where it is; other keys begin anew")
    func names() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(1)
        let before = try await view(shop).streamName
        #expect(try await view(shop, ("features:", "description: told\n  features:")).streamName == before)
        #expect(try await view(shop, ("DOUBLE}", "DOUBLE, default: 1, tags: {a: b}}")).streamName == before)
        _ = try await shop.resources.apply(
            "apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {name: driver}\n"
                + "spec: {joinKey: driver_id, valueType: STRING}\n", actor: "test")
        #expect(try await view(shop).streamName != before)
    }

    @Test(
        "windows count on through a change of words, and begin anew with another definition, which is said",
        arguments: [
            ("function: count", "function: count, description: told, default: 0, tags: {a: b}", nil),
            ("function: count", "function: count, dtype: INT32", nil),
            ("window: 1h", "window: 2h", "their aggregations have changed"),
            ("id, allowed", "other, allowed", "what says which and when their events are has changed"),
            ("allowedLateness: 1h", "allowedLateness: 2h", "their allowedLateness has changed"),
            ("entities: [driver]", "entities: [car]", "their keys have changed"),
        ] as [(String, String, String?)])
    func windows(_ change: (old: String, new: String, why: String?)) async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(1)
        let text = """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: activity}
            spec:
              entities: [driver]
              stream: {type: kafka, brokers: "127.0.0.1:1", topic: trips, eventId: id, allowedLateness: 1h}
              aggregations:
              - {name: trips_1h, function: count, window: 1h}
            """
        _ = try await shop.resources.apply(text, actor: "test")
        let before = try await shop.store.catalog().view("activity").streamName
        let changed = text.replacing(change.old, with: change.new)
        #expect(changed != text)
        let warnings = try await shop.resources.apply(changed, actor: "test")[0].warnings.filter { $0.contains("windows") }
        let after = try await shop.store.catalog().view("activity").streamName
        guard let why = change.why else {
            #expect(after == before && warnings.isEmpty)
            return
        }
        #expect(after != before && warnings.count == 1)
        #expect(warnings.allSatisfy { $0.contains(why) && $0.contains("topic 'trips' from its beginning") })
    }
}
