import Synchronization

/// What a deployment's requests add up to since the process began.
struct TrafficTotals: Sendable {
    var latency = LatencyHistogram()
    /// Answers for which the platform is to blame: 5xx and their like.
    var errors = 0
    var negative = 0
    var positive = 0
}

/// A deployment, or one of its predictors.
struct TrafficKey: Hashable, Sendable {
    var namespace: String
    var deployment: String
    /// `nil` for the deployment as a whole.
    var predictor: String?
}

extension MetricsRegistry {
    /// The totals of every deployment and predictor that has had a request.
    func traffic() -> [TrafficKey: TrafficTotals] {
        let (loops, slotLabels) = state.withLock { ($0.loops, $0.slotLabels) }
        var totals: [TrafficKey: TrafficTotals] = [:]
        func add(_ slot: Int, _ change: (inout TrafficTotals) -> Void) {
            guard slot >= 0, let labels = slotLabels?(slot) else { return }
            for predictor in [nil, labels.predictor] {
                let key = TrafficKey(
                    namespace: labels.namespace, deployment: labels.deployment, predictor: predictor)
                change(&totals[key, default: TrafficTotals()])
            }
        }
        for loop in loops {
            let (series, counts) = loop.read()
            for one in series where one.part == .server {
                add(one.slot) {
                    $0.latency.merge(one.histogram)
                    if OutcomeCode.isServerError(one.codeIndex, one.service) { $0.errors += one.histogram.count }
                }
            }
            for one in counts {
                add(one.slot) {
                    $0.negative += one.negative
                    $0.positive += one.positive
                }
            }
        }
        return totals
    }
}
