import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import NIOCore
import Serving
import Synchronization

/// Carries out what a `DynamicBatcher` decides for one model: keeps the requests, runs the calls on the pool, gives the
/// answers back to their loops. Thread-safe; the lock is held for the decision alone.
final class ModelBatcher: Sendable {
    /// A request that waits for its answer.
    struct Call: Sendable {
        let job: ModelJob
        let tensors: [Tensor]
        let interest: Interest
        let eventLoop: any EventLoop
        let arrived: UInt64
        /// Called on the loop, once, unless the interest has ended.
        let completion: @Sendable (Result<[Tensor], AerieError>, _ times: ModelRunTimes) -> Void

        func deliver(_ result: Result<[Tensor], AerieError>, _ times: ModelRunTimes) {
            eventLoop.execute {
                if !interest.hasEnded { completion(result, times) }
            }
        }
    }

    private typealias Delivery = (call: Call, result: Result<[Tensor], AerieError>, times: ModelRunTimes)

    private struct State {
        var batcher: DynamicBatcher
        var calls: [DynamicBatcher.Ticket: Call] = [:]
        var nextTicket: DynamicBatcher.Ticket = 0
        /// Answers that wait for those of earlier calls.
        var held: [UInt64: [Delivery]] = [:]
        /// When the earliest timer that is set rings.
        var wakesAt = UInt64.max

        mutating func next(now: UInt64) -> Work {
            let step = batcher.next(now: now)
            var work = Work(expired: step.expired.compactMap { calls.removeValue(forKey: $0) })
            if let batch = step.batch {
                work.batch = (batch.number, batch.tickets.compactMap { calls.removeValue(forKey: $0) })
            }
            if let time = step.wakeAt, time < wakesAt || wakesAt <= now {
                wakesAt = time
                work.wakeAt = time
            }
            return work
        }
    }

    /// A step of the batcher with its requests.
    private struct Work {
        var expired: [Call]
        var batch: (number: UInt64, calls: [Call])?
        /// When to set a timer for.
        var wakeAt: UInt64?
    }

    private let model: any Serving.InferenceModel
    private let outputs: Int
    private let statistics: ExecutionStatistics
    private let state: Mutex<State>

    init(_ policy: BatchingPolicy, model: any Serving.InferenceModel, statistics: ExecutionStatistics) {
        self.model = model
        self.statistics = statistics
        outputs = model.description.outputs.count
        state = Mutex(State(batcher: DynamicBatcher(policy)))
    }

    /// - Throws: as `DynamicBatcher.add`; `resourceExhausted` if the pool's queue is full.
    func submit(_ call: Call, shape: BatchShape, on pool: InferencePool) throws(AerieError) {
        try pool.enter(call.job.plan.served.limits.queueDelay)
        let refusal: AerieError? = state.withLock { state in
            let ticket = state.nextTicket
            state.nextTicket += 1
            do throws(AerieError) {
                try state.batcher.add(
                    DynamicBatcher.Request(
                        ticket: ticket, rows: call.job.rows, shape: shape, priority: call.job.terms.priority,
                        timeout: call.job.terms.timeout), now: call.arrived)
            } catch { return error }
            state.calls[ticket] = call
            return nil
        }
        if let refusal {
            pool.leave()
            throw refusal
        }
        statistics.begin()
        advance(pool, wakingOn: call.eventLoop)
    }

    /// Asks for steps until there is nothing to do.
    private func advance(_ pool: InferencePool, wakingOn eventLoop: any EventLoop) {
        while true {
            let now = monotonicNanoseconds()
            let work = state.withLock { $0.next(now: now) }
            for call in work.expired {
                end(call, pool)
                call.deliver(.failure(Self.expired), ModelRunTimes(start: call.arrived, end: now))
            }
            if let wakeAt = work.wakeAt {
                let wait = TimeAmount.nanoseconds(Int64(clamping: wakeAt > now ? wakeAt - now : 0))
                eventLoop.scheduleTask(in: wait) { self.advance(pool, wakingOn: eventLoop) }
            }
            guard let batch = work.batch else { return }
            pool.perform { self.execute(batch.number, batch.calls, pool) }
        }
    }

    private static let expired = AerieError(
        .unavailable, "the request waited in the model's queue until its time was up", reason: "serving.queueTimeout")

    private func end(_ call: Call, _ pool: InferencePool) {
        pool.leave()
        statistics.end()
    }

    // MARK: On the pool

    private func execute(_ number: UInt64, _ calls: [Call], _ pool: InferencePool) {
        let wanted = calls.filter { !$0.interest.hasEnded }
        let start = monotonicNanoseconds()
        let results = wanted.isEmpty ? [] : run(wanted)
        let duration = monotonicNanoseconds() &- start
        let deliveries = zip(wanted, results).map { call, result in
            let times = ModelRunTimes(queued: call.arrived, start: start, end: start &+ duration)
            return (call: call, result: result, times: times)
        }
        if !wanted.isEmpty {
            let share = duration / UInt64(wanted.count)
            for call in wanted {
                pool.record(waited: start &- call.arrived, service: share, call.job.plan.served.limits.queueDelay)
            }
            let answered = deliveries.filter { if case .success = $0.result { true } else { false } }.map(\.call)
            if !answered.isEmpty {
                statistics.record(
                    rows: answered.reduce(0) { $0 + $1.job.rows }, requests: answered.count,
                    queued: answered.reduce(UInt64(0)) { $0 &+ (start &- $1.arrived) }, computed: duration)
            }
        }
        for call in calls { end(call, pool) }
        let leaving: [Delivery] = state.withLock { state in
            state.held[number] = deliveries
            return state.batcher.finish(number).flatMap { state.held.removeValue(forKey: $0) ?? [] }
        }
        for delivery in leaving { delivery.call.deliver(delivery.result, delivery.times) }
        if let eventLoop = calls.first?.eventLoop { advance(pool, wakingOn: eventLoop) }
    }

    private func run(_ calls: [Call]) -> [Result<[Tensor], AerieError>] {
        if calls.count == 1 { return [calls[0].job.run()] }
        do throws(AerieError) {
            let answer = try model.infer(TensorRows.join(calls.map(\.tensors)))
            guard answer.count == outputs else {
                throw AerieError(.internal, "the model gave \(answer.count) outputs, not \(outputs)")
            }
            return try TensorRows.split(answer, rows: calls.map(\.job.rows)).map { .success($0) }
        } catch {
            // One request's mistake is not the others': each by itself tells whose it was.
            return calls.map { $0.job.run() }
        }
    }
}
