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
    let capacity: Int
    /// What requests wait for, in words.
    private let purpose: String

    /// Requests that were refused because too many waited, or waited too long.
    var refusals: Int { refused.load(ordering: .relaxed) }

    /// - Parameter niceness: what the threads give way by. A loop reads, refuses and answers for everybody, so it
    ///   comes before a model's thread where both want a processor: else overload is met with late refusals.
    init(threads count: Int, capacity: Int, niceness: Int32 = 0, purpose: String = "slow models") {
        self.purpose = purpose
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
        if niceness > 0 { Self.lower(threads, count: count, niceness: niceness) }
        self.capacity = capacity
        shedder = Mutex(QueueShedder(threads: count))
    }

    /// Counts a request that waits for the pool or runs on it; `leave` must follow.
    /// - Throws: `resourceExhausted` if there are as many as may be, or if they have waited too long for a while.
    func enter() throws(AerieError) {
        let count = waiting.add(1, ordering: .relaxed).newValue
        let now = monotonicNanoseconds()
        if count <= capacity, shedder.withLock({ $0.admits(behind: count - 1, now: now) }) { return }
        waiting.subtract(1, ordering: .relaxed)
        refused.add(1, ordering: .relaxed)
        throw AerieError(
            .resourceExhausted, "\(count - 1) requests are waiting for \(purpose); try again shortly",
            reason: "serving.overload")
    }

    /// Tells how long a request waited for a thread, and what it took then.
    func record(waited: UInt64, service: UInt64) {
        let now = monotonicNanoseconds()
        shedder.withLock { $0.record(waited: waited, service: service, now: now) }
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
