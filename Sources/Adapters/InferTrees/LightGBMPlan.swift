/// How LightGBM turns sums into answers.
enum LightGBMLink: Equatable {
    case identity
    /// `sign(x) * x * x`: the model was trained on square roots.
    case square
    case exponential
    case sigmoid(Double)
    case softmax
    case logOnePlusExponential

    /// By the header's line, such as `binary sigmoid:1`; `nil` if the objective is not known. No line means raw sums.
    init?(objective: String?) {
        let words = (objective ?? "").split(separator: " ").map(String.init)
        func number(_ name: String) -> Double? {
            words.first { $0.hasPrefix(name + ":") }.flatMap { Double($0.dropFirst(name.count + 1)) }
        }
        switch words.first ?? "none" {
        case "regression", "regression_l2", "regression_l1", "huber", "fair", "quantile", "mape":
            self = words.contains("sqrt") ? .square : .identity
        case "none", "custom", "lambdarank", "rank_xendcg": self = .identity
        case "poisson", "gamma", "tweedie": self = .exponential
        case "binary", "multiclassova":
            guard let steepness = number("sigmoid"), steepness > 0 else { return nil }
            self = .sigmoid(steepness)
        case "cross_entropy", "xentropy": self = .sigmoid(1)
        case "cross_entropy_lambda", "xentlambda": self = .logOnePlusExponential
        case "multiclass": self = .softmax
        default: return nil
        }
    }

    /// Whether an answer lies between 0 and 1 by its meaning.
    var givesProbability: Bool {
        switch self {
        case .sigmoid, .softmax: true
        case .identity, .square, .exponential, .logOnePlusExponential: false
        }
    }
}

/// Turns a file's lines into trees, every length and index checked.
struct LightGBMPlan {
    let featureCount: Int
    let groups: Int
    let link: LightGBMLink
    let featureNames: [String]
    private(set) var tables = TreeTables<Double>()
    private let usesLinearLeaves: Bool

    init(_ file: LightGBMFile) throws(ModelFileError) {
        func number(_ name: String, _ allowed: ClosedRange<Int>) throws(ModelFileError) -> Int {
            guard let text = file.header[name] else { throw ModelFileError(0, "the header has no \(name)") }
            guard let value = Int(text), allowed.contains(value) else {
                throw ModelFileError(0, "the header's \(name) is \(text.prefix(30)), not in \(allowed)")
            }
            return value
        }
        featureCount = try number("max_feature_idx", 0...(1 << 24 - 1)) + 1
        groups = try number("num_tree_per_iteration", 1...(1 << 16))
        guard let link = LightGBMLink(objective: file.header["objective"]) else {
            throw .unsupported(0, "objective \(file.header["objective"] ?? "")")
        }
        self.link = link
        featureNames = (file.header["feature_names"] ?? "").split(separator: " ").map(String.init)
        usesLinearLeaves = file.trees.contains { $0.isLinear }
        if let sizes = file.header["tree_sizes"]?.split(separator: " ").count, sizes != file.trees.count {
            throw ModelFileError(0, "tree_sizes has \(sizes) entries for \(file.trees.count) trees")
        }
        guard file.trees.count % groups == 0 else {
            throw ModelFileError(0, "\(file.trees.count) trees are no multiple of num_tree_per_iteration \(groups)")
        }
    }

    mutating func trees(of file: LightGBMFile) throws(ModelFileError) -> [SourceTree<Double>] {
        var result: [SourceTree<Double>] = []
        for (index, tree) in file.trees.enumerated() {
            var converted = try convert(tree, number: index)
            converted.group = index % groups
            result.append(converted)
        }
        return result
    }

    /// Splits keep their numbers, leaf `n` becomes node `splits + n`.
    private mutating func convert(_ tree: LightGBMTree, number: Int) throws(ModelFileError) -> SourceTree<Double> {
        func failure(_ problem: String) -> ModelFileError { ModelFileError(tree.offset, "tree \(number): \(problem)") }
        guard tree.leafCount >= 1, tree.leafValues.count == tree.leafCount else {
            throw failure("leaf_value has \(tree.leafValues.count) entries for \(tree.leafCount) leaves")
        }
        let splits = tree.leafCount - 1
        for (name, length) in [
            ("split_feature", tree.features.count), ("threshold", tree.thresholds.count),
            ("decision_type", tree.decisions.count), ("left_child", tree.left.count),
            ("right_child", tree.right.count),
        ] where length != splits && !(splits == 0 && length <= 1) {
            throw failure("\(name) has \(length) entries for \(splits) splits")
        }
        let categories = try addCategories(tree, failure)
        var result = SourceTree<Double>(nodes: [], group: 0, offset: tree.offset)
        result.nodes.reserveCapacity(splits + tree.leafCount)
        for index in 0..<splits {
            var node = try split(tree, index, categories, failure)
            node.left = tree.left[index] < 0 ? Int32(splits) &+ ~tree.left[index] : tree.left[index]
            node.right = tree.right[index] < 0 ? Int32(splits) &+ ~tree.right[index] : tree.right[index]
            result.nodes.append(node)
        }
        let linear = try addLinear(tree, failure)
        for leaf in 0..<tree.leafCount {
            var node = SourceNode<Double>()
            node.value = tree.leafValues[leaf]
            node.first = Int32(linear + leaf)
            result.nodes.append(node)
        }
        if tree.splitCounts.count == splits, tree.leafCounts.count == tree.leafCount {
            result.covers = tree.splitCounts + tree.leafCounts
        }
        // A tree of one leaf has its root there.
        return result
    }

    private func split(
        _ tree: LightGBMTree, _ index: Int, _ categories: [(first: Int32, count: Int32)],
        _ failure: (String) -> ModelFileError
    ) throws(ModelFileError) -> SourceNode<Double> {
        let decision = tree.decisions[index]
        let threshold = tree.thresholds[index]
        guard !threshold.isNaN else { throw failure("node \(index): its threshold is not a number") }
        guard decision >= 0, decision < 12 else { throw failure("node \(index): decision_type \(decision) is unknown") }
        var node = SourceNode<Double>()
        node.feature = tree.features[index]
        if decision & 1 != 0 {
            guard let set = Int(exactly: threshold), set >= 0, set < categories.count else {
                throw failure("node \(index): category set \(threshold) is not in the file")
            }
            node.kind = .categorical
            node.membersGoLeft = true
            node.truncatesNegative = true
            (node.first, node.count) = categories[set]
            return node
        }
        node.kind = .numeric
        node.value = Self.exclusive(threshold)
        node.includesInfinity = threshold == .infinity
        switch decision >> 2 {
        case 0: node.missingGoesLeft = 0 <= threshold
        case 1:
            node.kind = .numericZeroMissing
            node.missingGoesLeft = decision & 2 != 0
        default: node.missingGoesLeft = decision & 2 != 0
        }
        return node
    }

    /// The bound below which a value goes left, where the library asks for `value <= threshold` after setting
    /// everything within 1e-35 of zero to zero.
    static func exclusive(_ threshold: Double) -> Double {
        if threshold >= 0, threshold < lightGBMZero { return lightGBMZero.nextUp }
        if threshold < 0, threshold >= -lightGBMZero { return -lightGBMZero }
        return threshold.nextUp
    }

    private mutating func addCategories(
        _ tree: LightGBMTree, _ failure: (String) -> ModelFileError
    ) throws(ModelFileError) -> [(first: Int32, count: Int32)] {
        let boundaries = tree.categoryBoundaries
        guard boundaries.count > 1 else { return [] }
        let base = tables.categories.count
        var result: [(first: Int32, count: Int32)] = []
        for index in 1..<boundaries.count {
            let (from, to) = (boundaries[index - 1], boundaries[index])
            guard from >= 0, from <= to, to <= tree.categoryWords.count else {
                throw failure("cat_boundaries \(from) to \(to) do not fit cat_threshold's \(tree.categoryWords.count)")
            }
            result.append((Int32(base) + from, to - from))
        }
        tables.categories.append(contentsOf: tree.categoryWords)
        return result
    }

    /// The place of the tree's first leaf among the linear models.
    private mutating func addLinear(
        _ tree: LightGBMTree, _ failure: (String) -> ModelFileError
    ) throws(ModelFileError) -> Int {
        guard usesLinearLeaves else { return 0 }
        let base = tables.linear.count
        guard tree.isLinear else {
            for value in tree.leafValues {
                tables.linear.append(LinearLeaf(constant: value, fallback: value, first: 0, count: 0))
            }
            return base
        }
        guard tree.leafConstants.count == tree.leafCount, tree.termCounts.count == tree.leafCount,
            tree.termFeatures.count == tree.termCoefficients.count
        else { throw failure("its linear leaves are not whole") }
        var used = 0
        let terms = tables.linearTerms.count
        for leaf in 0..<tree.leafCount {
            let count = Int(tree.termCounts[leaf])
            guard count >= 0, used + count <= tree.termFeatures.count else {
                throw failure("leaf \(leaf): its linear model is not whole")
            }
            tables.linear.append(
                LinearLeaf(
                    constant: tree.leafConstants[leaf], fallback: tree.leafValues[leaf], first: terms + used,
                    count: count))
            used += count
        }
        for (feature, coefficient) in zip(tree.termFeatures, tree.termCoefficients) {
            guard feature >= 0, feature < featureCount else {
                throw failure("a linear leaf uses feature \(feature) of \(featureCount)")
            }
            tables.linearTerms.append(LinearTerm(feature: Int(feature), coefficient: coefficient))
        }
        return base
    }
}
