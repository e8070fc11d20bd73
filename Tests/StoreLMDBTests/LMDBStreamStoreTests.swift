import AerieCore
import Foundation
import StoreLMDB
import Streaming
import Synchronization
import Testing

@Suite struct LMDBStreamStoreTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lmdb-\(UUID().uuidString)").path

    private func open() throws -> LMDBStreamStore {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try LMDBStreamStore(path: folder + "/streams.mdb", mapSize: 1 << 28)
    }

    private func change(
        _ step: Int64, published: Int64 = 0, _ states: [StoredState] = [], positions: [String: Int64] = [:],
        letters: [DeadLetter] = []
    ) -> StreamChange {
        var change = StreamChange()
        (change.step, change.published, change.states) = (step, published, states)
        (change.positions, change.deadLetters) = (positions, letters)
        return change
    }

    private func state(_ key: UInt8, _ latest: Int64 = 5) -> StoredState {
        StoredState(key: [key], latest: latest, bytes: [key, key])
    }

    @Test func aChangeIsWholeAndSurvivesAnotherStart() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let store = try open()
            try await store.commit("a", change(1, [state(1), state(2)], positions: ["t/0": 7, "t/1": 9]))
            try await store.commit("a", change(2, published: 1, [state(3)], positions: ["t/0": 8]))
            try await store.commit("b", change(1, [state(1)]))
        }
        let store = try open()
        #expect(try await store.load("a", [[1], [9], [3]]) == [[1, 1], nil, [3, 3]])
        #expect(try await store.positions("a") == ["t/0": 8, "t/1": 9])
        let left = try await store.unpublished("a")
        #expect(left.states == [state(3)] && left.step == 2)
        #expect(try await store.streams() == ["a", "b"])
        try await store.drop("a")
        #expect(try await store.streams() == ["b"])
        #expect(try await store.load("a", [[1]]) == [nil])
        #expect(try await store.load("b", [[1]]) == [[1, 1]])
        #expect(try await store.positions("a").isEmpty)
    }

    @Test func sweepsWhatIsOldAndKeepsLongKeys() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try open()
        let long = StoredState(key: Array(repeating: 7, count: 900), latest: 50, bytes: [7])
        try await store.commit("a", change(1, [state(1, 10), state(2, 20), state(3, 30), long]))
        #expect(try await store.sweep("a", before: 30) == 2)
        #expect(try await store.load("a", [[1], [2], [3], long.key]) == [nil, nil, [3, 3], [7]])
        // What is gone is no longer owed either.
        #expect(Set(try await store.unpublished("a").states) == [state(3, 30), long])
    }

    @Test func deadLettersAreTheNewestAndNotMoreThanTenThousand() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try open()
        for part in 0..<11 {
            let letters = (0..<1000).map { number in
                DeadLetter(
                    time: Int64(part), reason: "no JSON", origin: "t[0]@\(part * 1000 + number)", content: [1, 2])
            }
            try await store.commit("a", change(Int64(part), letters: letters))
        }
        let newest = try await store.deadLetters("a", limit: 2)
        #expect(newest.map(\.origin) == ["t[0]@10999", "t[0]@10998"])
        let all = try await store.deadLetters("a", limit: 20_000)
        #expect(all.count == 10_000 && all.last?.origin == "t[0]@1000")
    }
}

/// The processor on the real store: what is counted, what is remembered, what is tried again.
@Suite struct StreamProcessorTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lmdb-\(UUID().uuidString)").path
    private let plan = WindowPlan(
        [.init(name: "n", function: .count, column: nil, window: 3_600_000_000)], allowedLateness: 3_600_000_000)
    private let clock = ManualClock()

    /// What was published last, by key.
    private final class Published: Sendable {
        let states = Mutex<[[UInt8]: PublishedState]>([:])
        let isDown = Mutex(false)
    }

    /// For all processors of a test: a process opens the file once.
    private func store() throws -> LMDBStreamStore {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try LMDBStreamStore(path: folder + "/streams.mdb", mapSize: 1 << 28)
    }

    private func processor(_ published: Published, _ store: LMDBStreamStore) -> StreamProcessor {
        StreamProcessor(stream: "s", plan: plan, store: store, clock: clock) { states throws(AerieError) in
            if published.isDown.withLock({ $0 }) { throw AerieError(.unavailable, "down") }
            published.states.withLock { known in for state in states { known[state.key] = state } }
        }
    }

    private func count(_ published: Published, _ key: [UInt8]) throws -> StreamValue? {
        guard let state = published.states.withLock({ $0[key] }) else { return nil }
        let windows = try EntityWindows(state.bytes, plan)
        return windows.values(at: clock.now().milliseconds * 1000, plan)[0]
    }

    private func batch(_ offsets: Range<Int64>) -> StreamBatch {
        let now = clock.now().milliseconds * 1000
        return StreamBatch(
            events: offsets.map { _ in StreamEvent(key: [1], time: now, arrival: now, values: []) },
            source: .init(partition: "t/0", offsets: Array(offsets), next: offsets.upperBound))
    }

    @Test func aPartitionThatIsReadTwiceCountsOnce() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (published, store) = (Published(), try self.store())
        do {
            let first = processor(published, store)
            #expect(try await first.ingest(batch(0..<10)).verdicts == [.counted: 10])
            #expect(try await first.ingest(batch(5..<15)).verdicts == [.counted: 5])
            #expect(try await first.ingest(batch(0..<15)).verdicts.isEmpty)
        }
        let second = processor(published, store)
        #expect(try await second.positions() == ["t/0": 15])
        #expect(try await second.ingest(batch(12..<20)).verdicts == [.counted: 5])
        #expect(try count(published, [1]) == .number(20))
    }

    @Test func whatCouldNotBePublishedIsPublishedLaterAlsoByTheNextProcessor() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (published, store) = (Published(), try self.store())
        published.isDown.withLock { $0 = true }
        do {
            let first = processor(published, store)
            _ = try await first.ingest(batch(0..<3))
            #expect(await first.totals.publishFailures == 1)
            await #expect(throws: AerieError.self) { try await first.catchUp() }
        }
        #expect(try count(published, [1]) == nil)
        let second = processor(published, store)
        published.isDown.withLock { $0 = false }
        try await second.catchUp()
        #expect(try count(published, [1]) == .number(3))
    }

    @Test func manyPushesAtOnceShareStepsAndLoseNothing() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let published = Published()
        let processor = processor(published, try self.store())
        let now = clock.now().milliseconds * 1000
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let event = StreamEvent(
                        key: [UInt8(number % 3)], time: now, arrival: now, id: UInt64(number / 2), values: [])
                    _ = try await processor.ingest(StreamBatch(events: [event, event]))
                }
            }
            try await group.waitForAll()
        }
        let totals = await processor.totals
        #expect((totals.verdicts[.counted] ?? 0) + (totals.verdicts[.duplicate] ?? 0) == 400)
        // Number n goes to n % 3 under the identity n / 2: two of a pair go to different entities.
        #expect(totals.verdicts[.counted] == 200)
        #expect(totals.commits < 200)
        let counts = try (0..<3).map { try count(published, [UInt8($0)]) }
        #expect(counts == [.number(67), .number(67), .number(66)])
    }
}
