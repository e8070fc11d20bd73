/// When a failed delivery is tried again.
public struct RetrySchedule: Sendable {
    /// Attempts in all.
    public var attempts = 16
    /// Milliseconds before the second attempt; doubled before each later one.
    public var firstDelay: Int64 = 1000
    /// Milliseconds; with 16 attempts the last comes after about an hour and a quarter.
    public var longestDelay: Int64 = 600_000

    /// Milliseconds; a receiver that asks to be left alone for longer is asked again after this.
    public var longestRequestedDelay: Int64 = 6 * 3_600_000

    public init() {}

    /// Milliseconds until the next attempt, or `nil` if there is none.
    /// - Parameters:
    ///   - made: attempts so far, from 1.
    ///   - jitter: from 0 to 1; takes up to half of the delay away, so that many that failed together come apart.
    ///   - requested: milliseconds for which the receiver asked to be left alone.
    public func delay(afterAttempts made: Int, jitter: Double, requested: Int64? = nil) -> Int64? {
        guard made < attempts else { return nil }
        let doubled = made > 40 ? longestDelay : min(longestDelay, firstDelay << Int64(made - 1))
        let own = Int64(Double(doubled) * (1 - min(max(jitter, 0), 1) / 2))
        return max(own, min(requested ?? 0, longestRequestedDelay))
    }

    /// Whether an answer is worth another attempt: the receiver is overloaded or broken, and does not refuse.
    public static func isTransient(status: Int) -> Bool { status >= 500 || [408, 425, 429].contains(status) }
}
