public import AerieCore

/// The way to every leaf, taken apart once so that a row is explained without walking: the columns that the way asks
/// about, each once, with the share of the training rows that would have taken it without knowing the column.
struct LeafPaths: Sendable {
    struct Leaf: Sendable {
        var tree: Int32
        /// The leaf in the forest.
        var node: Int32
        /// Its columns in `columns`, and its splits in `splits`.
        var columns: Range<Int32>
        var splits: Range<Int32>
        /// Its rule in `rules`.
        var rule: Int32
    }

    struct Column: Sendable {
        var feature: Int32
        /// The product of the covers' ratios at the splits on this column.
        var share: Double
    }

    struct Split: Sendable {
        var node: Int32
        /// Its column among those of the leaf.
        var column: Int32
        /// What a row must decide there to come to the leaf.
        var left: UInt8
    }

    private(set) var leaves: [Leaf] = []
    private(set) var columns: [Column] = []
    private(set) var splits: [Split] = []
    private(set) var rules: [GaussLegendre] = []
    /// The most columns on one way.
    private(set) var longest = 0
    /// What the trees answer on average over the training rows, `start` included.
    private(set) var base: [Double]

    /// Splits on one way, and splits on all ways together, that one model may have to be explained.
    static let maximumDepth = 1024
    static let maximumSplits = 1 << 26

    init(_ forest: Forest) throws(AerieError) {
        base = forest.start
        var walk = Walk(forest: forest)
        for index in forest.trees.indices { try walk.enter(tree: index, &self) }
    }

    /// Depth first through one tree after the other, with the way that led to the present node.
    private struct Walk {
        let forest: Forest
        var way: [(node: Int32, left: UInt8)] = []
        /// From the number of points to the place of the rule.
        var places: [Int: Int32] = [:]

        mutating func enter(tree: Int, _ paths: inout LeafPaths) throws(AerieError) {
            var pending: [(node: Int32, depth: Int, left: UInt8)] = [(forest.trees[tree].root, 0, 0)]
            way.removeAll(keepingCapacity: true)
            var parents: [Int32] = []
            while let (node, depth, left) = pending.popLast() {
                parents.removeSubrange(depth...)
                way.removeSubrange(max(0, depth - 1)...)
                if let parent = parents.last { way.append((parent, left)) }
                let entry = forest.nodes[Int(node)]
                if entry.isLeaf {
                    try add(node, tree, &paths)
                    continue
                }
                guard depth < LeafPaths.maximumDepth else {
                    throw AerieError(
                        .unsupported, "a tree is deeper than the \(LeafPaths.maximumDepth) splits that are explained",
                        reason: "explain.depth")
                }
                parents.append(node)
                pending.append((entry.next + 1, depth + 1, 0))
                pending.append((entry.next, depth + 1, 1))
            }
        }

        private mutating func add(_ leaf: Int32, _ tree: Int, _ paths: inout LeafPaths) throws(AerieError) {
            let (firstColumn, firstSplit) = (paths.columns.count, paths.splits.count)
            guard firstSplit + way.count <= LeafPaths.maximumSplits else {
                throw AerieError(
                    .resourceExhausted, "the trees have more than \(LeafPaths.maximumSplits) splits on all their ways "
                        + "together; explain the model with KernelShap", reason: "explain.size")
            }
            var share = 1.0
            for (node, left) in way {
                let split = forest.nodes[Int(node)]
                let child = forest.nodes[Int(split.next) + (left == 1 ? 0 : 1)]
                let ratio = split.cover > 0 ? Double(child.cover) / Double(split.cover) : 0
                share *= ratio
                var column = firstColumn
                while column < paths.columns.count, paths.columns[column].feature != split.feature { column += 1 }
                if column == paths.columns.count { paths.columns.append(Column(feature: split.feature, share: 1)) }
                paths.columns[column].share *= ratio
                paths.splits.append(Split(node: node, column: Int32(column - firstColumn), left: left))
            }
            paths.base.withUnsafeMutableBufferPointer {
                guard let base = $0.baseAddress else { return }
                forest.add(forest.nodes[Int(leaf)], of: forest.trees[tree], times: share, to: base)
            }
            let count = paths.columns.count - firstColumn
            if count == 0 { return }
            paths.longest = max(paths.longest, count)
            paths.leaves.append(
                Leaf(
                    tree: Int32(tree), node: leaf, columns: Int32(firstColumn)..<Int32(paths.columns.count),
                    splits: Int32(firstSplit)..<Int32(paths.splits.count), rule: rule(points: (count + 1) / 2, &paths)))
        }

        /// The integrands have a degree below the number of columns.
        private mutating func rule(points: Int, _ paths: inout LeafPaths) -> Int32 {
            if let place = places[points] { return place }
            let place = Int32(paths.rules.count)
            paths.rules.append(GaussLegendre(count: points))
            places[points] = place
            return place
        }
    }
}
