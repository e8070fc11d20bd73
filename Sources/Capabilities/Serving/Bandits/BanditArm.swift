public import AerieCore

/// What a learning router knows of one child: the rewards that its answers earned, as sums over rows.
public struct BanditArm: Sendable, Hashable {
    /// The version of what the child serves; another one begins from nothing.
    public var version: String
    /// The sum of the rewards, and of what they were short of one: Beta(1 + reward, 1 + penalty) is the posterior.
    public var reward: Double
    public var penalty: Double
    /// Pieces of feedback that were taken.
    public var feedbacks: Int

    public init(version: String, reward: Double = 0, penalty: Double = 0, feedbacks: Int = 0) {
        self.version = version
        self.reward = reward
        self.penalty = penalty
        self.feedbacks = feedbacks
    }

    /// The posterior's mean.
    public var mean: Double { (1 + reward) / (2 + reward + penalty) }

    /// Takes a reward between 0 and 1 for each of some rows.
    mutating func learn(reward r: Double, rows: Int) {
        reward += r * Double(rows)
        penalty += (1 - r) * Double(rows)
        feedbacks += 1
    }
}

/// Which learning router it is: a node of one predictor's graph.
public struct BanditKey: Sendable, Hashable {
    public var namespace: String
    public var deployment: String
    public var predictor: String
    public var node: String

    public init(namespace: String, deployment: String, predictor: String, node: String) {
        self.namespace = namespace
        self.deployment = deployment
        self.predictor = predictor
        self.node = node
    }
}

/// A choice that a learning router made for a request.
public struct BanditDecision: Sendable, Hashable {
    public var key: BanditKey
    public var puid: String
    public var arm: Int
    public var version: String
    /// How likely the choice was when it was made: what off-policy estimates divide by.
    public var propensity: Double
    public var rows: Int
    public var time: Timestamp

    public init(
        key: BanditKey, puid: String, arm: Int, version: String, propensity: Double, rows: Int, time: Timestamp
    ) {
        self.key = key
        self.puid = puid
        self.arm = arm
        self.version = version
        self.propensity = propensity
        self.rows = rows
        self.time = time
    }
}

/// What a request's answer earned, for one router on its way.
public struct BanditReward: Sendable, Hashable {
    public var key: BanditKey
    public var puid: String
    public var arm: Int
    public var version: String
    /// From 0 to 1, for each of the rows.
    public var reward: Double
    public var rows: Int
    public var time: Timestamp
    /// False for what is only kept: the router is frozen.
    public var counts: Bool

    public init(
        key: BanditKey, puid: String, arm: Int, version: String, reward: Double, rows: Int, time: Timestamp,
        counts: Bool
    ) {
        self.key = key
        self.puid = puid
        self.arm = arm
        self.version = version
        self.reward = reward
        self.rows = rows
        self.time = time
        self.counts = counts
    }
}
