/// Puts trees into one flat array of nodes, children side by side, and checks them on the way.
struct TreeLayout<Value: TreeValue> {
    let featureCount: Int
    let groups: Int
    let tables: TreeTables<Value>
    private(set) var nodes: [SourceNode<Value>] = []
    /// One for each node; not meant where a tree had none.
    private(set) var covers: [Float] = []
    private(set) var hasCovers = true
    private(set) var roots: [Int] = []
    private(set) var depths: [Int32] = []
    private(set) var mostLeaves = 1
    /// The sum over the trees of their leaves' mean depth.
    private var meanDepths = 0.0
    /// Nanoseconds that a row takes in each walk, by the cost of a step as measured on a 2021 server core.
    private var steadyCost: Double { 1.2 * Double(depths.reduce(0) { $0 + Int($1) }) }
    private var chainedCost: Double { 1.6 * (meanDepths + Double(depths.count)) }
    private var generalCost: Double { 5 * (meanDepths + Double(depths.count)) }
    /// As measured with vectors of 256 bits.
    private var binnedCost: Double {
        7 * Double(featureCount) + 0.03 * Double(nodes.count / 2) + 0.7 * Double(depths.count)
    }
    /// Whether many rows are faster together; only where the fast walk is allowed.
    var isBinnedFaster: Bool { binnedCost < min(steadyCost, chainedCost) }
    /// Trees whose leaves lie, on average, much higher than their deepest one.
    var isUneven: Bool { steadyCost > chainedCost }
    var nanosecondsPerRow: Double {
        50 + Double(featureCount) + (allowsFastWalk ? min(steadyCost, chainedCost) : generalCost)
    }
    private(set) var usesDefaultLeft = false
    private(set) var includesInfinity = false
    private(set) var excludesInfinity = false
    private var isPlain = true

    init(featureCount: Int, tables: TreeTables<Value>, groups: Int) {
        self.featureCount = featureCount
        self.tables = tables
        self.groups = groups
        if !tables.vectors.isEmpty || !tables.linear.isEmpty || FastTrees<Value>.width(featureCount) == nil {
            isPlain = false
        }
    }

    /// The fast walk takes one of the two meanings of an infinite threshold.
    var allowsFastWalk: Bool { isPlain && !(includesInfinity && excludesInfinity) }

    /// Appends a tree, depth first from its root. Every node is reached at most once, so a walk ends.
    mutating func add(_ tree: SourceTree<Value>, number: Int) throws(ModelFileError) {
        func failure(_ problem: String) -> ModelFileError { ModelFileError(tree.offset, "tree \(number): \(problem)") }
        let count = tree.nodes.count
        guard count > 0 else { throw failure("has no nodes") }
        guard nodes.count + count < 1 << 30 else { throw failure("the model has more than 2^30 nodes") }
        var reached = [Bool](repeating: false, count: count)
        let root = nodes.count
        var deepest: Int32 = 0
        var leaves = 0
        var leafDepths = 0
        // From the file's index to the flat one, and the depth there.
        var pending: [(from: Int32, to: Int, depth: Int32)] = [(0, root, 0)]
        nodes.append(SourceNode())
        if tree.covers.count != count, count > 1 { hasCovers = false }
        while let (from, to, depth) = pending.popLast() {
            guard from >= 0, from < count else { throw failure("child \(from) is none of its \(count) nodes") }
            guard !reached[Int(from)] else { throw failure("node \(from) is reached twice") }
            reached[Int(from)] = true
            deepest = max(deepest, depth)
            var node = tree.nodes[Int(from)]
            if let problem = problem(of: node) { throw failure("node \(from): \(problem)") }
            if node.kind != .leaf {
                let children = nodes.count
                nodes.append(SourceNode())
                nodes.append(SourceNode())
                pending.append((node.right, children + 1, depth + 1))
                pending.append((node.left, children, depth + 1))
                node.left = Int32(children)
                node.right = Int32(children + 1)
                note(node)
            } else {
                leaves += 1
                leafDepths += Int(depth)
            }
            nodes[to] = node
            if covers.count < nodes.count { covers += repeatElement(0, count: nodes.count - covers.count) }
            if tree.covers.count == count { covers[to] = tree.covers[Int(from)] }
        }
        roots.append(root)
        depths.append(deepest)
        mostLeaves = max(mostLeaves, leaves)
        meanDepths += Double(leafDepths) / Double(max(leaves, 1))
    }

    private mutating func note(_ node: SourceNode<Value>) {
        if node.missingGoesLeft { usesDefaultLeft = true }
        if node.kind != .categorical, node.value == .infinity {
            if node.includesInfinity { includesInfinity = true } else { excludesInfinity = true }
        }
        // The fast walk replaces a missing value that goes left by -inf, which is not below -inf.
        if node.kind != .numeric || node.missingGoesLeft && node.value == -.infinity { isPlain = false }
    }

    private func problem(of node: SourceNode<Value>) -> String? {
        let first = Int(node.first)
        let count = Int(node.count)
        switch node.kind {
        case .leaf:
            if !tables.vectors.isEmpty, first < 0 || (first + 1) * groups > tables.vectors.count {
                return "its vector \(first) is not in the file"
            }
            if !tables.linear.isEmpty, first < 0 || first >= tables.linear.count {
                return "its linear model is missing"
            }
            return nil
        case .numeric, .numericZeroMissing:
            if node.value.isNaN { return "its threshold is not a number" }
        case .categorical:
            if first < 0 || count < 0 || first + count > tables.categories.count { return "its categories are missing" }
        }
        guard node.feature >= 0, node.feature < featureCount else {
            return "splits on feature \(node.feature) of \(featureCount)"
        }
        return nil
    }
}

extension UnsafeMutableBufferPointer {
    /// Memory of its own for the elements, to be deallocated by whom it is for.
    init(copying elements: [Element]) {
        self = .allocate(capacity: elements.count)
        _ = initialize(from: elements)
    }
}
