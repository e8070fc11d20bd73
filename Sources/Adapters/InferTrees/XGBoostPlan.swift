#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How a sum becomes an answer.
enum XGBoostLink {
    case identity, sigmoid, exponential, sign, softmax
    /// The class with the largest sum (`multi:softmax`).
    case classNumber

    /// By the objective's name; `nil` if it is not known.
    init?(objective: String) {
        switch objective {
        case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
            "reg:quantileerror", "reg:expectileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg", "rank:map":
            self = .identity
        case "reg:logistic", "binary:logistic": self = .sigmoid
        case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft": self = .exponential
        case "binary:hinge": self = .sign
        case "multi:softprob": self = .softmax
        case "multi:softmax": self = .classNumber
        default: return nil
        }
    }

    /// Whether an answer lies between 0 and 1 by its meaning; a hinge gives one of the two.
    var givesProbability: Bool {
        switch self {
        case .sigmoid, .sign, .softmax: true
        case .identity, .exponential, .classNumber: false
        }
    }

    /// The base score is kept as an answer; sums begin with the value whose answer it is.
    func margin(of base: Float) -> Float? {
        switch self {
        case .sigmoid: base > 0 && base < 1 ? -logf(1 / base - 1) : nil
        case .exponential: base > 0 && base < .infinity ? logf(base) : nil
        default: base.isFinite ? base : nil
        }
    }
}

/// Turns a file's arrays into trees, every length and index checked.
struct XGBoostPlan {
    let featureCount: Int
    let groups: Int
    let start: [Float]
    let link: XGBoostLink
    private(set) var tables = TreeTables<Float>()
    /// Values in a leaf, the same for all trees; `nil` before the first.
    private var leafSize: Int?
    /// Outputs and features beyond these are taken for damage.
    private static let maximumGroups = 1 << 16
    private static let maximumFeatures = 1 << 24

    init(_ file: XGBoostFile) throws(ModelFileError) {
        guard file.booster == "gbtree" || file.booster == "dart" else {
            if file.booster.isEmpty { throw ModelFileError(file.boosterOffset, "the model names no booster") }
            throw .unsupported(file.boosterOffset, "booster \(file.booster)")
        }
        guard let link = XGBoostLink(objective: file.objective) else {
            if file.objective.isEmpty { throw ModelFileError(file.objectiveOffset, "the model names no objective") }
            throw .unsupported(file.objectiveOffset, "objective \(file.objective)")
        }
        self.link = link
        func parameter(_ name: String, _ allowed: ClosedRange<Int>) throws(ModelFileError) -> Int {
            guard let text = file.parameters[name] else { return 0 }
            guard let value = Int(text), allowed.contains(value) else {
                throw ModelFileError(file.objectiveOffset, "learner_model_param.\(name) is \(text), not in \(allowed)")
            }
            return value
        }
        featureCount = try parameter("num_feature", 1...Self.maximumFeatures)
        guard featureCount > 0 else { throw ModelFileError(0, "learner_model_param.num_feature is missing") }
        let classes = try parameter("num_class", 0...Self.maximumGroups)
        groups = max(classes, try parameter("num_target", 0...Self.maximumGroups), 1)
        start = try Self.start(file, link, groups)
    }

    /// `5E-1`, or since XGBoost 3.1 a list with one value for each output: `[5E-1,2E-1]`.
    private static func start(
        _ file: XGBoostFile, _ link: XGBoostLink, _ groups: Int
    ) throws(ModelFileError) -> [Float] {
        let text = file.parameters["base_score"] ?? "5E-1"
        var inner = Substring(text)
        if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
        var values: [Float] = []
        for part in inner.split(separator: ",") {
            guard let value = Float(part.filter { $0 != " " }), let margin = link.margin(of: value) else {
                throw ModelFileError(file.objectiveOffset, "base_score \(text) is impossible for \(file.objective)")
            }
            values.append(margin)
        }
        if values.count == 1 { values = [Float](repeating: values[0], count: groups) }
        guard values.count == groups else {
            throw ModelFileError(
                file.objectiveOffset, "base_score has \(values.count) values, the model \(groups) outputs")
        }
        return values
    }

    // MARK: Trees

    mutating func trees(of file: XGBoostFile) throws(ModelFileError) -> [SourceTree<Float>] {
        let count = file.trees.count
        guard file.treeGroups.count == count else {
            throw ModelFileError(
                file.boosterOffset, "tree_info has \(file.treeGroups.count) entries for \(count) trees")
        }
        if file.booster == "dart", file.treeWeights.count != count {
            throw ModelFileError(
                file.boosterOffset, "weight_drop has \(file.treeWeights.count) entries for \(count) trees")
        }
        var result: [SourceTree<Float>] = []
        for index in 0..<(try usedTrees(file)) {
            var tree = try convert(file.trees[index], number: index)
            tree.group = Int(file.treeGroups[index])
            if file.booster == "dart" {
                let weight = file.treeWeights[index]
                for node in tree.nodes.indices where tree.nodes[node].kind == .leaf { tree.nodes[node].value *= weight }
            }
            result.append(tree)
        }
        if !tables.vectors.isEmpty, file.booster == "dart" {
            throw .unsupported(file.boosterOffset, "dart with vectors in leaves")
        }
        return result
    }

    /// Only scikit-learn's wrapper stops at the best iteration by itself, and it leaves its mark in the file.
    private func usedTrees(_ file: XGBoostFile) throws(ModelFileError) -> Int {
        let count = file.trees.count
        guard file.attributes["scikit_learn"] != nil, let text = file.attributes["best_iteration"] else { return count }
        guard let best = Int(text), best >= 0, best < 1 << 30 else {
            throw ModelFileError(0, "attribute best_iteration is \(text), a whole number was expected")
        }
        if !file.roundStarts.isEmpty {
            guard best + 1 < file.roundStarts.count else { return count }
            return min(max(Int(file.roundStarts[best + 1]), 0), count)
        }
        let parallel = Int(file.boosterParameters["num_parallel_tree"] ?? "") ?? 1
        let (trees, overflow) = (best + 1).multipliedReportingOverflow(by: max(parallel, 1))
        let (all, overflow2) = trees.multipliedReportingOverflow(by: groups)
        return overflow || overflow2 ? count : min(all, count)
    }

    private mutating func convert(_ tree: XGBoostTree, number: Int) throws(ModelFileError) -> SourceTree<Float> {
        func failure(_ problem: String) -> ModelFileError { ModelFileError(tree.offset, "tree \(number): \(problem)") }
        let count = tree.left.count
        guard count > 0 else { throw failure("has no nodes") }
        for (name, length) in [
            ("right_children", tree.right.count), ("split_indices", tree.features.count),
            ("split_conditions", tree.values.count), ("default_left", tree.defaultLeft.count),
        ] where length != count {
            throw failure("\(name) has \(length) entries, left_children \(count)")
        }
        guard tree.splitTypes.isEmpty || tree.splitTypes.count == count else {
            throw failure("split_type has \(tree.splitTypes.count) entries, left_children \(count)")
        }
        var result = SourceTree<Float>(nodes: [], group: 0, offset: tree.offset)
        result.nodes.reserveCapacity(count)
        if tree.hessians.count == count { result.covers = tree.hessians }
        for index in 0..<count {
            var node = SourceNode<Float>()
            node.value = tree.values[index]
            if tree.left[index] != -1 {
                node.kind = .numeric
                node.feature = tree.features[index]
                node.left = tree.left[index]
                node.right = tree.right[index]
                node.missingGoesLeft = tree.defaultLeft[index] != 0
            }
            result.nodes.append(node)
        }
        try addCategories(tree, to: &result, failure)
        let size = max(Int(tree.parameters["size_leaf_vector"] ?? "") ?? 0, 1)
        guard leafSize == nil || leafSize == size else {
            throw failure("its leaves have \(size) values, those of other trees \(leafSize ?? 1)")
        }
        leafSize = size
        if size > 1 { try addVectors(tree, size: size, to: &result, failure) }
        return result
    }

    private mutating func addVectors(
        _ tree: XGBoostTree, size: Int, to result: inout SourceTree<Float>, _ failure: (String) -> ModelFileError
    ) throws(ModelFileError) {
        guard size == groups else { throw failure("its leaves have \(size) values, the model \(groups) outputs") }
        // Since XGBoost 3.1 a leaf's right child is its place among the leaves; before, the weights are by node.
        let byLeaf = !tree.leafWeights.isEmpty
        let weights = byLeaf ? tree.leafWeights : tree.baseWeights
        for index in result.nodes.indices where result.nodes[index].kind == .leaf {
            let place = byLeaf ? Int(tree.right[index]) : index
            guard place >= 0, (place + 1) * size <= weights.count else {
                throw failure("leaf \(index) has no values")
            }
            result.nodes[index].first = Int32(tables.vectors.count / size)
            tables.vectors.append(contentsOf: weights[(place * size)..<((place + 1) * size)])
        }
    }

    private mutating func addCategories(
        _ tree: XGBoostTree, to result: inout SourceTree<Float>, _ failure: (String) -> ModelFileError
    ) throws(ModelFileError) {
        let splits = tree.categoryNodes.count
        guard tree.categorySegments.count == splits, tree.categorySizes.count == splits else {
            throw failure("categories_nodes, categories_segments and categories_sizes differ in length")
        }
        for index in 0..<splits {
            let node = Int(tree.categoryNodes[index])
            let first = Int(tree.categorySegments[index])
            let count = Int(tree.categorySizes[index])
            guard node >= 0, node < result.nodes.count, result.nodes[node].kind == .numeric else {
                throw failure("categories_nodes names node \(node), which is no split")
            }
            guard first >= 0, count >= 0, first + count <= tree.categories.count else {
                throw failure("node \(node): its categories are not in the file")
            }
            let categories = tree.categories[first..<(first + count)]
            guard categories.allSatisfy({ $0 >= 0 && $0 < 1 << 24 }) else {
                throw failure("node \(node): a category is not in 0..<16777216")
            }
            result.nodes[node].kind = .categorical
            result.nodes[node].membersGoLeft = false
            guard tables.categories.count < 1 << 30 else { throw failure("the model has too many categories") }
            tables.add(categories, to: &result.nodes[node])
        }
        for (node, type) in tree.splitTypes.enumerated() where type != 0 && result.nodes[node].kind == .numeric {
            throw failure("node \(node) is categorical and has no categories")
        }
    }
}

extension TreeTables {
    /// As bits where that is no more than four times the list, so a file's one large number costs no memory.
    mutating func add(_ members: ArraySlice<Int32>, to node: inout SourceNode<Value>) {
        node.first = Int32(categories.count)
        let words = Int(members.max() ?? -1) / 32 + 1
        if members.isEmpty {
            node.count = 0
        } else if words <= 16 + 4 * members.count {
            categories.append(contentsOf: repeatElement(0, count: words))
            for member in members { categories[Int(node.first) + Int(member >> 5)] |= 1 << UInt32(member & 31) }
            node.count = Int32(words)
        } else {
            categories.append(contentsOf: members.map { UInt32($0) }.sorted())
            node.set = .sorted
            node.count = Int32(members.count)
        }
    }
}
