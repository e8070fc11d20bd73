import AerieCore
import Synchronization

/// The learning routers of this process, each kept while its deployment lives, whatever table it is in.
public final class BanditRegistry: Sendable {
    let store: (any BanditStore)?
    public let decisions: DecisionLog
    private let routers = Mutex<[BanditKey: BanditRouter]>([:])

    /// - Parameter store: where what is learned outlives the process; `nil` for nowhere.
    public init(store: (any BanditStore)?, decisions: DecisionLog) {
        self.store = store
        self.decisions = decisions
    }

    /// The router of a node with arms of these versions: the one that is there, or one that knows what was kept.
    func router(
        _ key: BanditKey, policy: BanditRouter.Policy, versions: [String], seed: UInt64?, isFrozen: Bool
    ) async throws(AerieError) -> BanditRouter {
        if let router = routers.withLock({ $0[key] }), router.policy == policy {
            if !router.serves(versions) { router.take(try await begin(versions, of: key)) }
            router.freeze(isFrozen)
            return router
        }
        let arms = try await begin(versions, of: key)
        let router = BanditRouter(key: key, policy: policy, arms: arms, seed: seed, isFrozen: isFrozen)
        routers.withLock { $0[key] = router }
        return router
    }

    private func begin(_ versions: [String], of key: BanditKey) async throws(AerieError) -> [BanditArm] {
        try await store?.begin(versions, of: key) ?? versions.map { BanditArm(version: $0) }
    }

    /// Keeps rewards, and lets their routers know what they know together then.
    /// - Returns: for each whether it is the first for its puid and router.
    func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [Bool] {
        guard let store else {
            for reward in rewards where reward.counts {
                guard let router = existing(reward.key), router.arms.indices.contains(reward.arm) else { continue }
                var arm = router.arms[reward.arm]
                guard arm.version == reward.version else { continue }
                arm.learn(reward: reward.reward, rows: reward.rows)
                router.learned(arm, at: reward.arm)
            }
            return rewards.map { _ in true }
        }
        let outcomes = try await store.reward(rewards)
        for (reward, outcome) in zip(rewards, outcomes) {
            if let arm = outcome.arm { existing(reward.key)?.learned(arm, at: reward.arm) }
        }
        return outcomes.map(\.isNew)
    }

    /// Takes what other servers have learned in a store that they share.
    func refresh() async throws(AerieError) {
        let known = routers.withLock { $0 }.mapValues { (router: $0, changes: $0.changes) }
        guard let store, !known.isEmpty else { return }
        let kept = try await store.arms(Array(known.keys))
        for (key, (router, changes)) in known { router.refresh(kept[key] ?? [:], since: changes) }
    }

    /// Takes what other servers have learned, again and again until its task is cancelled: a query each time. A store
    /// that is away for a while is asked again.
    /// - Parameter sleep: waits before each time; tests inject one that does not.
    public func followOthers(
        sleep: @Sendable () async throws -> Void = { try await Task.sleep(for: .seconds(1)) }
    ) async {
        while !Task.isCancelled {
            do { try await sleep() } catch { return }
            try? await refresh()
        }
    }

    /// What the router of a node knows now; `nil` for a node that does not learn.
    func existing(_ key: BanditKey) -> BanditRouter? { routers.withLock { $0[key] } }

    /// The deployment is gone, and with it what was learned.
    func remove(namespace: String, deployment: String) async throws(AerieError) {
        routers.withLock { routers in
            routers = routers.filter { $0.key.namespace != namespace || $0.key.deployment != deployment }
        }
        try await store?.remove(namespace: namespace, deployment: deployment)
    }
}
