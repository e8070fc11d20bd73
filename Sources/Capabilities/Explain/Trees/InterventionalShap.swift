public import AerieCore

/// Shapley values of tree ensembles where a column that is not known has the value of a background row, averaged over
/// the rows: the answer to "what made this row differ from those" (`feature_perturbation="interventional"` of the
/// `shap` library).
///
/// Against one background row a leaf counts for the sets of columns that hold all of the `u` that only the explained
/// row fits, and none of the `w` that only the other fits. Its value goes to each of the `u` with the weight
/// `(u - 1)! w! / (u + w)!`, and is taken from each of the `w` with `u! (w - 1)! / (u + w)!`. A row costs the leaves
/// that a mixture of the two rows can reach, for each tree and background row.
///
/// Immutable; any thread may explain at once.
struct InterventionalShap: Sendable {
    let forest: Forest
    let base: [Double]
    private let background: [[UInt8]]
    /// `(first - 1)! second! / (first + second)!` at `first * side + second`.
    private let weights: [Double]
    private let side: Int

    /// - Parameter background: the rows' decisions; at least one row.
    init(_ forest: Forest, background: [[UInt8]]) throws(AerieError) {
        let depth = forest.depth
        guard depth <= LeafPaths.maximumDepth else {
            throw AerieError(
                .unsupported, "a tree is deeper than the \(LeafPaths.maximumDepth) splits that are explained",
                reason: "explain.depth")
        }
        self.forest = forest
        self.background = background
        side = depth + 2
        var weights = [Double](repeating: 0, count: side * side)
        for second in 0..<side {
            weights[side + second] = 1 / Double(second + 1)
            for first in stride(from: 1, to: side - 1, by: 1) {
                weights[(first + 1) * side + second] =
                    weights[first * side + second] * Double(first) / Double(first + second + 1)
            }
        }
        self.weights = weights
        var base = [Double](repeating: 0, count: forest.outputCount)
        for decisions in background {
            let sums = decisions.withUnsafeBufferPointer { forest.sums($0) }
            for output in base.indices { base[output] += sums[output] / Double(background.count) }
        }
        self.base = base
    }

    /// Adds one row's values, `[output][feature]`, and its interactions without the diagonal if there is room for them.
    func explain(
        _ decisions: UnsafeBufferPointer<UInt8>, into values: UnsafeMutablePointer<Double>,
        interactions: UnsafeMutablePointer<Double>?
    ) {
        var state = [UInt8](repeating: 0, count: forest.featureCount)
        state.withUnsafeMutableBufferPointer { state in
            forest.nodes.withUnsafeBufferPointer { nodes in
                for other in background {
                    other.withUnsafeBufferPointer { other in
                        var meeting = Meeting(
                            shap: self, nodes: nodes, own: decisions, other: other, state: state, values: values,
                            interactions: interactions)
                        for tree in forest.trees {
                            meeting.tree = tree
                            meeting.visit(Int(tree.root))
                        }
                    }
                }
            }
        }
    }

    /// The explained row and one of the background on their common way through a tree.
    private struct Meeting {
        let shap: InterventionalShap
        let nodes: UnsafeBufferPointer<Forest.Node>
        let own: UnsafeBufferPointer<UInt8>
        let other: UnsafeBufferPointer<UInt8>
        /// For each column whose value is taken: 0 while it does not matter, 1 for the row's own, 2 for the other's.
        let state: UnsafeMutableBufferPointer<UInt8>
        let values: UnsafeMutablePointer<Double>
        let interactions: UnsafeMutablePointer<Double>?
        var tree = Forest.Tree(root: 0, output: 0)
        var ours: [Int] = []
        var theirs: [Int] = []

        mutating func visit(_ at: Int) {
            let node = nodes[at]
            if node.isLeaf { return settle(node) }
            let feature = Int(node.feature)
            let mine = Int(node.next) + (own[at] == 1 ? 0 : 1)
            let its = Int(node.next) + (other[at] == 1 ? 0 : 1)
            if mine == its || state[feature] == 1 { return visit(mine) }
            if state[feature] == 2 { return visit(its) }
            state[feature] = 1
            ours.append(feature)
            visit(mine)
            ours.removeLast()
            state[feature] = 2
            theirs.append(feature)
            visit(its)
            theirs.removeLast()
            state[feature] = 0
        }

        private func settle(_ leaf: Forest.Node) {
            if ours.isEmpty && theirs.isEmpty { return }
            if tree.output >= 0 {
                add(shap.forest.values[Int(leaf.next)], Int(tree.output))
            } else {
                for output in 0..<shap.forest.outputCount { add(shap.forest.values[Int(leaf.next) + output], output) }
            }
        }

        private func add(_ value: Double, _ output: Int) {
            let features = shap.forest.featureCount
            let (u, w, side) = (ours.count, theirs.count, shap.side)
            let share = value / Double(shap.background.count)
            let values = values + output * features
            if u > 0 {
                let gain = share * shap.weights[u * side + w]
                for feature in ours { values[feature] += gain }
            }
            if w > 0 {
                let loss = share * shap.weights[w * side + u]
                for feature in theirs { values[feature] -= loss }
            }
            guard let interactions, u + w > 1 else { return }
            let table = interactions + output * features * features
            func put(_ weight: Double, _ first: [Int], _ second: [Int]) {
                for one in first { for two in second where one != two { table[one * features + two] += weight } }
            }
            let half = share / 2
            // One column less is left to be chosen than for the values.
            if u > 1 { put(half * shap.weights[(u - 1) * side + w], ours, ours) }
            if w > 1 { put(half * shap.weights[(w - 1) * side + u], theirs, theirs) }
            if u > 0, w > 0 {
                let mixed = -half * shap.weights[u * side + (w - 1)]
                put(mixed, ours, theirs)
                put(mixed, theirs, ours)
            }
        }
    }
}
