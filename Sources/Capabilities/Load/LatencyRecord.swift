import Histogram

/// Latencies from one nanosecond to a minute, kept to three significant digits in a fixed amount of memory (an HDR
/// histogram). Recording allocates nothing.
public struct LatencyRecord: Sendable {
    private static let most: UInt64 = 60_000_000_000
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1_000, highestTrackableValue: LatencyRecord.most, numberOfSignificantValueDigits: .three
    )

    public init() {}

    public var count: Int { Int(histogram.totalCount) }

    /// Longer than a minute counts as a minute.
    public mutating func record(nanoseconds: UInt64) { histogram.record(min(nanoseconds, Self.most)) }

    public mutating func add(_ other: LatencyRecord) { histogram.add(other.histogram) }

    /// In seconds; NaN without any. `quantile(0.99)` is the P99.
    public func quantile(_ q: Double) -> Double {
        guard count > 0 else { return .nan }
        return Double(histogram.valueAtPercentile(min(max(q, 0), 1) * 100)) / 1e9
    }

    public var mean: Double { count > 0 ? histogram.mean / 1e9 : .nan }
    public var maximum: Double { count > 0 ? Double(histogram.max) / 1e9 : .nan }

    /// How many were at most so long.
    public func count(within seconds: Double) -> Int {
        guard seconds >= 0 else { return 0 }
        return Int(histogram.count(within: 0...UInt64(min(seconds, 60) * 1e9)))
    }
}
