public import AerieJSON

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A day of traffic, second by second, under an autoscaler.
public struct DaySimulation: Sendable {
    /// Requests a second over a day: a night, a rise, a peak in the evening, and bursts.
    public struct Traffic: Sendable, Equatable {
        /// Requests a second at the highest.
        public var peak: Double
        /// The night's traffic as a share of the peak.
        public var valley: Double
        /// The hour of the peak, 0 to 24.
        public var peakHour: Double
        /// A burst a day: so much more than the curve, as a share, for so many seconds from this hour on.
        public var burst: Double
        public var burstHour: Double
        public var burstSeconds: Int

        public init(
            peak: Double, valley: Double = 0.25, peakHour: Double = 20, burst: Double = 0, burstHour: Double = 12,
            burstSeconds: Int = 600
        ) {
            self.peak = peak
            self.valley = valley
            self.peakHour = peakHour
            self.burst = burst
            self.burstHour = burstHour
            self.burstSeconds = burstSeconds
        }

        public func perSecond(at second: Int) -> Double {
            let hour = Double(second) / 3600
            let wave = (1 + cos((hour - peakHour) / 24 * 2 * Double.pi)) / 2
            let isBurst = second >= Int(burstHour * 3600) && second < Int(burstHour * 3600) + burstSeconds
            return peak * (valley + (1 - valley) * wave) * (isBurst ? 1 + burst : 1)
        }
    }

    /// One look of the autoscaler.
    public struct Sample: Sendable, Equatable {
        public var second: Int
        public var perSecond: Double
        /// Pods that answer, and those that are asked for.
        public var ready: Int
        public var asked: Int
        public var utilization: Double
    }

    public private(set) var samples: [Sample] = []
    /// Seconds in which more was asked than all ready pods can answer.
    public private(set) var overloadedSeconds = 0
    /// Requests of those seconds beyond what the pods can answer.
    public private(set) var shed = 0.0
    public private(set) var podHours = 0.0
    public private(set) var total = 0.0

    private static let look = 15

    /// - Parameter perPod: requests a second of one pod at the target utilization; at full utilization it answers
    ///   `perPod / target`.
    public init(_ traffic: Traffic, perPod: Double, settings: Autoscaler.Settings) {
        let first = CapacityPlan.up(traffic.perSecond(at: 0) / perPod)
        var scaler = Autoscaler(settings, pods: first)
        var ready = scaler.pods
        var starting: [(second: Int, pods: Int)] = []
        let most = perPod / settings.target
        for second in 0..<86_400 {
            let demand = traffic.perSecond(at: second)
            ready += starting.filter { $0.second == second }.reduce(0) { $0 + $1.pods }
            starting.removeAll { $0.second <= second }
            total += demand
            podHours += Double(ready) / 3600
            if demand > Double(ready) * most {
                overloadedSeconds += 1
                shed += demand - Double(ready) * most
            }
            guard second.isMultiple(of: Self.look) else { continue }
            let utilization = min(1, demand / (Double(ready) * most))
            let before = scaler.pods
            let asked = scaler.look(second: second, utilization: utilization)
            if asked > before { starting.append((second + max(1, settings.startSeconds), asked - before)) }
            if asked < before {
                // Pods that have not started yet are the first that go.
                var surplus = before - asked
                while surplus > 0, let last = starting.popLast() {
                    if last.pods > surplus { starting.append((last.second, last.pods - surplus)) }
                    surplus -= min(surplus, last.pods)
                }
                ready -= surplus
            }
            samples.append(
                Sample(second: second, perSecond: demand, ready: ready, asked: asked, utilization: utilization))
        }
    }

    public var fewestPods: Int { samples.map(\.ready).min() ?? 0 }
    public var mostPods: Int { samples.map(\.ready).max() ?? 0 }
    /// What a fleet of always so many pods as the peak needs would have cost more, as a share.
    public var saving: Double { mostPods > 0 ? 1 - podHours / Double(mostPods * 24) : 0 }

    public func json() -> JSONValue {
        [
            "pods": ["fewest": .int(Int64(fewestPods)), "most": .int(Int64(mostPods))],
            "pod_hours": .double(podHours), "saving": .double(saving), "requests": .double(total),
            "overloaded_seconds": .int(Int64(overloadedSeconds)), "shed": .double(shed),
        ]
    }
}
