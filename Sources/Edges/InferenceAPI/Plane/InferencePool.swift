import AerieCore
import NIOConcurrencyHelpers
import NIOPosix
import Synchronization

/// The threads for models that are too slow for an event loop, with a bounded queue before them.
final class InferencePool: Sendable {
    private let threads: NIOThreadPool
    private let waiting = Atomic<Int>(0)
    let capacity: Int

    init(threads count: Int, capacity: Int) {
        threads = NIOThreadPool(numberOfThreads: count)
        threads.start()
        self.capacity = capacity
    }

    /// Counts a request that waits for the pool or runs on it; `leave` must follow.
    /// - Throws: `resourceExhausted` if there are as many as may be.
    func enter() throws(AerieError) {
        guard waiting.add(1, ordering: .relaxed).newValue <= capacity else {
            waiting.subtract(1, ordering: .relaxed)
            throw AerieError(
                .resourceExhausted, "\(capacity) requests are waiting for slow models; try again shortly",
                reason: "serving.overload")
        }
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

    func shutdown() async { try? await threads.shutdownGracefully() }
}
