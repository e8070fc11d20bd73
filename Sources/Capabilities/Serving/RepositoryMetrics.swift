import AerieTelemetry

/// What a scrape tells of models that come and go, by Seldon Core 2's names.
struct RepositoryMetrics: Sendable {
    private let woken: Counter
    private let evicted: Counter
    private let loaded: Gauge
    private let bytes: Gauge

    /// - Parameter registry: `nil` to count for nobody.
    init(_ registry: MetricsRegistry?, capacity: Int) {
        let registry = registry ?? MetricsRegistry()
        woken = registry.counter("seldon_cache_miss_count", help: "Requests that brought their model into memory")
        evicted = registry.counter("seldon_cache_evict_count", help: "Models that left memory for others")
        loaded = registry.gauge("seldon_loaded_model_gauge", help: "Models on demand that are in memory")
        bytes = registry.gauge("seldon_loaded_model_memory_bytes_gauge", help: "Their memory, as it is expected")
        registry.gauge(
            "seldon_server_replica_memory_capacity_bytes_gauge", help: "Room for models on demand"
        ).set(Double(capacity))
    }

    func wake() { woken.increment() }

    func update(_ budget: ModelBudget, evicted count: Int = 0) {
        evicted.increment(by: count)
        loaded.set(Double(budget.count))
        bytes.set(Double(budget.used))
    }
}
