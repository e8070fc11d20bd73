public import AerieTelemetry
import Serving

/// What Triton tells about a model version: both planes' counters and those of the pool, put together.
struct ModelStatistics: Sendable {
    var totals = SlotTotals()
    var executions = ExecutionStatistics.Counts()

    /// Rows that a model predicted: answers from the cache are not among them.
    var inferenceCount: Int { max(0, totals.rows - executions.cachedRows) }

    /// Calls of a model. On the loops each request is one.
    var executionCount: Int { executions.executions + max(0, totals.model.count - executions.compute.count) }

    var compute: (count: Int, nanoseconds: UInt64) {
        (max(totals.model.count, executions.compute.count), UInt64(max(0, totals.model.nanoseconds)))
    }
}

/// The counters of all loops and of the pool.
final class PlaneStatistics: Sendable {
    let loops: [LoopMetrics]
    let ledger = ExecutionLedger()

    init(loops: [LoopMetrics]) { self.loops = loops }

    /// Of every slot that was ever asked, by its number. A scan of all counters: for scrapes and operators.
    func bySlot() -> [Int: ModelStatistics] {
        var totals: [Int: SlotTotals] = [:]
        for loop in loops { loop.add(to: &totals) }
        var statistics = totals.mapValues { ModelStatistics(totals: $0) }
        for entry in ledger.all { statistics[entry.slot, default: ModelStatistics()].executions = entry.counts }
        return statistics
    }
}

extension InferencePlane {
    /// Adds the plane's own metrics to a registry, under Triton's names where Triton has them.
    /// - Parameter labels: what a slot stands for.
    public func register(with registry: MetricsRegistry, labels: @escaping @Sendable (Int) -> SlotLabels?) {
        metrics.forEach(registry.register)
        let families: [(String, String, Bool, @Sendable (ModelStatistics) -> Int)] = [
            ("nv_inference_request_success", "Requests that were answered", true, { $0.totals.success.count }),
            ("nv_inference_request_failure", "Requests that were not", true, { $0.totals.failure.count }),
            ("nv_inference_count", "Rows that the model predicted", true, { $0.inferenceCount }),
            ("nv_inference_exec_count", "Calls of the model, batches as one", true, { $0.executionCount }),
            ("nv_inference_request_duration_us", "Time of answered requests", true, {
                $0.totals.success.nanoseconds / 1000
            }),
            ("nv_inference_queue_duration_us", "Time that requests waited for the model", true, {
                Int($0.executions.queue.nanoseconds / 1000)
            }),
            ("nv_inference_compute_input_duration_us", "Time of reading requests, of those measured by stage", true, {
                $0.totals.preprocessNanoseconds / 1000
            }),
            ("nv_inference_compute_output_duration_us", "Time of writing answers, of those measured by stage", true, {
                $0.totals.serializeNanoseconds / 1000
            }),
            ("nv_inference_compute_infer_duration_us", "Time of the model's calls, for each request", true, {
                Int($0.compute.nanoseconds / 1000)
            }),
            ("nv_inference_pending_request_count", "Requests that wait or run", false, { $0.executions.pending }),
            ("nv_cache_num_hits_per_model", "Requests answered from the cache", true, { $0.executions.cacheHits.count }),
            ("nv_cache_num_misses_per_model", "Requests that the cache had no answer for", true, {
                $0.executions.cacheMisses.count
            }),
        ]
        for (name, help, isCounter, value) in families {
            registry.readings(name, help: help, isCounter: isCounter) { [statistics] in
                statistics.bySlot().sorted { $0.key < $1.key }.compactMap { slot, statistics in
                    labels(slot).map { slot in
                        MetricsRegistry.Reading(
                            labels: [
                                ("model", slot.deployment), ("version", slot.modelVersion),
                                ("predictor_name", slot.predictor),
                            ], value: Double(value(statistics)))
                    }
                }
            }
        }
        registry.readings(
            "aerie_inference_shed_total", help: "Requests refused because too many waited, or too long", isCounter: true
        ) { [pool] in [MetricsRegistry.Reading(labels: [], value: Double(pool.refusals))] }
        guard let cache = options.responseCache else { return }
        let counts: [(String, String, Bool, @Sendable (ResponseCache.Counts) -> Int)] = [
            ("aerie_response_cache_entries", "Answers in the cache", false, { $0.entries }),
            ("aerie_response_cache_bytes", "Memory of the answers in the cache", false, { $0.bytes }),
            ("aerie_response_cache_hits_total", "Look-ups with an answer", true, { $0.hits }),
            ("aerie_response_cache_misses_total", "Look-ups without one", true, { $0.misses }),
            ("aerie_response_cache_evictions_total", "Answers that made room for others", true, { $0.evictions }),
        ]
        for (name, help, isCounter, value) in counts {
            registry.readings(name, help: help, isCounter: isCounter) {
                [MetricsRegistry.Reading(labels: [], value: Double(value(cache.counts)))]
            }
        }
    }
}
