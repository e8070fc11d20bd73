import AerieCore
public import Logging
import Synchronization

/// Sends what is queued, a bounded number at a time, until its task is cancelled.
///
/// A delivery is taken on for `leaseMilliseconds`; if this process dies meanwhile, it comes up again after that. So
/// each is sent at least once, and maybe twice. Deliveries to one webhook may overtake each other.
public final class WebhookDispatcher: Sendable {
    public struct Options: Sendable {
        /// Requests under way, in all and to one webhook.
        public var concurrency = 16
        public var perWebhook = 8
        /// Longer than a request can take.
        public var leaseMilliseconds: Int64 = 20_000
        public var retries = RetrySchedule()
        /// How long ended deliveries can be read.
        public var keptMilliseconds: Int64 = 7 * 86_400_000
        public init() {}
    }

    private struct State {
        var inFlight: [WebhookID: Int] = [:]
        var lastTrim: Timestamp?
        var total: Int { inFlight.values.reduce(0, +) }
    }

    private let service: WebhookService
    private let options: Options
    private let logger: Logger
    private let state = Mutex(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let jitter: @Sendable () -> Double

    /// The way to wake a dispatcher that is yet to be made, for the service that it works for.
    public struct Bell: Sendable {
        let stream: AsyncStream<Void>
        let continuation: AsyncStream<Void>.Continuation
        public init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }
        public func ring() { continuation.yield() }
    }

    /// - Parameter bell: the one that the service rings; of one dispatcher alone.
    public init(
        service: WebhookService, bell: Bell, options: Options = Options(), logger: Logger,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0...1) }
    ) {
        self.service = service
        self.options = options
        self.logger = logger
        self.jitter = jitter
        wakes = bell.stream
        wake = bell.continuation
    }

    /// Returns when its task is cancelled and the requests under way have ended, which cancelling cuts short.
    public func run() async {
        await withDiscardingTaskGroup { group in
            var wakes = wakes.makeAsyncIterator()
            while !Task.isCancelled {
                let (claimed, pause) = await step()
                for delivery in claimed {
                    group.addTask {
                        await self.deliver(delivery)
                        self.wake.yield()
                    }
                }
                guard pause > 0 else { continue }
                let timer = Task { [wake] in
                    try? await Task.sleep(for: .milliseconds(pause))
                    if !Task.isCancelled { wake.yield() }
                }
                _ = await wakes.next()
                timer.cancel()
            }
        }
    }

    /// Takes on what is due; gives back the milliseconds until there may be more.
    private func step() async -> (claimed: [ClaimedDelivery], pause: Int64) {
        let now = service.clock.now()
        let (free, busy) = state.withLock { state in
            // Half of a webhook's share at a time, and none from half on: never more than its share is under way.
            (options.concurrency - state.total, Set(state.inFlight.filter { $0.value > options.perWebhook / 2 }.keys))
        }
        guard free > 0 else { return ([], 30_000) }
        do throws(AerieError) {
            let claimed = try await service.store.claim(
                limit: free, perWebhook: max(1, options.perWebhook / 2), skipping: busy, now: now,
                until: Timestamp(milliseconds: now.milliseconds + options.leaseMilliseconds))
            state.withLock { state in for one in claimed { state.inFlight[one.webhookID, default: 0] += 1 } }
            if !claimed.isEmpty { return (claimed, claimed.count == free ? 30_000 : 0) }
            try await trim(now)
            guard let next = try await service.store.nextDue(skipping: busy) else { return ([], 30_000) }
            // Others may share the store, and a clock may be set, so no pause is long.
            return ([], min(30_000, max(1, next.milliseconds - service.clock.now().milliseconds)))
        } catch {
            logger.warning("webhooks wait for the metadata store", metadata: ["error": "\(error)"])
            return ([], 2000)
        }
    }

    private func trim(_ now: Timestamp) async throws(AerieError) {
        let isDue = state.withLock { state in
            if let last = state.lastTrim, now.milliseconds - last.milliseconds < 3_600_000 { return false }
            state.lastTrim = now
            return true
        }
        guard isDue else { return }
        let time = Timestamp(milliseconds: now.milliseconds - options.keptMilliseconds)
        while try await service.store.trim(before: time) >= 10_000 {}
    }

    private func deliver(_ delivery: ClaimedDelivery) async {
        let outcome = await attempt(delivery)
        // A request that was cut short by the end of this process has not failed; it is sent again later.
        if let outcome {
            do throws(AerieError) {
                try await service.store.finish(delivery.id, outcome, at: service.clock.now())
            } catch {
                logger.warning(
                    "a webhook's delivery could not be noted, it may be sent again",
                    metadata: ["delivery": "\(delivery.id)", "error": "\(error)"])
            }
            if outcome.state == .failed {
                logger.warning(
                    "a webhook's delivery was given up",
                    metadata: [
                        "webhook": "\(delivery.webhookID)", "delivery": "\(delivery.id)",
                        "attempts": "\(delivery.attempts + 1)", "problem": "\(outcome.problem)",
                    ])
            }
        }
        state.withLock { state in
            let left = (state.inFlight[delivery.webhookID] ?? 1) - 1
            state.inFlight[delivery.webhookID] = left > 0 ? left : nil
        }
    }

    private func attempt(_ delivery: ClaimedDelivery) async -> DeliveryOutcome? {
        do throws(AerieError) {
            let response = try await service.send(delivery)
            if (200..<300).contains(response.status) {
                return DeliveryOutcome(state: .delivered, responseStatus: response.status)
            }
            let problem = "the receiver answered \(response.status)"
            guard RetrySchedule.isTransient(status: response.status) else {
                return DeliveryOutcome(state: .failed, responseStatus: response.status, problem: problem)
            }
            return again(delivery, status: response.status, problem, requested: response.retryAfterMilliseconds)
        } catch {
            if Task.isCancelled { return nil }
            if error.code == .dataLoss { return DeliveryOutcome(state: .failed, problem: error.message) }
            return again(delivery, status: nil, error.message)
        }
    }

    private func again(
        _ delivery: ClaimedDelivery, status: Int?, _ problem: String, requested: Int64? = nil
    ) -> DeliveryOutcome {
        let delay = options.retries.delay(
            afterAttempts: delivery.attempts + 1, jitter: jitter(), requested: requested)
        guard let delay else { return DeliveryOutcome(state: .failed, responseStatus: status, problem: problem) }
        let next = Timestamp(milliseconds: service.clock.now().milliseconds + delay)
        return DeliveryOutcome(state: .pending, nextAttemptTime: next, responseStatus: status, problem: problem)
    }
}
