import AerieCore
import AerieJSON
import AerieResources
public import AerieTelemetry
import Synchronization

/// What was written into the online store, and how old the newest value of each view is. Any thread.
public final class FeatureCounters: Sendable {
    private struct Entry {
        var rows: Counter?
        /// Microseconds since 1970; `nil` until a time is known.
        var newest: Int64?
    }

    private let registry: MetricsRegistry?
    private let degraded: Counter?
    private let clock: any WallClock
    private let entries = Mutex<[String: Entry]>([:])

    init(_ registry: MetricsRegistry?, clock: any WallClock) {
        self.registry = registry
        self.clock = clock
        degraded = registry.map { Self.degradedReads($0, loop: "none") }
    }

    /// Reads in which defaults stood in for a store that was not reached.
    /// - Parameter loop: the event loop of the feature port that counts them; `none` for reads from anywhere else.
    public static func degradedReads(_ registry: MetricsRegistry, loop: String) -> Counter {
        registry.counter(
            "aerie_feature_reads_degraded_total", help: "Reads answered with defaults as the store was not reached",
            labels: [("loop", loop)])
    }

    /// A read elsewhere than on a loop of the feature port was answered with defaults.
    func degrade() { degraded?.increment() }

    func wrote(_ rows: Int, of view: FeatureCatalog.View) {
        let counter = entry(view).rows
        counter?.increment(by: rows)
    }

    /// A value of that time is in the store.
    func saw(_ time: Int64, of view: FeatureCatalog.View) {
        _ = entry(view)
        entries.withLock { entries in
            let name = Self.name(view)
            guard time > entries[name]?.newest ?? .min else { return }
            entries[name]?.newest = time
        }
    }

    /// Expectations of a suite that some rows did not meet, whatever became of these.
    func failed(_ expectations: Int, of view: FeatureCatalog.View) {
        guard expectations > 0 else { return }
        registry?.counter(
            "aerie_feature_quality_failures_total", help: "Expectations that rows of a view did not meet",
            labels: Self.labels(view)
        ).increment(by: expectations)
    }

    func setAside(_ rows: Int, of view: FeatureCatalog.View) {
        registry?.counter(
            "aerie_feature_rows_quarantined_total", help: "Rows that were kept aside for their quality",
            labels: Self.labels(view)
        ).increment(by: rows)
    }

    func skew(_ share: Double, of line: SkewReport.Line) {
        registry?.gauge(
            "aerie_feature_skew_ratio", help: "Share of sampled reads that differ from the offline value",
            labels: [("namespace", line.namespace), ("view", line.view), ("feature", line.feature)]
        ).set(share)
    }

    /// Microseconds between now and the time of a view's newest value; `nil` where no value is known of.
    public func age(of view: FeatureCatalog.View) -> Int64? {
        let written = entries.withLock { $0[Self.name(view)]?.newest }
        let kept = view.status["newestEvent"]?.string.flatMap(FeatureTime.parse)
        guard let newest = [written, kept].compactMap(\.self).max() else { return nil }
        return max(0, clock.now().milliseconds * 1000 - newest)
    }

    private static func name(_ view: FeatureCatalog.View) -> String { "\(view.key.namespace)/\(view.definition.name)" }

    private static func labels(_ view: FeatureCatalog.View) -> [(String, String)] {
        [("namespace", view.key.namespace), ("view", view.definition.name)]
    }

    private func entry(_ view: FeatureCatalog.View) -> Entry {
        let name = Self.name(view)
        if let known = entries.withLock({ $0[name] }) { return known }
        let entry = Entry(
            rows: registry?.counter(
                "aerie_feature_rows_written_total", help: "Rows written into the online store",
                labels: Self.labels(view)))
        entries.withLock { if $0[name] == nil { $0[name] = entry } }
        return entry
    }
}
