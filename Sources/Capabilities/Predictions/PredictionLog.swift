public import AerieCore
public import AerieTelemetry
public import Logging
public import Serving
import Synchronization

/// Keeps sampled predictions: the source for drift, replay and the quality of models in use.
///
/// The data plane hands over blocks through a bounded queue and never waits: what finds no room, or cannot be written,
/// is lost and counted. Writing is the work of `run`.
public final class PredictionLog: PredictionSink {
    private struct Queue {
        var blocks: [PredictionBlock] = []
        var bytes = 0
    }

    /// Bytes that may wait to be written.
    public static let capacity = 32 << 20
    /// Seconds between two tidyings.
    private static let tidySeconds: UInt64 = 30

    public let store: any PredictionStore
    private let queue = Mutex(Queue())
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let clock: any WallClock
    private let logger: Logger
    private let written: Counter
    private let lost: Counter
    private let kept: Gauge

    public init(
        store: any PredictionStore, metrics: MetricsRegistry, clock: any WallClock = SystemClock(), logger: Logger
    ) {
        self.store = store
        self.clock = clock
        self.logger = logger
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        written = metrics.counter("aerie_predictions_logged_total", help: "Rows whose predictions were logged")
        lost = metrics.counter(
            "aerie_predictions_lost_total", help: "Requests that were to be logged, and were not: no room or no disk")
        kept = metrics.gauge("aerie_prediction_log_bytes", help: "Bytes of logged predictions on the disk")
    }

    public func accept(_ block: PredictionBlock) -> Bool {
        let isTaken = queue.withLock { queue in
            guard queue.bytes + block.byteCount <= Self.capacity else { return false }
            queue.bytes += block.byteCount
            queue.blocks.append(block)
            return true
        }
        if isTaken { ring.yield() } else { lost.increment(by: block.entries.count) }
        return isTaken
    }

    /// Writes what is handed over until the task is cancelled, and what is left then.
    public func run() async {
        var tidied: UInt64 = 0
        for await _ in bell {
            await write()
            let now = monotonicNanoseconds()
            if now &- tidied >= Self.tidySeconds * 1_000_000_000 {
                tidied = now
                await tidy()
            }
        }
        await write()
    }

    /// Writes everything that has been handed over.
    public func write() async {
        let blocks = queue.withLock { queue in
            let blocks = queue.blocks
            queue = Queue()
            return blocks
        }
        guard !blocks.isEmpty else { return }
        let records = blocks.flatMap { PredictionRecord.records(of: $0) }
        do throws(AerieError) {
            try await store.append(records)
            written.increment(by: records.count)
        } catch {
            lost.increment(by: blocks.reduce(0) { $0 + $1.entries.count })
            logger.warning("predictions were not logged", metadata: ["why": "\(error.message)"])
        }
    }

    private func tidy() async {
        do throws(AerieError) { kept.set(Double(try await store.tidy())) } catch {
            logger.warning("the prediction log was not tidied", metadata: ["why": "\(error.message)"])
        }
    }

    /// Says what came of predictions; those that are not known (yet) are kept all the same.
    /// - Throws: `invalidArgument` for labels without a puid or value.
    public func label(_ labels: [(puid: String, row: Int, value: Double)]) async throws(AerieError) {
        let now = clock.now().milliseconds * 1000
        for (index, label) in labels.enumerated() {
            if label.puid.isEmpty { throw .invalid("labels[\(index)].puid", "is empty") }
            if label.row < 0 { throw .invalid("labels[\(index)].row", "\(label.row) is below 0") }
            if !label.value.isFinite { throw .invalid("labels[\(index)].value", "is no number") }
        }
        try await store.label(labels.map { PredictionLabel(puid: $0.puid, row: $0.row, value: $0.value, time: now) })
    }
}

extension PredictionLog: PredictionFeedback {
    /// The reward is the request's, the truth that of its rows.
    public func take(_ feedback: Feedback) async throws(AerieError) {
        let now = clock.now().milliseconds * 1000
        var labels = [PredictionLabel(puid: feedback.puid, value: nil, reward: feedback.reward, time: now)]
        for (row, value) in feedback.truth.enumerated() where value.isFinite {
            labels.append(PredictionLabel(puid: feedback.puid, row: row, value: value, time: now))
        }
        try await store.label(labels)
    }
}
