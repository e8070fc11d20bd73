/// The pauses between the tries of what fails for a reason that may pass: each `factor` times as long as the one
/// before, and none longer than `cap`. A value; whoever tries counts the failures and does the waiting.
public struct Backoff: Hashable, Sendable {
    /// After the first failure.
    public var base: Duration
    /// At least 1.
    public var factor: Double
    public var cap: Duration
    /// The share of a pause, from 0 to 1, that chance may take away, so that many who failed together come apart.
    public var jitter: Double

    public init(base: Duration, factor: Double = 2, cap: Duration, jitter: Double = 0) {
        self.base = base
        self.factor = factor
        self.cap = cap
        self.jitter = jitter
    }

    /// - Parameters:
    ///   - count: failures in a row so far, from 1.
    ///   - chance: from 0 to 1, drawn anew for each pause: how much of `jitter` is taken away.
    public func pause(afterFailures count: Int, chance: Double = 0) -> Duration {
        var pause = base
        // Nothing stays nothing, however often it is multiplied.
        var left = base > .zero ? count - 1 : 0
        while left > 0, pause < cap, factor > 1 {
            pause = pause * factor
            left -= 1
        }
        let whole = min(pause, cap)
        let share = min(max(jitter, 0), 1) * min(max(chance, 0), 1)
        // Not by way of 1: a product with a fraction is rounded.
        return share > 0 ? whole * (1 - share) : whole
    }

    /// With a chance of that generator's.
    public func pause(afterFailures count: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        pause(afterFailures: count, chance: .random(in: 0..<1, using: &generator))
    }
}
