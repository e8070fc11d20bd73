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

    /// Runs the work on one of the threads, or gives back false if the queue is full.
    func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        if waiting.add(1, ordering: .relaxed).newValue > capacity {
            waiting.subtract(1, ordering: .relaxed)
            return false
        }
        threads.submit { [self] _ in
            work()
            waiting.subtract(1, ordering: .relaxed)
        }
        return true
    }

    func shutdown() async { try? await threads.shutdownGracefully() }
}
