import Synchronization

/// Wakes whoever waits for the store to change. Holds no data: a woken watcher reads the store.
final class ChangeSignal: Sendable {
    private struct State {
        var next = 0
        var isClosed = false
        var waiting: [Int: AsyncStream<Void>.Continuation] = [:]
    }

    private let state = Mutex(State())
    /// How often it was raised.
    private let count = Atomic<Int>(0)

    /// An element for one or more changes since the last. Ends when the task that reads it is cancelled.
    func subscribe() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state -> Int? in
            guard !state.isClosed else { return nil }
            state.next += 1
            state.waiting[state.next] = continuation
            return state.next
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.waiting.removeValue(forKey: number) }
        }
        return stream
    }

    func raise() {
        count.add(1, ordering: .releasing)
        let waiting = state.withLock { Array($0.waiting.values) }
        for continuation in waiting { continuation.yield() }
    }

    var countNow: Int { count.load(ordering: .acquiring) }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Ends every subscription, now and later.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.finish() }
    }
}
