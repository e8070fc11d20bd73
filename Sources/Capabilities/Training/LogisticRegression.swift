public import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A small logistic regression, the linear yardstick beside a boosted model.
///
/// Quantities are standardised with the training rows' mean and deviation, a missing one counts as the mean; the
/// columns named categorical become one indicator a value seen in training. It minimises the summed log loss plus
/// `penalty / 2` times the squared weights (the intercept is free) by damped Newton steps, so the same rows give the
/// same weights. Cost O(rows × columns²) an iteration; for tens of columns.
public struct LogisticRegression: Sendable {
    private enum Column: Sendable {
        case quantity(source: Int, mean: Double, deviation: Double)
        case indicator(source: Int, value: Double)
    }

    private let columns: [Column]
    private let featureCount: Int
    /// One a column of the design, the intercept last.
    public let weights: [Double]
    public let iterations: Int

    /// - Throws: `invalidArgument` if there are no rows, only one class, or more than 500 columns.
    public init(_ rows: LabelledRows, penalty: Double = 1, maximumIterations: Int = 50) throws(AerieError) {
        let positives = rows.labels.count { $0 > 0.5 }
        guard positives > 0, positives < rows.rowCount else {
            throw .invalid(
                "labels",
                "a logistic regression needs rows of both classes; \(positives) of "
                    + "\(rows.rowCount) are positive")
        }
        featureCount = rows.featureNames.count
        columns = Self.design(rows)
        guard columns.count <= 500 else {
            throw .invalid("features", "\(columns.count) columns after one-hot encoding; a baseline takes at most 500")
        }
        let width = columns.count + 1
        var matrix = [Double](repeating: 1, count: rows.rowCount * width)
        for row in 0..<rows.rowCount {
            Self.fill(&matrix, at: row * width, columns, rows.values, row * featureCount)
        }
        (weights, iterations) = Self.fit(
            matrix, width: width, labels: rows.labels, penalty: max(penalty, 1e-9), limit: maximumIterations)
    }

    /// The probability of the positive class of each row, given row-major with the training rows' columns.
    public func predict(_ values: [Double]) -> [Double] {
        guard featureCount > 0 else { return [] }
        let width = columns.count + 1
        var line = [Double](repeating: 1, count: width)
        return (0..<values.count / featureCount).map { row in
            line[width - 1] = 1
            Self.fill(&line, at: 0, columns, values, row * featureCount)
            return Self.sigmoid(zip(line, weights).reduce(0) { $0 + $1.0 * $1.1 })
        }
    }

    private static func design(_ rows: LabelledRows) -> [Column] {
        let width = rows.featureNames.count
        var columns: [Column] = []
        for feature in 0..<width {
            let values = (0..<rows.rowCount).map { rows.values[$0 * width + feature] }.filter { !$0.isNaN }
            if rows.categoricalFeatures.contains(feature) {
                for value in Set(values).sorted() { columns.append(.indicator(source: feature, value: value)) }
                continue
            }
            let count = Double(max(values.count, 1))
            let mean = values.reduce(0, +) / count
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
            columns.append(.quantity(source: feature, mean: mean, deviation: variance > 0 ? variance.squareRoot() : 1))
        }
        return columns
    }

    private static func fill(
        _ out: inout [Double], at start: Int, _ columns: [Column], _ values: [Double], _ row: Int
    ) {
        for (index, column) in columns.enumerated() {
            switch column {
            case .quantity(let source, let mean, let deviation):
                let value = values[row + source]
                out[start + index] = value.isNaN ? 0 : (value - mean) / deviation
            case .indicator(let source, let wanted): out[start + index] = values[row + source] == wanted ? 1 : 0
            }
        }
    }

    // MARK: Newton's method

    private static func fit(
        _ matrix: [Double], width: Int, labels: [Float], penalty: Double, limit: Int
    ) -> ([Double], Int) {
        var weights = [Double](repeating: 0, count: width)
        var loss = objective(matrix, weights, labels, penalty)
        for iteration in 1...max(limit, 1) {
            let (gradient, hessian) = derivatives(matrix, weights, labels, penalty)
            guard let step = solve(hessian, gradient, width) else { return (weights, iteration) }
            var scale = 1.0
            var next = weights
            var nextLoss = loss
            repeat {
                next = zip(weights, step).map { $0 - scale * $1 }
                nextLoss = objective(matrix, next, labels, penalty)
                scale /= 2
            } while !(nextLoss <= loss) && scale > 1e-6
            guard nextLoss <= loss else { return (weights, iteration) }
            let gain = loss - nextLoss
            (weights, loss) = (next, nextLoss)
            if gain <= 1e-10 * max(loss, 1) { return (weights, iteration) }
        }
        return (weights, limit)
    }

    private static func objective(
        _ matrix: [Double], _ weights: [Double], _ labels: [Float], _ penalty: Double
    ) -> Double {
        let width = weights.count
        var sum = 0.0
        for row in labels.indices {
            let z = dot(matrix, row * width, weights)
            // log(1 + e^z) without overflow, less z for a positive.
            sum += max(z, 0) + log1p(exp(-abs(z))) - (labels[row] > 0.5 ? z : 0)
        }
        return sum + penalty / 2 * weights.dropLast().reduce(0) { $0 + $1 * $1 }
    }

    private static func derivatives(
        _ matrix: [Double], _ weights: [Double], _ labels: [Float], _ penalty: Double
    ) -> (gradient: [Double], hessian: [Double]) {
        let width = weights.count
        var gradient = [Double](repeating: 0, count: width)
        var hessian = [Double](repeating: 0, count: width * width)
        for row in labels.indices {
            let start = row * width
            let p = sigmoid(dot(matrix, start, weights))
            let error = p - (labels[row] > 0.5 ? 1 : 0)
            let curvature = max(p * (1 - p), 1e-12)
            for i in 0..<width {
                let x = matrix[start + i]
                guard x != 0 else { continue }
                gradient[i] += error * x
                for j in 0...i { hessian[i * width + j] += curvature * x * matrix[start + j] }
            }
        }
        for i in 0..<width - 1 {
            gradient[i] += penalty * weights[i]
            hessian[i * width + i] += penalty
        }
        return (gradient, hessian)
    }

    /// Solves `A x = b` for a symmetric positive matrix given by its lower half (Cholesky); `nil` if it is not.
    private static func solve(_ a: [Double], _ b: [Double], _ width: Int) -> [Double]? {
        var l = a
        for j in 0..<width {
            for i in j..<width {
                var sum = l[i * width + j]
                for k in 0..<j { sum -= l[i * width + k] * l[j * width + k] }
                if i == j {
                    guard sum > 0 else { return nil }
                    l[j * width + j] = sum.squareRoot()
                } else {
                    l[i * width + j] = sum / l[j * width + j]
                }
            }
        }
        var x = b
        for i in 0..<width {
            for k in 0..<i { x[i] -= l[i * width + k] * x[k] }
            x[i] /= l[i * width + i]
        }
        for i in (0..<width).reversed() {
            for k in i + 1..<width { x[i] -= l[k * width + i] * x[k] }
            x[i] /= l[i * width + i]
        }
        return x
    }

    private static func dot(_ matrix: [Double], _ start: Int, _ weights: [Double]) -> Double {
        var sum = 0.0
        for i in weights.indices { sum += matrix[start + i] * weights[i] }
        return sum
    }

    private static func sigmoid(_ z: Double) -> Double { z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)) }
}
