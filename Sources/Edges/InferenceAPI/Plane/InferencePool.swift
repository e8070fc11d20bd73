import AerieCore
#if canImport(Glibc)
    import Glibc
#endif
import NIOConcurrencyHelpers
import NIOPosix
import Serving
import Synchronization

/// The threads for models that are too slow for an event loop, with a bounded queue before them.
final class InferencePool: Sendable {
    private let threads: NIOThreadPool
    private let waiting = Atomic<Int>(0)
    private let refused = Atomic<Int>(0)
    private let shedder: Mutex<QueueShedder>
    /// What the shedder last said: for those who ask before each request.
    private let sheds = Atomic<Bool>(false)
    let capacity: Int
    /// Nanoseconds that requests may wait while more come than can be answered, where they say nothing else.
    private let target: UInt64
    /// What requests wait for, in words.
    private let purpose: String

    /// Requests that were refused because too many waited, or waited too long.
    var refusals: Int { refused.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - target: nanoseconds that requests may wait while more come than can be answered.
    ///   - niceness: what the threads give way by. A loop reads, refuses and answers for everybody, so it comes before
    ///     a model's thread where both want a processor: else overload is met with late refusals.
    init(
        threads count: Int, capacity: Int, target: UInt64 = 5_000_000, niceness: Int32 = 0,
        purpose: String = "slow models"
    ) {
        self.purpose = purpose
        self.target = target
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
        if niceness > 0 { Self.lower(threads, count: count, niceness: niceness) }
        self.capacity = capacity
        shedder = Mutex(QueueShedder(threads: count))
    }

    /// Counts a request that waits for the pool or runs on it; `leave` must follow.
    /// - Parameter delay: nanoseconds that it may wait while more come than can be answered; 0 for the pool's own.
    /// - Throws: `resourceExhausted` if there are as many as may be, or if they have waited too long for a while.
    func enter(_ delay: UInt64 = 0) throws(AerieError) {
        let count = waiting.add(1, ordering: .relaxed).newValue
        if admits(behind: count - 1, delay) {
            if sheds.load(ordering: .relaxed) { shedder.withLock { $0.count(admitted: true) } }
            return
        }
        waiting.subtract(1, ordering: .relaxed)
        throw refusal(behind: count - 1)
    }

    /// Whether some that come now may be refused.
    var isPressed: Bool { sheds.load(ordering: .relaxed) || waiting.load(ordering: .relaxed) >= capacity }

    /// What `enter` would throw now, to be thrown; `nil` if it would not.
    func refusal(_ delay: UInt64) -> AerieError? {
        let count = waiting.load(ordering: .relaxed)
        return admits(behind: count, delay) ? nil : refusal(behind: count)
    }

    private func admits(behind count: Int, _ delay: UInt64) -> Bool {
        guard count < capacity else { return false }
        let now = monotonicNanoseconds()
        return shedder.withLock { $0.admits(behind: count, target: delay > 0 ? delay : target, now: now) }
    }

    private func refusal(behind count: Int) -> AerieError {
        refused.add(1, ordering: .relaxed)
        shedder.withLock { $0.count(admitted: false) }
        return AerieError(
            .resourceExhausted, "\(count) requests are waiting for \(purpose); try again shortly",
            reason: "serving.overload")
    }

    /// Tells how long a request waited for a thread, and what it took then.
    /// - Parameter delay: as it was admitted with.
    func record(waited: UInt64, service: UInt64, _ delay: UInt64) {
        let now = monotonicNanoseconds()
        let isShedding = shedder.withLock { shedder in
            shedder.record(waited: waited, service: service, target: delay > 0 ? delay : target, now: now)
            return shedder.isShedding
        }
        if sheds.load(ordering: .relaxed) != isShedding { sheds.store(isShedding, ordering: .relaxed) }
    }

    func leave() { waiting.subtract(1, ordering: .relaxed) }

    /// Runs the work on one of the threads. What waits for it must have entered.
    func perform(_ work: @escaping @Sendable () -> Void) { threads.submit { _ in work() } }

    /// Runs the work of one request on one of the threads.
    /// - Throws: as `enter`.
    func submit(_ work: @escaping @Sendable () -> Void) throws(AerieError) {
        try enter()
        perform { [self] in
            work()
            leave()
        }
    }

    /// Linux has priorities of threads, so each sets its own: none takes a second turn before all had one.
    private static func lower(_ threads: NIOThreadPool, count: Int, niceness: Int32) {
        #if os(Linux)
            let thread = __priority_which_t(PRIO_PROCESS.rawValue), done = ConditionLock(value: 0)
            for index in 0..<count {
                threads.submit { _ in
                    setpriority(thread, 0, getpriority(thread, 0) + niceness)
                    done.lock(whenValue: index)
                    done.unlock(withValue: index + 1)
                    done.lock(whenValue: count)
                    done.unlock()
                }
            }
        #endif
    }

    func shutdown() async { try? await threads.shutdownGracefully() }
}
