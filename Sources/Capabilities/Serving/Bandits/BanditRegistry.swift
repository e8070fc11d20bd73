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
            for place in router.take(versions: versions, isFrozen: isFrozen) {
                try await store?.set(BanditArm(version: versions[place]), at: place, of: key)
            }
            return router
        }
        var arms: [BanditArm] = []
        let kept = try await store?.arms(key) ?? [:]
        for (place, version) in versions.enumerated() {
            if let arm = kept[place], arm.version == version {
                arms.append(arm)
            } else {
                arms.append(BanditArm(version: version))
                try await store?.set(arms[place], at: place, of: key)
            }
        }
        let router = BanditRouter(key: key, policy: policy, arms: arms, seed: seed, isFrozen: isFrozen)
        routers.withLock { $0[key] = router }
        return router
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
