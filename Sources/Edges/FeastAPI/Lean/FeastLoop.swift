import AerieHTTP
import AerieTelemetry
import Features
import NIOCore

/// What the Feast connections of one event loop share: the plans they have met, and the way to the store.
///
/// `@unchecked Sendable`: made on one thread, from then on touched on its event loop only.
final class FeastLoop: HTTPLoop, @unchecked Sendable {
    let routes: FeastRoutes
    let reader: (any OnlineReader)?
    let counters: FeastCounters
    var plans = FeastPlans()
    /// For the answer that is being written.
    var ends: [Range<Int>] = []
    /// Reads until the next that is sampled.
    private var untilSample = 1

    init(
        eventLoop: any EventLoop, options: Options, routes: FeastRoutes, reader: (any OnlineReader)?,
        counters: FeastCounters
    ) {
        self.routes = routes
        self.reader = reader
        self.counters = counters
        super.init(eventLoop: eventLoop, options: options)
    }

    /// Keeps one read in many, to be compared with the offline values.
    func sample(_ lookups: OnlineLookups) {
        untilSample -= 1
        guard untilSample == 0 else { return }
        untilSample = routes.store.sampling.every
        if untilSample > 0 { routes.store.sample(lookups) }
    }
}

/// What one loop has read. No lock but the histogram's own, which a scrape takes for a moment.
struct FeastCounters: Sendable {
    let reads: Counter
    let rows: Counter
    let missing: Counter
    let degraded: Counter
    let duration: Histogram

    init(_ registry: MetricsRegistry, loop: Int) {
        let labels = [("loop", "\(loop)")]
        reads = registry.counter(
            "aerie_feature_reads_total", help: "Requests for online features on the feature port", labels: labels)
        rows = registry.counter(
            "aerie_feature_rows_read_total", help: "Rows looked up in the online store", labels: labels)
        missing = registry.counter(
            "aerie_feature_rows_missing_total", help: "Rows that the online store does not have", labels: labels)
        degraded = FeatureCounters.degradedReads(registry, loop: "\(loop)")
        duration = registry.histogram(
            "aerie_feature_read_seconds", help: "From a request's last byte to its answer", labels: labels)
    }

    func record(_ lookups: OnlineLookups, failed: Bool, nanoseconds: UInt64) {
        reads.increment()
        rows.increment(by: lookups.rows.count)
        duration.record(nanoseconds: nanoseconds)
        if failed { return degraded.increment() }
        var count = 0
        for row in lookups.rows where !row.isFound { count += 1 }
        if count > 0 { missing.increment(by: count) }
    }
}
