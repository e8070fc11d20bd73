public import AerieCore

/// Shapley values of a tree model, exactly: against the training rows' own way through the trees, or against background
/// rows. In the units of the model before its link function (log-odds for a classifier).
///
/// Immutable; any thread may explain at once. Blocks for as long as it takes: about half a millisecond a row for 100
/// full trees of depth 6, and six times that against 100 background rows.
public struct TreeShap: Sendable {
    private enum Method: Sendable {
        case pathDependent(PathDependentShap)
        case interventional(InterventionalShap)
    }

    private let trees: any DecisionTrees
    private let forest: Forest
    private let method: Method

    /// The answers that are expected without knowing a row, one for each output.
    public let base: [Double]
    public var featureCount: Int { forest.featureCount }
    public var outputCount: Int { forest.outputCount }
    /// True where explanations are against background rows.
    public var isInterventional: Bool { if case .interventional = method { true } else { false } }

    /// - Parameter background: rows to explain against; `nil` for the covers in the model's file.
    /// - Throws: `invalidArgument` for a background of other columns than the model's; `failedPrecondition` for a file
    ///   without covers; `unsupported` and `resourceExhausted` for trees too deep or too many.
    public init(_ trees: any DecisionTrees, background: Table? = nil) throws(AerieError) {
        self.trees = trees
        let forest = try trees.forest()
        self.forest = forest
        if let background {
            guard background.columnCount == forest.featureCount, background.rowCount > 0 else {
                throw .invalid(
                    "background", "has \(background.rowCount) rows of \(background.columnCount) columns; the model takes "
                        + "\(forest.featureCount), and a row is needed")
            }
            let decisions = background.values.withUnsafeBufferPointer { values in
                (0..<background.rowCount).map { row in
                    var decisions = [UInt8](repeating: 0, count: forest.nodes.count)
                    let row = UnsafeBufferPointer(rebasing: values[(row * forest.featureCount)...])
                    decisions.withUnsafeMutableBufferPointer { trees.decide(row, into: $0) }
                    return decisions
                }
            }
            let shap = try InterventionalShap(forest, background: decisions)
            (base, method) = (shap.base, .interventional(shap))
        } else {
            let shap = try PathDependentShap(forest)
            (base, method) = (shap.base, .pathDependent(shap))
        }
    }

    /// Explains rows of `featureCount` columns.
    /// - Parameters:
    ///   - interactions: whether to tell how each two columns work together as well.
    ///   - isCancelled: asked before each row; what has been made until then is thrown away.
    /// - Throws: `invalidArgument` for rows of another width; `cancelled`.
    public func explain(
        _ rows: Table, interactions: Bool = false, isCancelled: () -> Bool = { false }
    ) throws(AerieError) -> Attribution {
        let (features, outputs) = (featureCount, outputCount)
        guard rows.columnCount == features else {
            throw .invalid("rows", "have \(rows.columnCount) columns, the model takes \(features)")
        }
        var result = Attribution(rowCount: rows.rowCount, featureCount: features, outputCount: outputs, base: base)
        var pairs = [Double](repeating: 0, count: interactions ? rows.rowCount * outputs * features * features : 0)
        var decisions = [UInt8](repeating: 0, count: forest.nodes.count)
        var scratch: PathDependentShap.Scratch?
        if case .pathDependent(let shap) = method { scratch = shap.makeScratch(interactions: interactions) }
        for row in 0..<rows.rowCount {
            if isCancelled() { throw AerieError(.cancelled, "nobody waits for the explanation any more") }
            rows.values.withUnsafeBufferPointer { values in
                let row = UnsafeBufferPointer(rebasing: values[(row * features)..<((row + 1) * features)])
                decisions.withUnsafeMutableBufferPointer { trees.decide(row, into: $0) }
            }
            decisions.withUnsafeBufferPointer { decisions in
                let sums = forest.sums(decisions)
                for output in 0..<outputs { result.answers[row * outputs + output] = sums[output] }
                result.values.withUnsafeMutableBufferPointer { values in
                    pairs.withUnsafeMutableBufferPointer { pairs in
                        guard let values = values.baseAddress.map({ $0 + row * outputs * features }) else { return }
                        let pairs = interactions
                            ? pairs.baseAddress.map { $0 + row * outputs * features * features } : nil
                        explain(decisions, &scratch, values, pairs)
                        if let pairs { Self.fillDiagonal(pairs, values, outputs: outputs, features: features) }
                    }
                }
            }
        }
        if interactions { result.interactions = pairs }
        return result
    }

    private func explain(
        _ decisions: UnsafeBufferPointer<UInt8>, _ scratch: inout PathDependentShap.Scratch?,
        _ values: UnsafeMutablePointer<Double>, _ pairs: UnsafeMutablePointer<Double>?
    ) {
        switch method {
        case .interventional(let shap): shap.explain(decisions, into: values, interactions: pairs)
        case .pathDependent(let shap):
            guard var own = scratch else { return }
            shap.explain(decisions, &own, into: values)
            if let pairs { shap.interact(decisions, &own, into: pairs) }
            scratch = own
        }
    }

    /// What of a column's value no other column has a part in.
    private static func fillDiagonal(
        _ pairs: UnsafeMutablePointer<Double>, _ values: UnsafePointer<Double>, outputs: Int, features: Int
    ) {
        for line in 0..<(outputs * features) {
            let row = pairs + line * features
            let own = line % features
            var others = 0.0
            for column in 0..<features where column != own { others += row[column] }
            row[own] = values[line] - others
        }
    }
}
