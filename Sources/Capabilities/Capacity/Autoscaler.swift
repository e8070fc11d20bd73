/// Kubernetes' HorizontalPodAutoscaler for one metric, as its documentation defines it ("Algorithm details" and
/// "Configurable scaling behavior"): a state machine without a clock of its own.
public struct Autoscaler: Sendable {
    /// What one direction may do.
    public struct Policy: Sendable, Equatable {
        /// Of the pods at the beginning of the period: 50 for half as many again.
        public var percent: Double
        public var periodSeconds: Int
        public var stabilizationSeconds: Int

        public init(percent: Double, periodSeconds: Int, stabilizationSeconds: Int) {
            self.percent = percent
            self.periodSeconds = periodSeconds
            self.stabilizationSeconds = stabilizationSeconds
        }
    }

    public struct Settings: Sendable, Equatable {
        public var minimum: Int
        public var maximum: Int
        /// The utilization that is aimed for: 0.7.
        public var target: Double
        public var up: Policy
        public var down: Policy
        /// Ratios so near to 1 change nothing.
        public var tolerance: Double
        /// Seconds from the decision to a pod that answers.
        public var startSeconds: Int

        public init(
            minimum: Int, maximum: Int, target: Double = 0.7,
            up: Policy = Policy(percent: 50, periodSeconds: 60, stabilizationSeconds: 60),
            down: Policy = Policy(percent: 10, periodSeconds: 60, stabilizationSeconds: 300), tolerance: Double = 0.1,
            startSeconds: Int = 15
        ) {
            self.minimum = minimum
            self.maximum = maximum
            self.target = target
            self.up = up
            self.down = down
            self.tolerance = tolerance
            self.startSeconds = startSeconds
        }
    }

    private let settings: Settings
    /// Pods asked for.
    public private(set) var pods: Int
    private var recommendations: [(second: Int, pods: Int)] = []
    private var changes: [(second: Int, pods: Int)] = []

    public init(_ settings: Settings, pods: Int) {
        self.settings = settings
        self.pods = min(max(pods, settings.minimum), settings.maximum)
    }

    /// One look at the metric; Kubernetes does it every 15 seconds.
    /// - Parameter utilization: the mean of the pods, 0.7 for 70 %.
    /// - Returns: the pods asked for from now on.
    public mutating func look(second: Int, utilization: Double) -> Int {
        let ratio = utilization / settings.target
        var wanted = pods
        if abs(ratio - 1) > settings.tolerance { wanted = CapacityPlan.up(Double(pods) * ratio) }
        let stable = stabilized(second, wanted)
        let limited = limit(second, stable)
        if limited != pods { changes.append((second, limited - pods)) }
        pods = limited
        return pods
    }

    /// Up no higher than the lowest, down no lower than the highest recommendation of the direction's window.
    private mutating func stabilized(_ second: Int, _ wanted: Int) -> Int {
        let longest = max(settings.up.stabilizationSeconds, settings.down.stabilizationSeconds)
        recommendations.removeAll { $0.second < second - longest }
        recommendations.append((second, wanted))
        let ups = recommendations.filter { $0.second >= second - settings.up.stabilizationSeconds }
        let downs = recommendations.filter { $0.second >= second - settings.down.stabilizationSeconds }
        let lowest = ups.map(\.pods).min() ?? wanted
        let highest = downs.map(\.pods).max() ?? wanted
        return min(max(pods, lowest), highest)
    }

    private func limit(_ second: Int, _ wanted: Int) -> Int {
        func atPeriodStart(_ policy: Policy) -> Int {
            pods - changes.filter { $0.second > second - policy.periodSeconds }.reduce(0) { $0 + $1.pods }
        }
        var allowed = wanted
        if wanted > pods {
            let start = Double(atPeriodStart(settings.up))
            allowed = min(wanted, max(pods, CapacityPlan.up(start * (1 + settings.up.percent / 100))))
        } else if wanted < pods {
            let start = Double(atPeriodStart(settings.down))
            allowed = max(wanted, min(pods, Int(start * (1 - settings.down.percent / 100))))
        }
        return min(max(allowed, settings.minimum), settings.maximum)
    }
}
