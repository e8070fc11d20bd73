public import AerieCore

/// An ensemble of decision trees that says how it decides: the port that explanations of tree models need. Declared
/// here, implemented by the engines.
///
/// Contract: what is told never changes while the object lives, and any thread may ask at once. `forest` takes time and
/// memory in proportion to the nodes, so it is asked once; `decide` takes a few nanoseconds a node and throws nothing.
public protocol DecisionTrees: AnyObject, Sendable {
    /// How the trees hang together.
    /// - Throws: `unsupported` for an ensemble that is more than a sum of constants in leaves.
    func forest() throws(AerieError) -> Forest

    /// Whether a row goes to the left child, for every split, whether the row comes by it or not.
    ///
    /// - Parameters:
    ///   - row: `forest().featureCount` numbers; NaN is a missing value, and a category is its number.
    ///   - decisions: a byte for each node: 1 for left, 0 for right and for leaves.
    func decide(_ row: UnsafeBufferPointer<Double>, into decisions: UnsafeMutableBufferPointer<UInt8>)
}

/// The trees of an ensemble as one list of nodes: the sum of the values of the leaves that a row ends in, added to
/// `start`, is the model's answer before its link function.
public struct Forest: Sendable {
    /// A split, or a leaf. A split's right child stands beside its left one.
    public struct Node: Sendable {
        /// The column that a split looks at; -1 for a leaf.
        public var feature: Int32
        /// A split's left child; a leaf's first value in `values`.
        public var next: Int32
        /// The weight of the training rows that came by: LightGBM's count, XGBoost's sum of second derivatives.
        public var cover: Float

        public init(feature: Int32, next: Int32, cover: Float) {
            self.feature = feature
            self.next = next
            self.cover = cover
        }

        public var isLeaf: Bool { feature < 0 }
    }

    public struct Tree: Sendable {
        public var root: Int32
        /// The output that its leaves add to; -1 where a leaf has a value for each output.
        public var output: Int32

        public init(root: Int32, output: Int32) {
            self.root = root
            self.output = output
        }
    }

    public var featureCount: Int
    /// Sums that a row has: 1, or one for each class or target.
    public var outputCount: Int
    public var start: [Double]
    public var trees: [Tree]
    public var nodes: [Node]
    /// Of the leaves.
    public var values: [Double]
    /// Whether the file told the covers, without which only explanations against background rows are possible.
    public var hasCovers: Bool

    public init(
        featureCount: Int, outputCount: Int, start: [Double], trees: [Tree], nodes: [Node], values: [Double],
        hasCovers: Bool
    ) {
        self.featureCount = featureCount
        self.outputCount = outputCount
        self.start = start
        self.trees = trees
        self.nodes = nodes
        self.values = values
        self.hasCovers = hasCovers
    }

    /// Adds what a leaf answers, times `factor`, to a row's sums.
    @inline(__always)
    func add(_ leaf: Node, of tree: Tree, times factor: Double = 1, to sums: UnsafeMutablePointer<Double>) {
        if tree.output >= 0 {
            sums[Int(tree.output)] += values[Int(leaf.next)] * factor
        } else {
            for output in 0..<outputCount { sums[output] += values[Int(leaf.next) + output] * factor }
        }
    }

    /// A row's sums, from its decisions: `outputCount` numbers.
    func sums(_ decisions: UnsafeBufferPointer<UInt8>) -> [Double] {
        var sums = start
        sums.withUnsafeMutableBufferPointer { sums in
            guard let sums = sums.baseAddress else { return }
            for tree in trees {
                var at = Int(tree.root)
                while !nodes[at].isLeaf { at = Int(nodes[at].next) + (decisions[at] == 1 ? 0 : 1) }
                add(nodes[at], of: tree, to: sums)
            }
        }
        return sums
    }

    /// Splits on the longest way from a root to a leaf.
    ///
    /// Nodes are in an order where children stand behind their parents, or anywhere: the walk is by a list of its own.
    var depth: Int {
        var deepest = 0
        var pending: [(node: Int32, depth: Int)] = []
        for tree in trees {
            pending.append((tree.root, 0))
            while let (node, depth) = pending.popLast() {
                let node = nodes[Int(node)]
                if node.isLeaf {
                    deepest = max(deepest, depth)
                } else {
                    pending.append((node.next, depth + 1))
                    pending.append((node.next + 1, depth + 1))
                }
            }
        }
        return deepest
    }
}
