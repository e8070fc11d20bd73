public import AerieCore

/// Where learning routers keep what they have learned and chosen. Several servers may share one.
///
/// Contract: each call is one transaction, durable when it returns. A router's arms are kept by their place; a reward
/// is added to its arm only if the arm has the reward's version at that moment, and what several servers add at once
/// adds up. Rewards are idempotent: one for each puid and router, the first, whichever server took it. Any task may
/// call; calls may run at once.
public protocol BanditStore: Sendable {
    /// The arms of routers by their place; nothing for a router that has none.
    func arms(_ keys: [BanditKey]) async throws(AerieError) -> [BanditKey: [Int: BanditArm]]
    /// Lets the arms of a router serve these versions by their place: one that is not there, or serves another
    /// version, begins from nothing; the others keep what is known.
    /// - Returns: the arms as they are then.
    func begin(_ versions: [String], of key: BanditKey) async throws(AerieError) -> [BanditArm]
    /// Keeps choices; one that is there already for its puid and router stays.
    func append(_ decisions: [BanditDecision]) async throws(AerieError)
    /// The choices that were made for a request to a deployment.
    func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision]
    /// Keeps rewards and adds those that count to their arms.
    /// - Returns: for each what came of it.
    func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [BanditRewardOutcome]
    /// Forgets choices and rewards that are older.
    func expire(before time: Timestamp) async throws(AerieError)
    /// Forgets everything of a deployment.
    func remove(namespace: String, deployment: String) async throws(AerieError)
}

/// What came of a reward.
public struct BanditRewardOutcome: Sendable, Hashable {
    /// False for a second one for the same puid and router, which changes nothing.
    public var isNew: Bool
    /// What is known of the arm now, with what other servers added; `nil` where nothing was added to it.
    public var arm: BanditArm?

    public init(isNew: Bool, arm: BanditArm?) {
        self.isNew = isNew
        self.arm = arm
    }
}
