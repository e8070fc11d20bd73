public import AerieCore
public import AerieTelemetry
public import Logging
import Synchronization

/// Events on their way to their receivers.
///
/// The data plane hands events over and never waits: what finds no room is dropped and counted. A few workers send,
/// each one event at a time, so that a receiver that is slow does not hold up every other. Thread-safe.
public final class CloudEventQueue: Sendable {
    public struct Options: Sendable {
        /// Events and bytes of data that may wait.
        public var capacity = 4096
        public var bytes = 64 << 20
        /// Events that are sent at once.
        public var workers = 4
        /// How often an event is tried, and the pauses between.
        public var attempts = 3
        public var backoff = Backoff(base: .milliseconds(100), cap: .milliseconds(200))

        public init() {}
    }

    private struct Entry: Sendable {
        var event: CloudEvent
        var url: String
    }

    private struct State {
        var waiting: [Entry] = []
        /// Where in `waiting` the next one stands: what is before it has been taken.
        var next = 0
        var bytes = 0
        var tellsFailures = true
    }

    private let sender: any CloudEventSender
    private let options: Options
    private let state = Mutex(State())
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let logger: Logger
    private let sent: Counter
    private let dropped: Counter
    private let failed: Counter

    public init(
        sender: any CloudEventSender, options: Options = Options(), metrics: MetricsRegistry, logger: Logger
    ) {
        self.sender = sender
        self.options = options
        self.logger = logger
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        sent = metrics.counter("aerie_request_log_sent_total", help: "Logged requests and answers that were delivered")
        let name = "aerie_request_log_dropped_total"
        let help = "Requests and answers that were to be logged, and were not"
        dropped = metrics.counter(name, help: help, labels: [("reason", "queue_full")])
        failed = metrics.counter(name, help: help, labels: [("reason", "send_failed")])
    }

    /// Takes an event. Any thread; never waits.
    public func accept(_ event: CloudEvent, for url: String) {
        let isTaken = state.withLock { state in
            guard state.waiting.count - state.next < options.capacity,
                state.bytes + event.data.count <= options.bytes
            else { return false }
            state.bytes += event.data.count
            state.waiting.append(Entry(event: event, url: url))
            return true
        }
        if isTaken { ring.yield() } else { dropped.increment() }
    }

    /// Sends until the task is cancelled, and then what is left, in one attempt each, by each worker up to the first
    /// that fails: a receiver that does not answer holds up a stop for two events at most.
    public func run() async {
        for await _ in bell { await flush(attempts: options.attempts) }
        await flush(attempts: 1)
        while take() != nil { failed.increment() }
        await sender.close()
    }

    /// Sends everything that waits.
    public func flush() async { await flush(attempts: options.attempts) }

    private func flush(attempts: Int) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<options.workers {
                group.addTask { [self] in
                    while let entry = take() {
                        guard await send(entry, attempts: attempts) || !Task.isCancelled else { return }
                    }
                }
            }
        }
    }

    private func take() -> Entry? {
        state.withLock { state in
            guard state.next < state.waiting.count else { return nil }
            let entry = state.waiting[state.next]
            state.next += 1
            state.bytes -= entry.event.data.count
            // Made short once in a while, so that taking the first does not move all others each time.
            if state.next >= 1024 || state.next == state.waiting.count {
                state.waiting.removeFirst(state.next)
                state.next = 0
            }
            return entry
        }
    }

    /// Whether the receiver has taken it.
    private func send(_ entry: Entry, attempts: Int) async -> Bool {
        for attempt in 1...max(1, attempts) {
            do throws(AerieError) {
                try await toItsEnd { [sender] () async throws(AerieError) in
                    try await sender.send(entry.event, to: entry.url)
                }
                sent.increment()
                state.withLock { $0.tellsFailures = true }
                return true
            } catch {
                let mayHelp = error.code == .unavailable || error.code == .deadlineExceeded
                guard mayHelp, attempt < attempts, !Task.isCancelled else {
                    fail(entry, error)
                    return false
                }
            }
            try? await Task.sleep(for: options.backoff.pause(afterFailures: attempt))
        }
        return false
    }

    /// Counts, and tells of the first of several failures in a row.
    private func fail(_ entry: Entry, _ error: AerieError) {
        failed.increment()
        let isNews = state.withLock { state in
            defer { state.tellsFailures = false }
            return state.tellsFailures
        }
        guard isNews else { return }
        logger.warning("requests are not logged", metadata: ["receiver": "\(entry.url)", "why": "\(error.message)"])
    }
}
