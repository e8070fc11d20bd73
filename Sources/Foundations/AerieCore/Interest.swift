import Synchronization

/// Whether somebody still waits for the answer to a request. Ended where the request came in, asked where the work is
/// done; safe to use from any thread, without a lock.
public final class Interest: Sendable {
    private let ended = Atomic<Bool>(false)

    public init() {}

    public var hasEnded: Bool { ended.load(ordering: .relaxed) }
    public func end() { ended.store(true, ordering: .relaxed) }
}
