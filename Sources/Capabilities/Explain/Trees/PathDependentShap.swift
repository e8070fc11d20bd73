public import AerieCore

/// Shapley values of tree ensembles where a column that is not known is left to the training rows' way through the
/// trees, by the covers: what XGBoost's `pred_contribs` and LightGBM's `pred_contrib` answer (Lundberg et al., "From
/// local explanations to global understanding with explainable AI for trees", 2020, algorithm 2).
///
/// Not their recursion, but the integral behind it. A leaf of value `v` with the columns `i` on its way, each with its
/// share `z` and `o` = 1 where the row fits and 0 where it does not, adds to column `i`
///
///     v (o_i - z_i) ∫ Π_{j≠i} (o_j t + z_j (1 - t)) dt   from 0 to 1,
///
/// since the Shapley weight of a set of `s` among `n` columns is the integral of `t^s (1 - t)^(n - 1 - s)`. The
/// integrand is a polynomial, so a Gauss-Legendre rule of `n / 2` points is exact; all of its terms are positive, so
/// nothing cancels however deep the tree is. A row costs (columns on the way) × (points) for each leaf; columns that do
/// not fit share one number. Interactions have the product of two such factors under the integral, halved.
///
/// Immutable; any thread may explain at once.
struct PathDependentShap: Sendable {
    let forest: Forest
    private let paths: LeafPaths

    var base: [Double] { paths.base }

    /// Takes time and memory in proportion to the lengths of the ways to all leaves.
    /// - Throws: `failedPrecondition` for a file without covers; `unsupported` and `resourceExhausted` for trees past
    ///   the limits of `LeafPaths`.
    init(_ forest: Forest) throws(AerieError) {
        guard forest.hasCovers else {
            throw AerieError(
                .failedPrecondition, "the model's file does not tell how many training rows came by its splits; explain "
                    + "it against background rows", reason: "explain.covers")
        }
        self.forest = forest
        paths = try LeafPaths(forest)
    }

    /// What a thread needs beside the result; made once for many rows.
    struct Scratch {
        fileprivate var fits: [UInt8]
        fileprivate var shares: [Double]
        fileprivate var pairs: [Double]
    }

    func makeScratch(interactions: Bool) -> Scratch {
        let longest = paths.longest
        return Scratch(
            fits: [UInt8](repeating: 0, count: longest), shares: [Double](repeating: 0, count: longest),
            pairs: [Double](repeating: 0, count: interactions ? longest * longest : 0))
    }

    /// Adds one row's values: `[output][feature]`.
    func explain(
        _ decisions: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch, into values: UnsafeMutablePointer<Double>
    ) {
        let features = forest.featureCount
        eachLeaf(decisions, &scratch) { leaf, columns, fits, shares in
            weigh(paths.rules[Int(leaf.rule)], columns, fits, shares)
            add(leaf) { output, value in
                let values = values + output * features
                for column in columns.indices { values[Int(columns[column].feature)] += value * shares[column] }
            }
        }
    }

    /// Adds one row's interactions, the diagonal left out: `[output][feature][feature]`.
    func interact(
        _ decisions: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch, into values: UnsafeMutablePointer<Double>
    ) {
        let features = forest.featureCount
        var pairs = scratch.pairs
        eachLeaf(decisions, &scratch) { leaf, columns, fits, factors in
            let count = columns.count
            for index in 0..<(count * count) { pairs[index] = 0 }
            weighPairs(paths.rules[Int(leaf.rule)], columns, fits, &pairs)
            add(leaf) { output, value in
                let values = values + output * features * features
                for first in 0..<count {
                    let row = values + Int(columns[first].feature) * features
                    for second in 0..<count where second != first {
                        row[Int(columns[second].feature)] += value * pairs[first * count + second]
                    }
                }
            }
        }
    }

    // MARK: One leaf

    @inline(__always)
    private func eachLeaf(
        _ decisions: UnsafeBufferPointer<UInt8>, _ scratch: inout Scratch,
        _ body: (
            LeafPaths.Leaf, UnsafeBufferPointer<LeafPaths.Column>, UnsafeMutablePointer<UInt8>,
            UnsafeMutablePointer<Double>
        ) -> Void
    ) {
        paths.columns.withUnsafeBufferPointer { columns in
            paths.splits.withUnsafeBufferPointer { splits in
                scratch.fits.withUnsafeMutableBufferPointer { fits in
                    scratch.shares.withUnsafeMutableBufferPointer { shares in
                        guard let fits = fits.baseAddress, let shares = shares.baseAddress else { return }
                        for leaf in paths.leaves {
                            let range = Int(leaf.columns.lowerBound)..<Int(leaf.columns.upperBound)
                            for column in 0..<range.count { fits[column] = 1 }
                            for split in splits[Int(leaf.splits.lowerBound)..<Int(leaf.splits.upperBound)]
                            where decisions[Int(split.node)] != split.left { fits[Int(split.column)] = 0 }
                            body(leaf, UnsafeBufferPointer(rebasing: columns[range]), fits, shares)
                        }
                    }
                }
            }
        }
    }

    @inline(__always)
    private func add(_ leaf: LeafPaths.Leaf, _ body: (_ output: Int, _ value: Double) -> Void) {
        let tree = forest.trees[Int(leaf.tree)]
        let first = Int(forest.nodes[Int(leaf.node)].next)
        if tree.output >= 0 { return body(Int(tree.output), forest.values[first]) }
        for output in 0..<forest.outputCount { body(output, forest.values[first + output]) }
    }

    /// Each column's share of a leaf of value 1.
    @inline(__always)
    private func weigh(
        _ rule: GaussLegendre, _ columns: UnsafeBufferPointer<LeafPaths.Column>, _ fits: UnsafePointer<UInt8>,
        _ shares: UnsafeMutablePointer<Double>
    ) {
        for column in columns.indices { shares[column] = 0 }
        var others = 0.0
        for group in rule.points.indices {
            let known = rule.points[group]
            let unknown = 1 - known
            var product = rule.weights[group]
            for column in columns.indices {
                let share = columns[column].share
                product *= fits[column] == 1 ? known + share * unknown : share * unknown
            }
            others -= (product / unknown).sum()
            for column in columns.indices where fits[column] == 1 {
                let share = columns[column].share
                shares[column] += ((1 - share) * product / (known + share * unknown)).sum()
            }
        }
        for column in columns.indices where fits[column] == 0 { shares[column] = others }
    }

    /// Half of the interaction of each two columns in a leaf of value 1: `[column][column]`.
    private func weighPairs(
        _ rule: GaussLegendre, _ columns: UnsafeBufferPointer<LeafPaths.Column>, _ fits: UnsafePointer<UInt8>,
        _ pairs: inout [Double]
    ) {
        func factor(_ column: Int, _ known: SIMD4<Double>) -> SIMD4<Double> {
            let (share, unknown) = (columns[column].share, 1 - known)
            return fits[column] == 1 ? (1 - share) / (known + share * unknown) : -1 / unknown
        }
        let count = columns.count
        for group in rule.points.indices {
            let known = rule.points[group]
            let unknown = 1 - known
            var product = rule.weights[group] * 0.5
            for column in columns.indices {
                let share = columns[column].share
                product *= fits[column] == 1 ? known + share * unknown : share * unknown
            }
            for first in 0..<count {
                let one = product * factor(first, known)
                for second in (first + 1)..<max(count, first + 1) {
                    let both = (one * factor(second, known)).sum()
                    pairs[first * count + second] += both
                    pairs[second * count + first] += both
                }
            }
        }
    }
}
