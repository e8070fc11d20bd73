import AerieTelemetry

/// How well one event loop's kept rows do. No locks.
struct RowCacheCounters: Sendable {
    private let hits: Counter
    private let misses: Counter
    private let changes: Counter
    private let evicted: Counter
    private let bytes: Gauge

    init(_ registry: MetricsRegistry, loop: Int) {
        let labels = [("loop", "\(loop)")]
        hits = registry.counter(
            "aerie_online_cache_hits_total", help: "Rows of Redis that were read out of the loop's own memory",
            labels: labels)
        misses = registry.counter(
            "aerie_online_cache_misses_total", help: "Rows that Redis was asked for", labels: labels)
        changes = registry.counter(
            "aerie_online_cache_invalidations_total", help: "Messages of Redis that a row, or all, may have changed",
            labels: labels)
        evicted = registry.counter(
            "aerie_online_cache_evictions_total", help: "Rows that were given up for others", labels: labels)
        bytes = registry.gauge("aerie_online_cache_bytes", help: "Bytes of the rows that are kept", labels: labels)
    }

    func record(hits: Int, misses: Int) {
        if hits > 0 { self.hits.increment(by: hits) }
        if misses > 0 { self.misses.increment(by: misses) }
    }

    func record(evicted: Int, bytes: Int) {
        if evicted > 0 { self.evicted.increment(by: evicted) }
        self.bytes.set(Double(bytes))
    }

    func recordChange(bytes: Int) {
        changes.increment()
        self.bytes.set(Double(bytes))
    }
}
