/// Decides when a queue refuses before it is full: while requests have waited too long for some time, and the next
/// would too. A state machine; times are nanoseconds of one clock.
///
/// A queue that is long for a moment is a burst and empties itself; one in which everybody waits is more work than
/// there are threads, and a longer queue would only make all answers late (Nichols and Jacobson, "Controlling Queue
/// Delay", 2012). What is admitted then waits about `target`, and the threads stay busy.
public struct QueueShedder: Sendable {
    /// The wait that is well at any time.
    public let target: UInt64
    /// How long everybody may wait longer than that before the queue sheds.
    public let interval: UInt64
    private let threads: Int
    private var late: (since: UInt64, last: UInt64)?
    private var meanService: Double = 0

    public init(target: UInt64 = 5_000_000, interval: UInt64 = 100_000_000, threads: Int) {
        self.target = target
        self.interval = interval
        self.threads = max(1, threads)
    }

    /// A request has left the queue.
    /// - Parameters:
    ///   - waited: from its arrival to now.
    ///   - service: what it took after that, its share of a batch.
    public mutating func record(waited: UInt64, service: UInt64, now: UInt64) {
        meanService += (Double(service) - meanService) / (meanService == 0 ? 1 : 32)
        // What is admitted while it sheds waits about the limit: only much shorter waits say that it is over.
        if waited < (isShedding ? tolerated / 2 : tolerated) {
            late = nil
        } else {
            late = (late?.since ?? now, now)
        }
    }

    private var isShedding: Bool { late.map { $0.last - $0.since >= interval } ?? false }

    /// The target, or what a few requests of a slow model take.
    private var tolerated: UInt64 { max(target, UInt64(4 * meanService)) }

    /// Whether a request may join those that wait or run.
    public func admits(behind count: Int, now: UInt64) -> Bool {
        guard let late, isShedding else { return true }
        // Nobody has left the queue for long: that says nothing about now.
        if now &- late.last > 10 * interval, count < threads { return true }
        return Double(count) / Double(threads) * meanService <= Double(tolerated)
    }
}
