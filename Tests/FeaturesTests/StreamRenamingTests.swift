import AerieCore
import AerieJSON
import AerieResources
import Streaming
import Testing

@testable import Features

/// Streams as the release of before 27 November 2026 has kept them.
@Suite struct StreamRenamingTests {
    private static let declarations = """
        apiVersion: aerie.dev/v1
        kind: Entity
        metadata: {name: user}
        spec: {joinKey: user_id, valueType: INT64}
        ---
        apiVersion: aerie.dev/v1
        kind: FeatureView
        metadata: {name: spend}
        spec:
          entities: [user]
          stream: {type: push, eventId: id}
          aggregations:
          - {name: payments, function: count, window: 1h}
          - {name: total, column: amount, function: sum, window: 24h}
        """

    private let clock = ManualClock(Timestamp(milliseconds: 1_790_000_000_000))

    private func read(_ shop: Workshop, _ view: FeatureCatalog.View) async throws -> [[FeatureValue]] {
        let keys = try (0..<3).map { try view.entityKey.bytes([.int64(Int64($0))]) }
        let read = OnlineRead(view: view.online, features: [0, 1], keys: keys)
        return try await shop.store.online.read([read])[0].map { $0?.values ?? [] }
    }

    private func push(_ shop: Workshop, _ view: FeatureCatalog.View, ids: Range<Int>) async throws -> Int {
        try await shop.store.streams().push(
            [
                ("user_id", ids.map { .int(Int64($0 % 3)) }), ("id", ids.map { .int(Int64($0)) }),
                ("amount", ids.map { .double(Double($0) / 2) }),
                ("event_timestamp", ids.map { _ in .string("2026-09-21T14:13:20Z") }),
            ], to: view)
    }

    /// Gives the stream its earlier name and its states their earlier layout.
    private func age(_ shop: Workshop, _ view: FeatureCatalog.View) async throws {
        let windows = try #require(view.online.windows)
        let former = try #require(view.formerStreamName)
        let streams = try shop.store.streams()
        var change = StreamChange()
        var rows: [OnlineRow] = []
        for user in 0..<3 {
            let key = try view.entityKey.bytes([.int64(Int64(user))])
            let bytes = try #require(try await streams.states.load(windows.stream, [key])[0])
            let old = try Self.firstLayout(of: bytes)
            let latest = try EntityWindows(bytes, windows.plan).latest
            change.states.append(StoredState(key: key, latest: latest, bytes: old))
            rows.append(OnlineRow(key: key, time: latest, created: 1, values: [.bytes(old)]))
        }
        change.positions = ["payments/0": 42]
        change.deadLetters = [DeadLetter(time: 1, reason: "no JSON", origin: "payments[0]@7", content: [0x7b])]
        (change.step, change.published) = (1, 1)
        try await streams.states.commit(former, change)
        _ = try await streams.online.write(OnlineWindows.rows(of: former)[0], rows)
        try await streams.drop(windows.stream)
    }

    /// Layout 1 has no list of early events. Here it is empty, right before the identities: their number of shares (1),
    /// then an index (varint), a number (1 byte) and eight bytes each.
    private static func firstLayout(of bytes: [UInt8]) throws -> [UInt8] {
        var old = bytes
        old[0] = 1
        let tail = try #require(
            (0..<bytes.count - 1).last { place in
                bytes[place] == 0 && bytes[place + 1] == 1 && Self.isIdentities(Array(bytes[(place + 1)...]))
            })
        old.remove(at: tail)
        return old
    }

    private static func isIdentities(_ bytes: [UInt8]) -> Bool {
        var at = 1
        while at < bytes.count, bytes[at] >= 0x80 { at += 1 }
        at += 1
        return at < bytes.count && bytes.count == at + 1 + 8 * Int(bytes[at])
    }

    @Test("windows that an earlier release has filled hold what they held, and go on") func takenOver() async throws {
        let shop = try Workshop(clock: clock, hasStreams: true)
        defer { shop.end() }
        _ = try await shop.resources.apply(Self.declarations, actor: "test")
        let view = try await shop.store.catalog().view("spend")
        let counted = try await push(shop, view, ids: 0..<9)
        #expect(counted == 9)
        let before = try await read(shop, view)
        #expect(before[1] == [.int64(3), .double(6)])
        try await age(shop, view)
        let lost = try await read(shop, view)
        #expect(lost[1] == [.int64(0), .double(0)])

        try await shop.store.renameStreams()
        let after = try await read(shop, view)
        #expect(after == before)
        let states = try shop.store.streams().states
        let name = try #require(view.streamName)
        #expect(try await states.streams() == [name])
        #expect(try await states.positions(name) == ["payments/0": 42])
        #expect(try await states.deadLetters(name, limit: 9).map(\.origin) == ["payments[0]@7"])
        // Events that were counted are known, and new ones add up.
        let again = try await push(shop, view, ids: 0..<12)
        #expect(again == 3)
        let more = try await read(shop, view)
        #expect(more[1] == [.int64(4), .double(11)])
        // There is nothing left to do.
        try await shop.store.renameStreams()
        #expect(try await read(shop, view) == more)
    }
}
