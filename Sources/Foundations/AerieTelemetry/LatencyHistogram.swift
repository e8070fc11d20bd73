/// Counts of latencies by bucket: a value, merged and subtracted off the data plane.
public struct LatencyHistogram: Sendable, Hashable {
    /// One for each bucket of `LatencyBuckets`, the unbounded one last; not cumulative.
    public var counts: [Int]
    /// The sum of all latencies in nanoseconds.
    public var sumNanoseconds: Int
    /// The largest latency seen, in nanoseconds; 0 where that is not known.
    public var maximumNanoseconds: Int

    public init() {
        counts = Array(repeating: 0, count: LatencyBuckets.count)
        sumNanoseconds = 0
        maximumNanoseconds = 0
    }

    public var count: Int { counts.reduce(0, +) }

    public mutating func record(nanoseconds: UInt64) {
        let bucket = LatencyBuckets.nanoseconds.firstIndex { nanoseconds <= $0 } ?? LatencyBuckets.count - 1
        let value = Int(clamping: nanoseconds)
        counts[bucket] += 1
        sumNanoseconds &+= value
        maximumNanoseconds = max(maximumNanoseconds, value)
    }

    public mutating func merge(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        sumNanoseconds &+= other.sumNanoseconds
        maximumNanoseconds = max(maximumNanoseconds, other.maximumNanoseconds)
    }

    /// What was added since `earlier`, an older value of the same histogram. Its maximum is not known.
    public func subtracting(_ earlier: LatencyHistogram) -> LatencyHistogram {
        var difference = LatencyHistogram()
        for index in counts.indices { difference.counts[index] = max(0, counts[index] - earlier.counts[index]) }
        difference.sumNanoseconds = sumNanoseconds &- earlier.sumNanoseconds
        return difference
    }

    /// The latency in seconds below which the fraction `q` of all lies: linear between the bounds of its bucket, and
    /// never above the largest seen. NaN without any.
    public func quantile(_ q: Double) -> Double {
        let total = count
        guard total > 0 else { return .nan }
        let largest = maximumNanoseconds > 0 ? Double(maximumNanoseconds) / 1e9 : .infinity
        if q >= 1, largest.isFinite { return largest }
        let rank = max(0, min(1, q)) * Double(total)
        var below = 0
        for (index, inBucket) in counts.enumerated() where inBucket > 0 {
            if Double(below + inBucket) >= rank {
                let lower = index == 0 ? 0 : Double(LatencyBuckets.nanoseconds[index - 1]) / 1e9
                guard index < LatencyBuckets.nanoseconds.count else { return largest.isFinite ? largest : lower }
                let upper = Double(LatencyBuckets.nanoseconds[index]) / 1e9
                let fraction = max(0, rank - Double(below)) / Double(inBucket)
                return min(lower + (upper - lower) * fraction, largest)
            }
            below += inBucket
        }
        return largest
    }
}
