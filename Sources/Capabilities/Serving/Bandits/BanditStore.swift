public import AerieCore

/// Where learning routers keep what they have learned and chosen.
///
/// Contract: each call is one transaction, durable when it returns. A router's arms are kept by their place; a reward
/// is added to its arm only if the arm has the reward's version at that moment. Rewards are idempotent: one for each
/// puid and router, the first. Any task may call; calls may run at once.
public protocol BanditStore: Sendable {
    /// The arms of a router by their place; empty for one that was never set.
    func arms(_ key: BanditKey) async throws(AerieError) -> [Int: BanditArm]
    /// Puts an arm in place of what was there.
    func set(_ arm: BanditArm, at place: Int, of key: BanditKey) async throws(AerieError)
    /// Keeps choices; one that is there already for its puid and router stays.
    func append(_ decisions: [BanditDecision]) async throws(AerieError)
    /// The choices that were made for a request to a deployment.
    func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision]
    /// Keeps rewards and adds those that count to their arms.
    /// - Returns: for each whether it is the first for its puid and router.
    func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [Bool]
    /// Forgets choices and rewards that are older.
    func expire(before time: Timestamp) async throws(AerieError)
    /// Forgets everything of a deployment.
    func remove(namespace: String, deployment: String) async throws(AerieError)
}
