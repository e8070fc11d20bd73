public import AerieCore
import Synchronization

/// Looks at the counters every second and remembers enough for live rates and five minutes of history.
///
/// Thread-safe. A sample costs one pass over the counters; memory is about 20 KiB a deployment.
public final class DeploymentSampler: Sendable {
    /// Seconds over which rates and quantiles are told.
    public static let windowSeconds = 10
    /// Points of history that are kept.
    public static let historyCount = 300

    private struct Sample {
        var time: Timestamp
        var totals: TrafficTotals
    }

    private struct Track {
        /// Oldest first, one more than the seconds of the window.
        var samples: [Sample] = []
        var history: [TrafficPoint] = []
    }

    private let registry: MetricsRegistry
    private let clock: any WallClock
    private let tracks = Mutex<[TrafficKey: Track]>([:])

    public init(registry: MetricsRegistry, clock: any WallClock = SystemClock()) {
        self.registry = registry
        self.clock = clock
    }

    /// Samples once a second until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            sample()
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
        }
    }

    /// Takes one sample now. Two at the same time count as one.
    public func sample() {
        let totals = registry.traffic()
        let now = clock.now()
        tracks.withLock { tracks in
            for (key, total) in totals {
                var track = tracks[key] ?? Track(samples: [Sample(
                    time: Timestamp(milliseconds: now.milliseconds - 1000), totals: TrafficTotals())])
                guard let last = track.samples.last, last.time < now else { continue }
                let sample = Sample(time: now, totals: total)
                track.history.append(Self.point(from: last, to: sample))
                if track.history.count > Self.historyCount { track.history.removeFirst() }
                track.samples.append(sample)
                if track.samples.count > Self.windowSeconds + 1 { track.samples.removeFirst() }
                tracks[key] = track
            }
        }
    }

    /// A deployment's numbers; `nil` before its first request has been sampled.
    public func stats(namespace: String = "default", deployment: String) -> DeploymentStats? {
        tracks.withLock { tracks in
            let whole = TrafficKey(namespace: namespace, deployment: deployment, predictor: nil)
            return tracks[whole].map { Self.stats(whole, $0, tracks) }
        }
    }

    /// Every deployment that has had a request, by name.
    public func all() -> [DeploymentStats] {
        tracks.withLock { tracks in
            tracks.filter { $0.key.predictor == nil }.map { Self.stats($0.key, $0.value, tracks) }
                .sorted { ($0.deployment, $0.namespace) < ($1.deployment, $1.namespace) }
        }
    }

    private static func stats(_ key: TrafficKey, _ track: Track, _ tracks: [TrafficKey: Track]) -> DeploymentStats {
        var predictors: [String: TrafficStats] = [:]
        for (other, otherTrack) in tracks {
            guard let name = other.predictor, other.namespace == key.namespace, other.deployment == key.deployment
            else { continue }
            predictors[name] = window(otherTrack)
        }
        return DeploymentStats(
            namespace: key.namespace, deployment: key.deployment, current: window(track), predictors: predictors,
            history: track.history)
    }

    private static func window(_ track: Track) -> TrafficStats {
        var stats = TrafficStats()
        guard let first = track.samples.first, let last = track.samples.last else { return stats }
        stats.total = last.totals.latency.count
        stats.totalErrors = last.totals.errors
        stats.totalNegative = last.totals.negative
        stats.totalPositive = last.totals.positive
        let recent = last.totals.latency.subtracting(first.totals.latency)
        guard recent.count > 0 else { return stats }
        stats.requestsPerSecond = Double(recent.count) / seconds(first, last)
        stats.errorRate = Double(last.totals.errors - first.totals.errors) / Double(recent.count)
        stats.p50 = recent.quantile(0.5)
        stats.p95 = recent.quantile(0.95)
        stats.p99 = recent.quantile(0.99)
        return stats
    }

    private static func point(from first: Sample, to last: Sample) -> TrafficPoint {
        let recent = last.totals.latency.subtracting(first.totals.latency)
        let duration = seconds(first, last)
        let isIdle = recent.count == 0
        return TrafficPoint(
            time: last.time, requestsPerSecond: Double(recent.count) / duration,
            errorsPerSecond: Double(last.totals.errors - first.totals.errors) / duration,
            p50: isIdle ? nil : recent.quantile(0.5), p99: isIdle ? nil : recent.quantile(0.99))
    }

    private static func seconds(_ first: Sample, _ last: Sample) -> Double {
        Double(max(1, last.time.milliseconds - first.time.milliseconds)) / 1000
    }
}
