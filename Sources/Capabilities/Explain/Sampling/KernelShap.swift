#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
public import AerieCore

/// Shapley values of any model over rows, against background rows, by asking it about mixtures: exact while all sets of
/// columns fit the budget (11 columns by default), by a weighted regression over a sample of them beyond.
///
/// Columns in which a row is like every background row have no part in its answer and get 0. The values add up to the
/// answer less the base value in every case. A row costs (sets) × (background rows) predictions.
///
/// Immutable; any thread may explain at once. Blocks.
public struct KernelShap: Sendable {
    /// In which units the answer is explained.
    public enum Link: String, Sendable {
        case identity
        /// Log-odds: for models that answer probabilities.
        case logit
    }

    private let model: any RowModel
    private let background: Table
    private let link: Link
    private let samples: Int?
    private let seed: UInt64
    /// The link of the mean answer to the background rows, for each output.
    public let base: [Double]

    /// Rows that are predicted in one call.
    private static let rowsPerCall = 8192

    /// - Parameter samples: the sets that are asked about for a row; `nil` for twice the columns and 2,048.
    /// - Throws: `invalidArgument` for a background of other columns; what the model throws.
    public init(
        _ model: any RowModel, background: Table, link: Link = .identity, samples: Int? = nil, seed: UInt64 = 0
    ) throws(AerieError) {
        guard background.columnCount == model.featureCount, background.rowCount > 0 else {
            throw .invalid(
                "background", "has \(background.rowCount) rows of \(background.columnCount) columns; the model takes "
                    + "\(model.featureCount), and a row is needed")
        }
        self.model = model
        self.background = background
        self.link = link
        self.samples = samples
        self.seed = seed
        let outputs = model.outputCount
        let answers = try model.answers(background)
        base = (0..<outputs).map { output in
            let sum = stride(from: output, to: answers.count, by: outputs).reduce(0) { $0 + answers[$1] }
            return Self.apply(link, sum / Double(background.rowCount))
        }
    }

    public var featureCount: Int { model.featureCount }
    public var outputCount: Int { model.outputCount }

    /// Predictions that a row takes, at most.
    var predictionsPerRow: Int { budget(featureCount) * background.rowCount }

    private func budget(_ columns: Int) -> Int { max(2, samples ?? 2 * columns + 2048) }

    /// Probabilities of 0 and 1 are brought as near to them as a double's log-odds go.
    private static func apply(_ link: Link, _ value: Double) -> Double {
        guard link == .logit else { return value }
        let inside = min(max(value, 1e-15), 1 - 1e-15)
        return log(inside / (1 - inside))
    }

    /// - Throws: `invalidArgument` for rows of another width; `cancelled`; what the model throws.
    public func explain(
        _ rows: Table, isCancelled: () -> Bool = { false }
    ) throws(AerieError) -> Attribution {
        guard rows.columnCount == featureCount else {
            throw .invalid("rows", "have \(rows.columnCount) columns, the model takes \(featureCount)")
        }
        let outputs = outputCount
        var result = Attribution(rowCount: rows.rowCount, featureCount: featureCount, outputCount: outputs, base: base)
        result.answers = try model.answers(rows).map { Self.apply(link, $0) }
        for row in 0..<rows.rowCount {
            let values = Array(rows.row(row))
            let columns = varying(values)
            let gains = (0..<outputs).map { result.answer(row: row, output: $0) - base[$0] }
            let shares = try weigh(values, columns, gains, isCancelled)
            for output in 0..<outputs {
                for (place, column) in columns.enumerated() {
                    result.values[(row * outputs + output) * featureCount + column] = shares[output][place]
                }
            }
        }
        return result
    }

    /// The columns in which some background row differs.
    private func varying(_ row: [Double]) -> [Int] {
        (0..<featureCount).filter { column in
            (0..<background.rowCount).contains { other in
                let value = background.values[other * featureCount + column]
                return value != row[column] && !(value.isNaN && row[column].isNaN)
            }
        }
    }

    /// The values of the varying columns, for each output.
    private func weigh(
        _ row: [Double], _ columns: [Int], _ gains: [Double], _ isCancelled: () -> Bool
    ) throws(AerieError) -> [[Double]] {
        let count = columns.count
        if count == 0 { return gains.map { _ in [] } }
        if count == 1 { return gains.map { [$0] } }
        let sets = Coalitions(columnCount: count, budget: budget(count), seed: seed)
        let answers = try ask(row, columns, sets, isCancelled)
        // The last column's value is what the others leave of the gain, so the sum holds by construction.
        let unknowns = count - 1
        var equations = NormalEquations(count: unknowns)
        var sides = gains.map { _ in [Double](repeating: 0, count: unknowns) }
        var line = [Double](repeating: 0, count: unknowns)
        for set in 0..<sets.count {
            let weight = sets.weights[set]
            let last = Double(sets.members[set * count + unknowns])
            for column in 0..<unknowns { line[column] = Double(sets.members[set * count + column]) - last }
            for first in 0..<unknowns where line[first] != 0 {
                let scaled = weight * line[first]
                for second in 0..<unknowns { equations.matrix[first * unknowns + second] += scaled * line[second] }
                for output in gains.indices {
                    sides[output][first] +=
                        scaled * (answers[set * gains.count + output] - base[output] - last * gains[output])
                }
            }
        }
        let factor = equations.factor()
        return gains.indices.map { output in
            let solved = factor.solve(sides[output])
            return solved + [gains[output] - solved.reduce(0, +)]
        }
    }

    /// The link of the mean answer for each set, `[set][output]`: its columns from the row, the others from each of the
    /// background rows.
    private func ask(
        _ row: [Double], _ columns: [Int], _ sets: Coalitions, _ isCancelled: () -> Bool
    ) throws(AerieError) -> [Double] {
        let (outputs, others) = (outputCount, background.rowCount)
        var means: [Double] = []
        let setsPerCall = max(1, Self.rowsPerCall / others)
        for first in stride(from: 0, to: sets.count, by: setsPerCall) {
            if isCancelled() { throw AerieError(.cancelled, "nobody waits for the explanation any more") }
            let chosen = first..<min(first + setsPerCall, sets.count)
            var mixtures: [Double] = []
            mixtures.reserveCapacity(chosen.count * background.values.count)
            for set in chosen {
                let start = mixtures.count
                mixtures += background.values
                for (place, column) in columns.enumerated() where sets.members[set * columns.count + place] == 1 {
                    for other in 0..<others { mixtures[start + other * featureCount + column] = row[column] }
                }
            }
            let answers = try model.answers(Table(columnCount: featureCount, values: mixtures))
            for set in 0..<chosen.count {
                for output in 0..<outputs {
                    var sum = 0.0
                    for other in 0..<others { sum += answers[(set * others + other) * outputs + output] }
                    means.append(Self.apply(link, sum / Double(others)))
                }
            }
        }
        return means
    }
}
