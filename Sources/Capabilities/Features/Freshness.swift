import AerieTelemetry
import Synchronization

/// How old the newest value of each view is, and how old it may be, as gauges. A view that is not measured any more has
/// none. Any thread.
final class Freshness: Sendable {
    /// One view's; microseconds.
    struct Line: Sendable {
        var labels: [(String, String)]
        /// `nil` where no value is known of.
        var age: Int64?
        /// `nil` for any age.
        var target: Int64?
    }

    private let lines = Mutex<[Line]>([])

    /// In the place of those of the measurement before.
    func set(_ lines: [Line]) { self.lines.withLock { $0 = lines } }

    /// Once a registry.
    func register(with metrics: MetricsRegistry) {
        add(metrics, "aerie_feature_freshness_seconds", "Age of the newest value of a view in the online store") {
            $0.age.map { Double($0) / 1e6 }
        }
        add(metrics, "aerie_feature_freshness_target_seconds", "How old the newest value of a view may be") {
            $0.target.map { Double($0) / 1e6 }
        }
        add(metrics, "aerie_feature_freshness_met", "1 while a view's newest value is as fresh as it should be") { line in
            guard let age = line.age, let target = line.target else { return nil }
            return age <= target ? 1 : 0
        }
    }

    private func add(
        _ metrics: MetricsRegistry, _ name: String, _ help: String, _ value: @escaping @Sendable (Line) -> Double?
    ) {
        metrics.readings(name, help: help, isCounter: false) { [self] in
            lines.withLock(\.self).compactMap { line in
                value(line).map { MetricsRegistry.Reading(labels: line.labels, value: $0) }
            }
        }
    }
}
