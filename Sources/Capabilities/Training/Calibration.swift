/// Whether probabilities mean what they say: of the rows given about 0.3, about 30 % should be positive.
public struct Calibration: Sendable {
    /// The rows whose probability lies in `[lower, upper)`; the last bin holds 1 as well.
    public struct Bin: Sendable {
        public var lower: Double
        public var upper: Double
        public var count: Int
        /// 0 in an empty bin.
        public var meanProbability: Double
        /// The share of positives; 0 in an empty bin.
        public var positiveRate: Double
    }

    public let bins: [Bin]
    /// Expected calibration error: the mean over rows of |positive rate − mean probability| of their bin
    /// (Naeini, Cooper and Hauskrecht, 2015, with bins of equal width).
    public let expectedError: Double

    /// - Parameter binCount: from 1 to 1,000; others are moved there.
    public init(probabilities: [Double], labels: [Bool], binCount: Int = 10) {
        let binCount = min(max(binCount, 1), 1000)
        var counts = [Int](repeating: 0, count: binCount)
        var sums = [Double](repeating: 0, count: binCount)
        var hits = [Int](repeating: 0, count: binCount)
        for (probability, label) in zip(probabilities, labels) where !probability.isNaN {
            let clamped = min(max(probability, 0), 1)
            let bin = min(Int(clamped * Double(binCount)), binCount - 1)
            counts[bin] += 1
            sums[bin] += clamped
            hits[bin] += label ? 1 : 0
        }
        let width = 1 / Double(binCount)
        bins = (0..<binCount).map { bin in
            let size = Double(max(counts[bin], 1))
            return Bin(
                lower: Double(bin) * width, upper: Double(bin + 1) * width, count: counts[bin],
                meanProbability: sums[bin] / size, positiveRate: Double(hits[bin]) / size)
        }
        let total = Double(max(counts.reduce(0, +), 1))
        expectedError = bins.reduce(0) { $0 + Double($1.count) / total * abs($1.positiveRate - $1.meanProbability) }
    }
}
