import AerieCore
import Serving
import Testing

/// What every `BanditStore` must keep of its contract.
enum BanditConformance {
    private static let key = BanditKey(namespace: "default", deployment: "d", predictor: "p", node: "router")

    private static func reward(
        _ puid: String, _ reward: Double, arm: Int = 0, version: String = "1", rows: Int = 1, counts: Bool = true,
        time: Int64 = 5
    ) -> BanditReward {
        BanditReward(
            key: key, puid: puid, arm: arm, version: version, reward: reward, rows: rows,
            time: Timestamp(milliseconds: time), counts: counts)
    }

    private static func decision(
        _ puid: String, arm: Int, time: Int64 = 5, of key: BanditKey = key
    ) -> BanditDecision {
        BanditDecision(
            key: key, puid: puid, arm: arm, version: "1", propensity: 0.1 + 0.2, rows: 3,
            time: Timestamp(milliseconds: time))
    }

    static let all: [PlatformConformance] = [
        .init("rewards add to their arm, once for each puid") { stores in
            let store = stores.bandits
            let begun = try await store.begin(["1", "1"], of: key)
            #expect(begun == [BanditArm(version: "1"), BanditArm(version: "1")])
            let first = BanditArm(version: "1", reward: 1, penalty: 3, feedbacks: 1)
            let second = BanditArm(version: "1", reward: 1, penalty: 0, feedbacks: 1)
            #expect(
                try await store.reward([reward("a", 0.25, rows: 4), reward("b", 1, arm: 1)])
                    == [.init(isNew: true, arm: first), .init(isNew: true, arm: second)])
            #expect(
                try await store.reward([reward("a", 1), reward("c", 0, counts: false)])
                    == [.init(isNew: false, arm: nil), .init(isNew: true, arm: nil)])
            var other = key
            other.node = "other"
            #expect(try await store.arms([key, other]) == [key: [0: first, 1: second]])
            #expect(try await store.arms([]).isEmpty)
        },
        .init("arms that serve another version begin again, the others keep what is known") { stores in
            let store = stores.bandits
            _ = try await store.begin(["1", "1"], of: key)
            _ = try await store.reward([reward("a", 1), reward("b", 1, arm: 1)])
            let known = BanditArm(version: "1", reward: 1, feedbacks: 1)
            #expect(try await store.begin(["1", "2"], of: key) == [known, BanditArm(version: "2")])
            // A server that comes later finds them begun.
            _ = try await store.reward([reward("c", 0.5, arm: 1, version: "2")])
            let learned = BanditArm(version: "2", reward: 0.5, penalty: 0.5, feedbacks: 1)
            #expect(try await store.begin(["1", "2"], of: key) == [known, learned])
            // A reward for what is gone is kept and adds nothing.
            #expect(try await store.reward([reward("d", 1, arm: 1)]) == [.init(isNew: true, arm: nil)])
            #expect(try await store.arms([key])[key]?[1] == learned)
        },
        .init("choices are found by their puid until they expire, the first one counts") { stores in
            let store = stores.bandits
            var (inner, elsewhere) = (key, key)
            inner.node = "inner"
            elsewhere.namespace = "other"
            try await store.append([])
            try await store.append(
                [decision("a", arm: 1), decision("a", arm: 2, of: inner), decision("b", arm: 0, time: 50)])
            try await store.append([decision("a", arm: 0), decision("a", arm: 3), decision("a", arm: 4, of: elsewhere)])
            func found(_ puid: String, in namespace: String = "default") async throws -> Set<BanditDecision> {
                Set(try await store.decisions(puid: puid, namespace: namespace, deployment: "d"))
            }
            #expect(try await found("a") == [decision("a", arm: 1), decision("a", arm: 2, of: inner)])
            #expect(try await found("a", in: "other") == [decision("a", arm: 4, of: elsewhere)])
            try await store.expire(before: Timestamp(milliseconds: 10))
            #expect(try await found("a").isEmpty)
            #expect(try await found("b") == [decision("b", arm: 0, time: 50)])
        },
        .init("a reward may be given again once it expired") { stores in
            _ = try await stores.bandits.reward([reward("a", 1), reward("b", 1, time: 50)])
            try await stores.bandits.expire(before: Timestamp(milliseconds: 10))
            #expect(try await stores.bandits.reward([reward("a", 1), reward("b", 1)]).map(\.isNew) == [true, false])
        },
        .init("removing a deployment forgets its arms, choices and rewards, and no other's") { stores in
            let store = stores.bandits
            var other = key
            other.deployment = "e"
            for key in [key, other] { _ = try await store.begin(["1"], of: key) }
            _ = try await store.reward([reward("a", 1)])
            try await store.append([decision("a", arm: 0)])
            try await store.remove(namespace: "default", deployment: "d")
            #expect(try await store.arms([key, other]) == [other: [0: BanditArm(version: "1")]])
            #expect(try await store.decisions(puid: "a", namespace: "default", deployment: "d").isEmpty)
            #expect(try await store.reward([reward("a", 1)]) == [.init(isNew: true, arm: nil)])
        },
        .init("what many add at once adds up, and of those who tell the same one counts") { stores in
            let store = stores.bandits
            _ = try await store.begin(["1", "1"], of: key)
            let news = try await withThrowingTaskGroup(of: Bool.self) { group in
                for writer in 0..<60 {
                    let arms = writer % 2 == 0 ? [0, 1] : [1, 0]
                    group.addTask {
                        _ = try await store.reward(arms.map { reward("w\(writer)-\($0)", 0.5, arm: $0) })
                        return try await store.reward([reward("same", 1)])[0].isNew
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(news == 1)
            let arms = try #require(try await store.arms([key])[key])
            #expect(arms[0] == BanditArm(version: "1", reward: 31, penalty: 30, feedbacks: 61))
            #expect(arms[1] == BanditArm(version: "1", reward: 30, penalty: 30, feedbacks: 60))
        },
    ]
}
