import AerieCore
import AerieData
import AerieJSON

/// Looks at rows and passes them on as they are, with `tags.outlier` (0 or 1 a row) and `tags.outlier_score`.
struct OutlierDetector: GraphTransformer {
    /// How far a row is from the reference.
    enum Measure: Sendable {
        case mahalanobis(Mahalanobis)
        /// The largest |x - mean| / std of the columns.
        case zScore(mean: [Double], deviation: [Double])
        /// How many columns are outside of their bounds.
        case bounds(lower: [Double], upper: [Double])
    }

    let columns: [String]
    let measure: Measure
    /// A greater score is an outlier.
    let threshold: Double

    func transform(_ message: inout GraphMessage) throws(AerieError) {
        let width =
            switch measure {
            case .mahalanobis(let reference): reference.mean.count
            case .zScore(let mean, _): mean.count
            case .bounds(let lower, _): lower.count
            }
        let rows = try watched(try NumberRows(message, width: width))
        guard rows.columns == width else {
            throw .invalid("data", "the rows have \(rows.columns) columns, the detector was fitted on \(width)")
        }
        let scores = (0..<rows.rows).map { score(Array(rows.values[($0 * width)..<(($0 + 1) * width)])) }
        let flags = scores.map { $0 > threshold || $0.isNaN }
        message.meta.tags["outlier"] = .array(flags.map { .int($0 ? 1 : 0) })
        message.meta.tags["outlier_score"] = .array(scores.map { $0.isFinite ? .double($0) : .null })
        let found = flags.count { $0 }
        message.meta.metrics.append(GraphMetric(key: "outlier_rows", kind: .counter, value: Double(found)))
    }

    /// The columns that the detector was fitted on, if the request names its own.
    private func watched(_ rows: NumberRows) throws(AerieError) -> NumberRows {
        guard !columns.isEmpty, !rows.names.isEmpty else { return rows }
        return try rows.selecting(columns)
    }

    private func score(_ row: [Double]) -> Double {
        switch measure {
        case .mahalanobis(let reference): return reference.distance(row)
        case .zScore(let mean, let deviation):
            var largest = 0.0
            for column in row.indices {
                let distance = abs(row[column] - mean[column])
                let score = deviation[column] > 0 ? distance / deviation[column] : distance == 0 ? 0 : .infinity
                if score.isNaN { return .nan }
                largest = max(largest, score)
            }
            return largest
        case .bounds(let lower, let upper):
            return Double(row.indices.count { row[$0] < lower[$0] || row[$0] > upper[$0] || row[$0].isNaN })
        }
    }
}

/// The Mahalanobis distance from the mean of reference rows: sqrt((x-m)' S^-1 (x-m)), with the sample covariance S
/// (divisor n - 1) through its Cholesky factor.
struct Mahalanobis: Sendable {
    let mean: [Double]
    /// Lower triangular, row-major.
    private let factor: [Double]

    /// - Throws: `invalidArgument` for fewer rows than columns + 1, or columns that depend on one another.
    init(_ reference: NumberRows) throws(AerieError) {
        let width = reference.columns
        guard reference.rows > width, width > 0 else {
            throw .invalid(
                "parameters.reference", "\(reference.rows) rows are too few for a covariance of \(width) columns")
        }
        mean = reference.columnMeans
        var covariance = [Double](repeating: 0, count: width * width)
        for row in 0..<reference.rows {
            for i in 0..<width {
                let left = reference[row, i] - mean[i]
                for j in 0...i { covariance[i * width + j] += left * (reference[row, j] - mean[j]) }
            }
        }
        let divisor = Double(reference.rows - 1)
        var factor = [Double](repeating: 0, count: width * width)
        for i in 0..<width {
            for j in 0...i {
                var sum = covariance[i * width + j] / divisor
                let scale = abs(sum)
                for k in 0..<j { sum -= factor[i * width + k] * factor[j * width + k] }
                if i == j {
                    guard sum > scale * 1e-12, sum.isFinite else {
                        throw .invalid(
                            "parameters.reference",
                            "column \(i) never varies or follows from those before it; leave it out with columns")
                    }
                    factor[i * width + i] = sum.squareRoot()
                } else {
                    factor[i * width + j] = sum / factor[j * width + j]
                }
            }
        }
        self.factor = factor
    }

    func distance(_ row: [Double]) -> Double {
        let width = mean.count
        var solved = [Double](repeating: 0, count: width)
        var total = 0.0
        for i in 0..<width {
            var value = row[i] - mean[i]
            for k in 0..<i { value -= factor[i * width + k] * solved[k] }
            solved[i] = value / factor[i * width + i]
            total += solved[i] * solved[i]
        }
        return total.squareRoot()
    }
}

extension NumberRows {
    var columnMeans: [Double] {
        (0..<columns).map { column in
            (0..<rows).reduce(0) { $0 + self[$1, column] } / Double(max(rows, 1))
        }
    }

    /// With the divisor n, as scikit-learn's StandardScaler has it.
    var columnDeviations: [Double] {
        let means = columnMeans
        return (0..<columns).map { column in
            let squares = (0..<rows).reduce(0) { sum, row in
                let distance = self[row, column] - means[column]
                return sum + distance * distance
            }
            return (squares / Double(max(rows, 1))).squareRoot()
        }
    }

    /// Linear interpolation between the closest ranks, as NumPy's default has it.
    func quantile(_ share: Double, ofColumn column: Int) -> Double {
        let sorted = (0..<rows).map { self[$0, column] }.filter { !$0.isNaN }.sorted()
        guard let first = sorted.first else { return .nan }
        guard sorted.count > 1 else { return first }
        let place = share * Double(sorted.count - 1)
        let low = min(Int(place), sorted.count - 2)
        return sorted[low] + (sorted[low + 1] - sorted[low]) * (place - Double(low))
    }

    /// Some columns by name.
    /// - Throws: `invalidArgument` for a name that is not there.
    func selecting(_ wanted: [String]) throws(AerieError) -> NumberRows {
        if wanted.isEmpty { return self }
        var message = self.message(replacing: GraphMessage(.tensors([])))
        try ColumnSelector(columns: wanted).transform(&message)
        return try NumberRows(message)
    }
}
