public import AerieCore
import AerieJSON
import AerieResources
public import AerieTelemetry
public import Logging
import Synchronization

/// Looks after the feature store while the process runs: goes on with materializations that a crash has cut off, takes
/// values out that have outlived their view's time to live where the view says so, and measures freshness and memory.
public final class FeatureUpkeep: Sendable {
    public struct Options: Sendable {
        /// Between two measurements.
        public var interval = Duration.seconds(15)
        /// Measurements between two sweeps.
        public var sweepEvery = 40
        /// Measurements between two comparisons of sampled reads.
        public var compareEvery = 20

        public init() {}
    }

    private let store: FeatureStore
    private let metrics: MetricsRegistry
    /// Of each online view, as last measured.
    private let freshness = Freshness()
    private let options: Options
    private let logger: Logger
    /// Why the online store does not answer; said once, and not at each measurement.
    private let trouble = Mutex<String?>(nil)
    private let sleep: @Sendable (Duration) async throws -> Void

    public init(
        store: FeatureStore, metrics: MetricsRegistry, options: Options = Options(), logger: Logger,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.store = store
        self.metrics = metrics
        self.options = options
        self.logger = logger
        self.sleep = sleep
        freshness.register(with: metrics)
    }

    /// Until the task is cancelled.
    public func run() async {
        do throws(AerieError) {
            for (view, result) in try await store.resumeMaterializations() {
                switch result {
                case .success(let rows):
                    logger.notice("materialization resumed", metadata: ["view": "\(view)", "rows": "\(rows)"])
                case .failure(let error):
                    logger.error("materialization not resumed", metadata: ["view": "\(view)", "why": "\(error.message)"])
                }
            }
        } catch { logger.error("materializations not resumed", metadata: ["why": "\(error.message)"]) }
        var round = 0
        while !Task.isCancelled {
            round += 1
            do throws(AerieError) {
                try await measure()
                if round % options.sweepEvery == 0 { _ = try await sweep() }
                if round % options.compareEvery == 0, store.sampling.every > 0 {
                    _ = try await store.compareSampledReads()
                }
            } catch { logger.warning("feature upkeep failed", metadata: ["why": "\(error.message)"]) }
            do { try await sleep(options.interval) } catch { return }
        }
    }

    /// Sets the gauges.
    public func measure() async throws(AerieError) {
        let lines = try await views({ Array($0.views.values) }).map { view in
            Freshness.Line(
                labels: [("namespace", view.key.namespace), ("view", view.definition.name)],
                age: store.counters.age(of: view), target: view.definition.freshness)
        }
        freshness.set(lines)
        do throws(AerieError) {
            let usage = try await store.online.usage()
            metrics.gauge("aerie_online_store_bytes", help: "Bytes that the online store uses").set(Double(usage.bytes))
            metrics.gauge("aerie_online_store_rows", help: "Rows in the online store").set(Double(usage.rows))
            metrics.gauge("aerie_online_store_up", help: "1 while the online store answers").set(1)
            if note(nil) != nil { logger.notice("the online store answers again") }
        } catch {
            metrics.gauge("aerie_online_store_up", help: "1 while the online store answers").set(0)
            if note(error.message) == nil {
                logger.warning("the online store does not answer", metadata: ["why": "\(error.message)"])
            }
            if error.code != .unavailable { throw error }
        }
    }

    /// - Returns: what the trouble was before.
    private func note(_ now: String?) -> String? {
        trouble.withLock { trouble in
            defer { trouble = now }
            return trouble
        }
    }

    /// Takes out what is older than its view allows, of views that drop what has expired: a read that is not strict
    /// gives it, as Feast's does.
    /// - Returns: how many rows went.
    public func sweep() async throws(AerieError) -> Int {
        var count = 0
        for view in try await views(\.everyVersion) {
            guard view.definition.dropsExpired, let life = view.definition.timeToLive else { continue }
            let gone = try await store.online.sweep(view.online, before: store.clock.now().milliseconds * 1000 - life)
            count += gone
            metrics.counter(
                "aerie_feature_rows_expired_total", help: "Rows taken out of the online store for their age",
                labels: [("namespace", view.key.namespace), ("view", view.definition.name)]
            ).increment(by: gone)
        }
        return count
    }

    private func views(
        _ chosen: (FeatureCatalog) -> [FeatureCatalog.View]
    ) async throws(AerieError) -> [FeatureCatalog.View] {
        var namespaces: Set<String> = []
        for resource in try await store.resources.list(kind: "FeatureView") {
            namespaces.insert(resource.metadata.namespace)
        }
        var views: [FeatureCatalog.View] = []
        for namespace in namespaces.sorted() {
            views += chosen(try await store.catalog(namespace)).filter(\.isOnline)
        }
        return views
    }
}
