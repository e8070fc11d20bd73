public import AerieCore

/// When a failed delivery is tried again.
public struct RetrySchedule: Sendable {
    /// Attempts in all.
    public var attempts = 16
    /// With 16 attempts the last comes after about an hour and a quarter. Chance takes up to half of a delay away.
    public var backoff = Backoff(base: .seconds(1), cap: .seconds(600), jitter: 0.5)

    /// Milliseconds; a receiver that asks to be left alone for longer is asked again after this.
    public var longestRequestedDelay: Int64 = 6 * 3_600_000

    public init() {}

    /// Milliseconds until the next attempt, or `nil` if there is none.
    /// - Parameters:
    ///   - made: attempts so far, from 1.
    ///   - jitter: from 0 to 1, drawn anew for each delay.
    ///   - requested: milliseconds for which the receiver asked to be left alone.
    public func delay(afterAttempts made: Int, jitter: Double, requested: Int64? = nil) -> Int64? {
        guard made < attempts else { return nil }
        return max(
            backoff.pause(afterFailures: made, chance: jitter).milliseconds, min(requested ?? 0, longestRequestedDelay))
    }

    /// Whether an answer is worth another attempt: the receiver is overloaded or broken, and does not refuse.
    public static func isTransient(status: Int) -> Bool { status >= 500 || [408, 425, 429].contains(status) }
}
