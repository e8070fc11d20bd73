public import AerieCore
public import AerieTelemetry
public import Logging
import Synchronization

/// Takes the traces of requests that are kept, and sends them on.
///
/// The data plane hands over a finished trace and never waits: one that finds no room is dropped and counted. Thread-
/// safe; the lock is held for an append.
public final class Tracer: Sendable {
    public struct Options: Sendable {
        public var policy = SamplingPolicy()
        /// Spans that may wait to be sent; OpenTelemetry's `OTEL_BSP_MAX_QUEUE_SIZE`.
        public var capacity = 8192
        /// Spans of one message; `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
        public var batchSize = 512
        /// How often a message is tried, and the pauses between.
        public var attempts = 5
        public var backoff = Backoff(base: .milliseconds(250), cap: .seconds(2))
        /// Traces that are kept in memory to be looked at.
        public var recentCount = 64

        public init() {}
    }

    private struct State {
        var waiting: [RequestTrace] = []
        var spans = 0
        var recent: [RequestTrace] = []
    }

    public let policy: SamplingPolicy
    private let options: Options
    private let exporter: (any SpanExporter)?
    private let state = Mutex(State())
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let logger: Logger
    private let exported: Counter
    private let dropped: Counter
    private let refused: Counter
    private let kept: [SamplingPolicy.Reason: Counter]

    /// - Parameter exporter: `nil` to keep the newest traces in memory and send none.
    public init(
        exporter: (any SpanExporter)?, options: Options = Options(), metrics: MetricsRegistry, logger: Logger
    ) {
        self.exporter = exporter
        self.options = options
        policy = options.policy
        self.logger = logger
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        exported = metrics.counter("aerie_trace_spans_exported_total", help: "Spans that the collector has taken")
        let name = "aerie_trace_spans_dropped_total"
        let help = "Spans that were not sent: no room to wait, or the collector did not take them"
        dropped = metrics.counter(name, help: help, labels: [("reason", "queue_full")])
        refused = metrics.counter(name, help: help, labels: [("reason", "export_failed")])
        var kept: [SamplingPolicy.Reason: Counter] = [:]
        for reason in [SamplingPolicy.Reason.ratio, .slow, .failed] {
            kept[reason] = metrics.counter(
                "aerie_traces_kept_total", help: "Requests whose trace was kept, by why",
                labels: [("reason", reason.rawValue)])
        }
        self.kept = kept
    }

    /// Takes a trace. Any thread; never waits.
    public func accept(_ trace: RequestTrace) {
        kept[trace.reason]?.increment()
        let isTaken = state.withLock { state in
            state.recent.append(trace)
            if state.recent.count > options.recentCount { state.recent.removeFirst() }
            guard exporter != nil else { return true }
            guard state.spans + trace.spans.count <= options.capacity else { return false }
            state.spans += trace.spans.count
            state.waiting.append(trace)
            return true
        }
        if isTaken { ring.yield() } else { dropped.increment(by: trace.spans.count) }
    }

    /// The newest traces of a deployment that were kept, the newest first.
    public func recent(deployment: String) -> [RequestTrace] {
        state.withLock { $0.recent.filter { $0.deployment == deployment }.reversed() }
    }

    /// Sends until the task is cancelled, and then what is left, in one attempt a message, up to the first that fails:
    /// a collector that does not answer holds up a stop for two messages at most.
    public func run() async {
        guard exporter != nil else { return }
        for await _ in bell { await flush(attempts: options.attempts) }
        await flush(attempts: 1)
        while let batch = take() { refused.increment(by: batch.count) }
        await exporter?.close()
    }

    /// Sends everything that waits.
    public func flush() async { await flush(attempts: options.attempts) }

    private func flush(attempts: Int) async {
        while let batch = take() {
            guard await send(batch, attempts: attempts) || !Task.isCancelled else { return }
        }
    }

    private func take() -> [Span]? {
        state.withLock { state in
            var batch: [Span] = []
            var count = 0
            for trace in state.waiting {
                if count > 0, batch.count + trace.spans.count > options.batchSize { break }
                batch += trace.spans
                count += 1
            }
            guard count > 0 else { return nil }
            state.waiting.removeFirst(count)
            state.spans -= batch.count
            return batch
        }
    }

    /// Whether the collector has taken it.
    private func send(_ batch: [Span], attempts: Int) async -> Bool {
        guard let exporter else { return false }
        for attempt in 1...max(1, attempts) {
            do throws(AerieError) {
                try await toItsEnd { () async throws(AerieError) in try await exporter.export(batch) }
                exported.increment(by: batch.count)
                return true
            } catch {
                let mayHelp = [.unavailable, .deadlineExceeded, .resourceExhausted].contains(error.code)
                guard mayHelp, attempt < attempts, !Task.isCancelled else {
                    refused.increment(by: batch.count)
                    logger.warning("traces were not exported", metadata: ["why": "\(error.message)"])
                    return false
                }
            }
            try? await Task.sleep(for: options.backoff.pause(afterFailures: attempt))
        }
        return false
    }
}
