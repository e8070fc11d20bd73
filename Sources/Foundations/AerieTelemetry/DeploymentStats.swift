public import AerieCore

/// How requests went over some time.
public struct TrafficStats: Sendable, Hashable {
    public var requestsPerSecond = 0.0
    /// Latency quantiles in seconds; `nil` without a request.
    public var p50: Double?
    public var p95: Double?
    public var p99: Double?
    /// The part of the answers for which the platform is to blame (5xx), 0 to 1.
    public var errorRate = 0.0
    /// Requests, failures and predictions by class since the process began.
    public var total = 0
    public var totalErrors = 0
    public var totalNegative = 0
    public var totalPositive = 0

    public init() {}
}

/// One second of a deployment's history.
public struct TrafficPoint: Sendable, Hashable {
    /// The end of that second.
    public var time: Timestamp
    public var requestsPerSecond: Double
    public var errorsPerSecond: Double
    /// In seconds; `nil` without a request.
    public var p50: Double?
    public var p99: Double?
}

/// A deployment's traffic now and over the last five minutes.
public struct DeploymentStats: Sendable, Hashable {
    public var namespace: String
    public var deployment: String
    /// Over the last ten seconds.
    public var current: TrafficStats
    /// The same for each predictor by its name.
    public var predictors: [String: TrafficStats]
    /// One point a second, oldest first, at most 300.
    public var history: [TrafficPoint]
}
