import AerieCore
public import AerieTelemetry
import Synchronization

/// Counts what the nodes of graphs take and say, on whatever thread they run.
///
/// Thread-safe. A lock for some nanoseconds a node: graphs are not the path that takes none.
public final class NodeMetrics: Sendable {
    private let registry: MetricsRegistry
    /// A loop's counters with a lock before them: only one thread may write them at a time.
    private let cells = LoopMetrics()
    private let writing = Mutex(())
    private let rewards = Mutex<[GraphPlace: Double]>([:])

    public init(registry: MetricsRegistry) {
        self.registry = registry
        registry.register(cells)
    }

    /// - Parameter failure: `nil` for a node that answered.
    func record(_ slot: Int, _ service: ServiceKind, _ failure: AerieError.Code?, nanoseconds: UInt64) {
        guard slot >= 0 else { return }
        let isHTTP = service == .infer || service == .predictions
        let code: Int
        switch failure {
        case nil: code = isHTTP ? 200 : 0
        case .invalidArgument?: code = isHTTP ? 400 : 3
        case .deadlineExceeded?: code = isHTTP ? 504 : 4
        default: code = isHTTP ? 500 : 13
        }
        writing.withLock { _ in
            cells.recordModel(slot: slot, service: service, code: code, nanoseconds: nanoseconds)
        }
    }

    /// `meta.metrics` under Seldon's names: a counter's ends in `_total`, a timer is in seconds.
    func count(_ metrics: [GraphMetric], of place: GraphPlace) {
        for metric in metrics {
            var labels = [
                ("deployment_name", place.deployment), ("predictor_name", place.predictor), ("method", "predictions"),
            ]
            labels += metric.tags.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            let name = Self.name(metric.key)
            let help = "Told by a node of a graph in meta.metrics"
            switch metric.kind {
            case .counter:
                registry.counter(name.hasSuffix("_total") ? name : name + "_total", help: help, labels: labels)
                    .increment(by: Int(max(0, min(metric.value, 1e15))))
            case .gauge: registry.gauge(name, help: help, labels: labels).set(metric.value)
            case .timer:
                registry.histogram(name, help: help, labels: labels)
                    .record(nanoseconds: UInt64(max(0, min(metric.value, 1e9)) * 1_000_000))
            }
        }
    }

    /// Counts feedback as Seldon's executor does: how often, and the rewards' sum. The sum is a gauge here, since a
    /// counter of whole numbers would lose the fractions.
    func countFeedback(_ reward: Double, of place: GraphPlace) {
        let labels = [
            ("deployment_name", place.deployment), ("predictor_name", place.predictor), ("method", "feedback"),
        ]
        registry.counter("seldon_api_model_feedback_total", help: "Feedback that was taken", labels: labels).increment()
        rewards.withLock { sums in
            sums[place, default: 0] += reward
            registry.gauge(
                "seldon_api_model_feedback_reward_total", help: "The sum of the rewards of feedback", labels: labels
            ).set(sums[place] ?? 0)
        }
    }

    /// A name that Prometheus takes.
    private static func name(_ key: String) -> String {
        let name = String(key.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") ? $0 : "_" })
        return name.first?.isNumber == true || name.isEmpty ? "_" + name : name
    }
}
