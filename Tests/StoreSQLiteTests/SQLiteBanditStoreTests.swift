import AerieCore
import Foundation
import Serving
import StoreSQLite
import Testing

@Suite("Learning routers in SQLite")
struct SQLiteBanditStoreTests {
    private let path = FileManager.default.temporaryDirectory.path + "/aerie-bandits-\(UUID().uuidString).db"
    private let key = BanditKey(namespace: "default", deployment: "d", predictor: "p", node: "router")

    private func open() throws -> SQLiteBanditStore {
        SQLiteBanditStore(try MetadataDatabase(path: path, migrations: SQLiteBanditStore.migrations))
    }

    private func reward(
        _ puid: String, _ reward: Double, arm: Int = 0, version: String = "1", rows: Int = 1, counts: Bool = true,
        time: Int64 = 5
    ) -> BanditReward {
        BanditReward(
            key: key, puid: puid, arm: arm, version: version, reward: reward, rows: rows,
            time: Timestamp(milliseconds: time), counts: counts)
    }

    private func decision(_ puid: String, arm: Int, time: Int64 = 5) -> BanditDecision {
        BanditDecision(
            key: key, puid: puid, arm: arm, version: "1", propensity: 0.25, rows: 3, time: Timestamp(milliseconds: time))
    }

    @Test("rewards add to their arm, once for each puid, and are there after opening again")
    func rewards() async throws {
        let store = try open()
        try await store.set(BanditArm(version: "1"), at: 0, of: key)
        try await store.set(BanditArm(version: "1"), at: 1, of: key)
        #expect(try await store.reward([reward("a", 0.25, rows: 4), reward("b", 1, arm: 1)]) == [true, true])
        #expect(try await store.reward([reward("a", 1), reward("c", 0, counts: false)]) == [false, true])
        let again = try open()
        let arms = try await again.arms(key)
        #expect(arms == [
            0: BanditArm(version: "1", reward: 1, penalty: 3, feedbacks: 1),
            1: BanditArm(version: "1", reward: 1, penalty: 0, feedbacks: 1),
        ])
    }

    @Test("a reward for another version than the arm's is kept and adds nothing")
    func versions() async throws {
        let store = try open()
        try await store.set(BanditArm(version: "2"), at: 0, of: key)
        #expect(try await store.reward([reward("a", 1)]) == [true])
        #expect(try await store.arms(key)[0] == BanditArm(version: "2"))
        try await store.set(BanditArm(version: "3"), at: 0, of: key)
        #expect(try await store.arms(key) == [0: BanditArm(version: "3")])
    }

    @Test("choices are found by their puid until they expire, the first one counts")
    func decisions() async throws {
        let store = try open()
        try await store.append([decision("a", arm: 1), decision("b", arm: 0, time: 50)])
        try await store.append([decision("a", arm: 0)])
        func found(_ puid: String) async throws -> [BanditDecision] {
            try await store.decisions(puid: puid, namespace: "default", deployment: "d")
        }
        #expect(try await found("a") == [decision("a", arm: 1)])
        #expect(try await store.decisions(puid: "a", namespace: "other", deployment: "d").isEmpty)
        try await store.expire(before: Timestamp(milliseconds: 10))
        #expect(try await found("a").isEmpty)
        #expect(try await found("b") == [decision("b", arm: 0, time: 50)])
    }

    @Test("removing a deployment forgets its arms, choices and rewards, and no other's")
    func remove() async throws {
        let store = try open()
        var other = key
        other.deployment = "e"
        for key in [key, other] { try await store.set(BanditArm(version: "1"), at: 0, of: key) }
        _ = try await store.reward([reward("a", 1)])
        try await store.append([decision("a", arm: 0)])
        try await store.remove(namespace: "default", deployment: "d")
        #expect(try await store.arms(key).isEmpty)
        #expect(try await store.arms(other).count == 1)
        #expect(try await store.reward([reward("a", 1)]) == [true])
    }
}
