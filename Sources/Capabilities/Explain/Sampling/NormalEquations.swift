#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A symmetric, positive matrix and several right sides, solved by Cholesky's factorization: what weighted least
/// squares come down to. A direction that the samples say nothing about gets 0.
struct NormalEquations {
    let count: Int
    /// Row-major.
    var matrix: [Double]

    init(count: Int) {
        self.count = count
        matrix = [Double](repeating: 0, count: count * count)
    }

    /// The solution of `matrix · x = side`.
    func solve(_ side: [Double]) -> [Double] { factor().solve(side) }

    /// The lower factor, made once for several sides.
    func factor() -> Factor {
        var lower = matrix
        let largest = (0..<count).reduce(0.0) { max($0, matrix[$1 * count + $1]) }
        for column in 0..<count {
            for row in column..<count {
                var sum = lower[row * count + column]
                for inner in 0..<column { sum -= lower[row * count + inner] * lower[column * count + inner] }
                if row == column {
                    lower[row * count + column] = sum > largest * 1e-12 ? sum.squareRoot() : 0
                } else {
                    let pivot = lower[column * count + column]
                    lower[row * count + column] = pivot > 0 ? sum / pivot : 0
                }
            }
        }
        return Factor(count: count, lower: lower)
    }

    struct Factor {
        let count: Int
        let lower: [Double]

        func solve(_ side: [Double]) -> [Double] {
            var x = side
            for row in 0..<count {
                for inner in 0..<row { x[row] -= lower[row * count + inner] * x[inner] }
                let pivot = lower[row * count + row]
                x[row] = pivot > 0 ? x[row] / pivot : 0
            }
            for row in stride(from: count - 1, through: 0, by: -1) {
                for inner in (row + 1)..<max(count, row + 1) { x[row] -= lower[inner * count + row] * x[inner] }
                let pivot = lower[row * count + row]
                x[row] = pivot > 0 ? x[row] / pivot : 0
            }
            return x
        }
    }
}
