/// Decides when a queue refuses before it is full: while requests have waited too long for some time, and the next
/// would too. A state machine; times are nanoseconds of one clock.
///
/// A queue that is long for a moment is a burst and empties itself; one in which everybody waits is more work than
/// there are threads, and a longer queue would only make all answers late (Nichols and Jacobson, "Controlling Queue
/// Delay", 2012). What is admitted then waits about its target, and the threads stay busy. How long the next one would
/// wait is known from how many are ahead and what they take (Little's law).
public struct QueueShedder: Sendable {
    /// How long everybody may wait longer than the target before the queue sheds.
    public let interval: UInt64
    private let threads: Int
    private var late: (since: UInt64, last: UInt64)?
    private var meanService: Double = 0

    /// How many times the target a burst may wait.
    private static let burst: UInt64 = 20

    public init(interval: UInt64 = 100_000_000, threads: Int) {
        self.interval = interval
        self.threads = max(1, threads)
    }

    /// A request has left the queue.
    /// - Parameters:
    ///   - waited: from its arrival to now.
    ///   - service: what it took after that, its share of a batch.
    ///   - target: the wait that is well for it at any time.
    public mutating func record(waited: UInt64, service: UInt64, target: UInt64, now: UInt64) {
        meanService += (Double(service) - meanService) / (meanService == 0 ? 1 : 32)
        let tolerated = tolerated(target)
        // What is admitted while it sheds waits about the limit: only much shorter waits say that it is over.
        if waited < (isShedding ? tolerated / 2 : tolerated) {
            late = nil
        } else {
            late = (late?.since ?? now, now)
        }
    }

    /// Whether requests that would wait longer than their target are refused.
    public var isShedding: Bool { late.map { $0.last - $0.since >= interval } ?? false }

    /// The target, or what a few requests of a slow model take.
    private func tolerated(_ target: UInt64) -> UInt64 { max(target, UInt64(4 * meanService)) }

    /// Whether a request may join those that wait or run.
    public func admits(behind count: Int, target: UInt64, now: UInt64) -> Bool {
        let wait = Double(count) / Double(threads) * meanService
        let tolerated = tolerated(target)
        guard let late, isShedding else { return wait <= Double(Self.burst * tolerated) }
        // Nobody has left the queue for long: that says nothing about now.
        if now &- late.last > 10 * interval, count < threads { return true }
        return wait <= Double(tolerated)
    }
}
