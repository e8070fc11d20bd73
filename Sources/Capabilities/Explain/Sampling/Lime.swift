#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
public import AerieCore

/// The slopes of a line through a row's neighbourhood, for any model over rows (Ribeiro, Singh and Guestrin, "Why
/// should I trust you?", 2016), by the recipe of the `lime` library for tables: columns cut at the training rows'
/// quartiles, neighbours drawn bin by bin, each weighted by `sqrt(exp(-d² / w²))` where `d²` is the number of columns
/// in another bin than the row's, a ridge regression on "is in the row's bin".
///
/// A value is what it is worth to the answer that the column is in the row's bin. The values depend on the sample, and
/// so on the seed; they do not add up to the answer. A row costs `samples` predictions.
///
/// Immutable; any thread may explain at once. Blocks.
public struct Lime: Sendable {
    /// What a row's line says beside its slopes.
    public struct Fit: Sendable, Hashable {
        /// The share of the neighbours' variance that the line explains, by their weights.
        public var score: Double
        /// What the line answers for the row itself.
        public var prediction: Double
    }

    private let model: any RowModel
    private let columns: [BinnedColumn]
    private let samples: Int
    private let width: Double
    private let kept: Int
    private let seed: UInt64

    /// - Parameters:
    ///   - background: training rows, from which bins and their shares are taken.
    ///   - categorical: columns whose values are numbers of categories.
    ///   - width: of the kernel; `nil` for 0.75 times the root of the number of columns.
    ///   - kept: the columns that the line may use; the others get 0.
    /// - Throws: `invalidArgument` for a background of other columns or fewer than two rows.
    public init(
        _ model: any RowModel, background: Table, categorical: Set<Int> = [], samples: Int = 5000, width: Double? = nil,
        kept: Int = 10, seed: UInt64 = 0
    ) throws(AerieError) {
        guard background.columnCount == model.featureCount, background.rowCount > 1 else {
            throw .invalid(
                "background", "has \(background.rowCount) rows of \(background.columnCount) columns; the model takes "
                    + "\(model.featureCount), and two rows are needed")
        }
        self.model = model
        self.samples = max(2, samples)
        self.kept = kept
        self.seed = seed
        self.width = width ?? 0.75 * Double(background.columnCount).squareRoot()
        columns = (0..<background.columnCount).map { column in
            let values = stride(from: column, to: background.values.count, by: background.columnCount)
                .map { background.values[$0] }
            return BinnedColumn(values, isCategorical: categorical.contains(column))
        }
    }

    public var featureCount: Int { columns.count }
    public var outputCount: Int { model.outputCount }
    var predictionsPerRow: Int { samples }

    /// What is said of each column of a row.
    public func labels(_ row: ArraySlice<Double>, names: [String]) -> [String] {
        zip(columns, zip(row, names)).map { $0.label($0.bin(of: $1.0), $1.1) }
    }

    /// - Returns: the slopes, with each row's intercept as its base, and the fits `[row][output]`.
    public func explain(
        _ rows: Table, isCancelled: () -> Bool = { false }
    ) throws(AerieError) -> (attribution: Attribution, fits: [Fit]) {
        guard rows.columnCount == featureCount else {
            throw .invalid("rows", "have \(rows.columnCount) columns, the model takes \(featureCount)")
        }
        let outputs = outputCount
        var result = Attribution(rowCount: rows.rowCount, featureCount: featureCount, outputCount: outputs, base: [])
        result.base = [Double](repeating: 0, count: rows.rowCount * outputs)
        var fits: [Fit] = []
        for row in 0..<rows.rowCount {
            if isCancelled() { throw AerieError(.cancelled, "nobody waits for the explanation any more") }
            let (neighbours, alike) = draw(Array(rows.row(row)))
            let answers = try ask(neighbours, isCancelled)
            for output in 0..<outputs {
                let line = LocalLine(
                    alike: alike, answers: stride(from: output, to: answers.count, by: outputs).map { answers[$0] },
                    columnCount: featureCount, width: width)
                let (slopes, intercept, score) = line.fit(kept: kept)
                let first = (row * outputs + output) * featureCount
                result.values.replaceSubrange(first..<(first + featureCount), with: slopes)
                result.base[row * outputs + output] = intercept
                result.answers[row * outputs + output] = answers[output]
                fits.append(Fit(score: score, prediction: intercept + slopes.reduce(0, +)))
            }
        }
        return (result, fits)
    }

    /// In pieces, so that a slow model is not asked on when nobody waits any more.
    private func ask(_ rows: Table, _ isCancelled: () -> Bool) throws(AerieError) -> [Double] {
        var answers: [Double] = []
        let piece = Self.rowsPerCall * rows.columnCount
        for first in stride(from: 0, to: rows.values.count, by: piece) {
            if isCancelled() { throw AerieError(.cancelled, "nobody waits for the explanation any more") }
            let values = Array(rows.values[first..<min(first + piece, rows.values.count)])
            answers += try model.answers(Table(columnCount: rows.columnCount, values: values))
        }
        return answers
    }

    private static let rowsPerCall = 512

    /// The row itself and its neighbours, and for each of their columns 1 where it is in the row's bin.
    private func draw(_ row: [Double]) -> (rows: Table, alike: [Double]) {
        var random = SplitMix(seed: seed)
        let own = zip(columns, row).map { $0.bin(of: $1) }
        var values = row
        values.reserveCapacity(samples * row.count)
        var alike = [Double](repeating: 1, count: row.count)
        alike.reserveCapacity(samples * row.count)
        for _ in 1..<samples {
            for (column, binned) in columns.enumerated() {
                let (bin, value) = binned.draw(&random)
                values.append(value)
                alike.append(bin == own[column] ? 1 : 0)
            }
        }
        return (Table(columnCount: row.count, values: values), alike)
    }
}

/// The weighted regression behind one output of one row.
struct LocalLine {
    private let columnCount: Int
    /// Sums over the neighbours, less the weighted means: of two columns, of a column and the answer, of the answer.
    private var squares: [Double]
    private var products: [Double]
    private var variance = 0.0
    private var means: [Double]
    private var mean = 0.0

    init(alike: [Double], answers: [Double], columnCount: Int, width: Double) {
        self.columnCount = columnCount
        let weights = answers.indices.map { neighbour -> Double in
            let line = alike[(neighbour * columnCount)..<((neighbour + 1) * columnCount)]
            let different = line.reduce(0) { $0 + (1 - $1) }
            return exp(-different / (width * width)).squareRoot()
        }
        let total = weights.reduce(0, +)
        means = [Double](repeating: 0, count: columnCount)
        for (neighbour, weight) in weights.enumerated() {
            mean += weight * answers[neighbour] / total
            for column in 0..<columnCount { means[column] += weight * alike[neighbour * columnCount + column] / total }
        }
        squares = [Double](repeating: 0, count: columnCount * columnCount)
        products = [Double](repeating: 0, count: columnCount)
        for (neighbour, weight) in weights.enumerated() {
            let gain = answers[neighbour] - mean
            variance += weight * gain * gain
            for first in 0..<columnCount {
                let scaled = weight * (alike[neighbour * columnCount + first] - means[first])
                products[first] += scaled * gain
                for second in 0...first {
                    squares[first * columnCount + second] +=
                        scaled * (alike[neighbour * columnCount + second] - means[second])
                }
            }
        }
        for first in 0..<columnCount {
            for second in 0..<first { squares[second * columnCount + first] = squares[first * columnCount + second] }
        }
    }

    /// The ridge regression's slopes over some of the columns.
    private func slopes(_ columns: [Int], ridge: Double) -> [Double] {
        var equations = NormalEquations(count: columns.count)
        for (first, column) in columns.enumerated() {
            for (second, other) in columns.enumerated() {
                equations.matrix[first * columns.count + second] = squares[column * columnCount + other]
            }
            equations.matrix[first * columns.count + first] += ridge
        }
        return equations.solve(columns.map { products[$0] })
    }

    /// The share of the variance that a line explains.
    private func score(_ slopes: [Double], _ columns: [Int]) -> Double {
        guard variance > 0 else { return 1 }
        var rest = variance
        for (first, column) in columns.enumerated() {
            rest -= 2 * slopes[first] * products[column]
            for (second, other) in columns.enumerated() {
                rest += slopes[first] * slopes[second] * squares[column * columnCount + other]
            }
        }
        return 1 - rest / variance
    }

    /// Up to six columns are chosen one after the other by what each adds to the score, more by their slopes.
    private func choose(_ kept: Int) -> [Int] {
        if kept >= columnCount, kept > 6 { return Array(0..<columnCount) }
        if kept > 6 {
            let all = slopes(Array(0..<columnCount), ridge: 0.01)
            return Array((0..<columnCount).sorted { (-abs(all[$0]), $0) < (-abs(all[$1]), $1) }.prefix(kept))
        }
        var chosen: [Int] = []
        while chosen.count < min(kept, columnCount) {
            let best = (0..<columnCount).filter { !chosen.contains($0) }.map { column -> (Double, Int) in
                let candidates = chosen + [column]
                return (score(slopes(candidates, ridge: 0), candidates), column)
            }.max { ($0.0, -$0.1) < ($1.0, -$1.1) }
            guard let best else { break }
            chosen.append(best.1)
        }
        return chosen
    }

    func fit(kept: Int) -> (slopes: [Double], intercept: Double, score: Double) {
        let chosen = choose(kept)
        let found = slopes(chosen, ridge: 1)
        var all = [Double](repeating: 0, count: columnCount)
        for (slope, column) in zip(found, chosen) { all[column] = slope }
        let intercept = mean - zip(all, means).reduce(0) { $0 + $1.0 * $1.1 }
        return (all, intercept, score(found, chosen))
    }
}
