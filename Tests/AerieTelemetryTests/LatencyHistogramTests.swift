import AerieTelemetry
import Testing

@Suite("Latency histograms")
struct LatencyHistogramTests {
    @Test("each bound is in the bucket that it names, one nanosecond more in the next")
    func boundsAreInclusive() {
        for (index, bound) in LatencyBuckets.nanoseconds.enumerated() {
            var histogram = LatencyHistogram()
            histogram.record(nanoseconds: bound)
            histogram.record(nanoseconds: bound + 1)
            #expect(histogram.counts[index] == 1)
            #expect(histogram.counts[index + 1] == 1)
        }
    }

    @Test("labels and bounds say the same, and Seldon's boundaries are all there")
    func labelsMatchBounds() throws {
        #expect(LatencyBuckets.labels.count == LatencyBuckets.count)
        #expect(LatencyBuckets.nanoseconds == LatencyBuckets.nanoseconds.sorted())
        for (label, bound) in zip(LatencyBuckets.labels, LatencyBuckets.nanoseconds) {
            let seconds = try #require(Double(label))
            #expect(UInt64((seconds * 1e9).rounded()) == bound)
        }
        for bound in "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10".split(separator: " ") {
            #expect(LatencyBuckets.labels.contains(String(bound)))
        }
    }

    @Test("a quantile lies in the bucket of the true one")
    func quantiles() {
        var histogram = LatencyHistogram()
        var all: [UInt64] = []
        var state: UInt64 = 42
        for _ in 0..<10_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let value = 20_000 + (state >> 33) % 6_000_000
            all.append(value)
            histogram.record(nanoseconds: value)
        }
        all.sort()
        for q in [0.1, 0.5, 0.9, 0.99] {
            let exact = all[Int(q * 10_000) - 1]
            let told = UInt64(histogram.quantile(q) * 1e9)
            let bucket = LatencyBuckets.nanoseconds.firstIndex { exact <= $0 }
            let toldBucket = LatencyBuckets.nanoseconds.firstIndex { told <= $0 }
            #expect(bucket == toldBucket, "q \(q): \(exact) against \(told)")
        }
        #expect(histogram.quantile(1) == Double(all[9_999]) / 1e9)
    }

    @Test("interpolation is linear in the bucket and stops at the largest value seen")
    func interpolation() {
        var histogram = LatencyHistogram()
        for _ in 0..<4 { histogram.record(nanoseconds: 4_500_000) }
        #expect(abs(histogram.quantile(0.25) - 0.00425) < 1e-12)
        #expect(histogram.quantile(0.99) == 0.0045)
        #expect(LatencyHistogram().quantile(0.5).isNaN)
        var slow = LatencyHistogram()
        slow.record(nanoseconds: 60_000_000_000)
        #expect(slow.quantile(0.5) == 60)
        #expect(slow.subtracting(LatencyHistogram()).quantile(0.5) == 10)
    }
}
