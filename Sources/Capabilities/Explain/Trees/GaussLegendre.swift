#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A rule that integrates polynomials of degree below `2 * count` from 0 to 1 exactly: four points at a time, those
/// beyond `count` with a weight of 0.
struct GaussLegendre: Sendable {
    /// At least one point, all of them inside of 0 to 1.
    let points: [SIMD4<Double>]
    let weights: [SIMD4<Double>]

    /// The roots of the Legendre polynomial by Newton's method, from the usual cosines.
    init(count: Int) {
        precondition(count > 0, "a rule needs a point")
        let groups = (count + 3) / 4
        var points = [SIMD4<Double>](repeating: SIMD4(repeating: 0.5), count: groups)
        var weights = [SIMD4<Double>](repeating: .zero, count: groups)
        for index in 0..<count {
            var root = cos(Double.pi * (Double(index) + 0.75) / (Double(count) + 0.5))
            var slope = 1.0
            for _ in 0..<100 {
                var (previous, value) = (1.0, root)
                for degree in stride(from: 2, through: count, by: 1) {
                    let n = Double(degree)
                    (previous, value) = (value, ((2 * n - 1) * root * value - (n - 1) * previous) / n)
                }
                slope = Double(count) * (root * value - previous) / (root * root - 1)
                let step = value / slope
                root -= step
                if abs(step) < 1e-15 { break }
            }
            points[index / 4][index % 4] = (1 + root) / 2
            weights[index / 4][index % 4] = 1 / ((1 - root * root) * slope * slope)
        }
        self.points = points
        self.weights = weights
    }
}
