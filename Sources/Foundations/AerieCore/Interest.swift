import Synchronization

/// Whether somebody still waits for the answer to a request. Ended where the request came in, asked where the work is
/// done; safe to use from any thread, without a lock.
public final class Interest: Sendable {
    private let ended = Atomic<Bool>(false)
    private let outer: Interest?

    /// - Parameter outer: ends this one with it.
    public init(within outer: Interest? = nil) { self.outer = outer }

    public var hasEnded: Bool { ended.load(ordering: .relaxed) || (outer?.hasEnded ?? false) }
    public func end() { ended.store(true, ordering: .relaxed) }
}
