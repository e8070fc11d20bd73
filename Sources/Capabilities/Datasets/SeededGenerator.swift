/// Random numbers that are the same for the same seed on every machine and in every build: SplitMix64, and only
/// arithmetic that IEEE 754 fixes to the last bit (no `exp` or `log` of the system's own).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// At least 0 and less than 1.
    public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

    /// From 0 to `count - 1`; 0 if `count` is not positive.
    public mutating func below(_ count: Int) -> Int {
        count > 0 ? Int(next().multipliedFullWidth(by: UInt64(count)).high) : 0
    }

    /// Both ends included.
    public mutating func integer(_ low: Int, _ high: Int) -> Int { low + below(high - low + 1) }

    public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// Mean 0, variance 1, never beyond ±6: the sum of twelve uniform numbers.
    public mutating func normal() -> Double {
        var sum = -6.0
        for _ in 0..<12 { sum += unit() }
        return sum
    }

    /// `e` to the power of a normal number of that mean and deviation.
    public mutating func logNormal(mean: Double, deviation: Double) -> Double {
        Self.exponential(mean + deviation * normal())
    }

    /// `e^x` for |x| ≤ 50 by additions and multiplications alone, to about 1e-13 relative.
    static func exponential(_ x: Double) -> Double {
        let reduced = min(max(x, -50), 50) / 64
        var term = 1.0
        var sum = 1.0
        for power in 1...14 {
            term = term * reduced / Double(power)
            sum += term
        }
        for _ in 0..<6 { sum *= sum }
        return sum
    }
}
