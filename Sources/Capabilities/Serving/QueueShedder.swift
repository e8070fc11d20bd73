/// Decides when a queue refuses before it is full: while requests have waited too long for some time, and the next
/// would too. A state machine; times are nanoseconds of one clock.
///
/// A queue that is long for a moment is a burst and empties itself; one in which everybody waits is more work than
/// there are threads, and a longer queue would only make all answers late (Nichols and Jacobson, "Controlling Queue
/// Delay", 2012). What is admitted then waits about its target, and the threads stay busy. How long the next one would
/// wait is known from how many are ahead and what they take (Little's law).
///
/// Requests come in clumps, as an event loop reads them: that one of them finds the queue empty does not say that the
/// overload is over. It is over when the threads had time to spare for an interval, or hardly anybody was refused.
public struct QueueShedder: Sendable {
    /// How long everybody may wait longer than the target before the queue sheds.
    public let interval: UInt64
    private let threads: Int
    private var late: (since: UInt64, last: UInt64)?
    private var meanService: Double = 0
    /// What has happened since the last look, while it sheds.
    private var window: Window?

    private struct Window {
        let began: UInt64
        var busy: UInt64 = 0
        var admitted = 0
        var refused = 0
    }

    /// How many times the target a burst may wait.
    private static let burst: UInt64 = 20
    /// The share of their time that threads are at work when there is more than they can do.
    private static let busyShare = 0.8
    /// At least one in so many is refused when there is.
    private static let refusedShare = 20

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
        if window != nil {
            window?.busy &+= service
            return look(now)
        }
        guard waited >= tolerated(target) else { return late = nil }
        let since = late?.since ?? now
        late = (since, now)
        if now &- since >= interval { window = Window(began: now) }
    }

    /// Whether requests that would wait longer than their target are refused.
    public var isShedding: Bool { window != nil }

    /// The target, or what a few requests of a slow model take.
    private func tolerated(_ target: UInt64) -> UInt64 { max(target, UInt64(4 * meanService)) }

    /// Whether a request may join those that wait or run. Is told what became of it by `count`.
    public func admits(behind count: Int, target: UInt64, now: UInt64) -> Bool {
        let wait = Double(count) / Double(threads) * meanService
        let tolerated = tolerated(target)
        guard let window else { return wait <= Double(Self.burst * tolerated) }
        // Nobody has left the queue for long: that says nothing about now.
        if now &- window.began > 10 * interval, count < threads { return true }
        return wait <= Double(tolerated)
    }

    /// A request has joined, or was refused.
    public mutating func count(admitted: Bool) {
        if admitted { window?.admitted += 1 } else { window?.refused += 1 }
    }

    /// Ends the shedding if the last interval says so.
    private mutating func look(_ now: UInt64) {
        guard let last = window, now &- last.began >= max(interval, UInt64(8 * meanService)) else { return }
        let share = Double(last.busy) / (Double(now &- last.began) * Double(threads))
        let isOver = share < Self.busyShare || last.refused * Self.refusedShare < last.admitted + last.refused
        window = isOver ? nil : Window(began: now)
        late = nil
    }
}
