/// What an XGBoost model file holds, as far as predicting needs it; not yet checked for consistency.
struct XGBoostFile {
    var attributes: [String: String] = [:]
    var featureNames: [String] = []
    /// `learner_model_param` and the objective's parameters, by name.
    var parameters: [String: String] = [:]
    var objective = ""
    var booster = ""
    var boosterParameters: [String: String] = [:]
    var treeGroups: [Int32] = []
    /// Where each boosting round's trees begin; absent in old files.
    var roundStarts: [Int32] = []
    /// DART's weight of each tree; empty for other boosters.
    var treeWeights: [Float] = []
    var trees: [XGBoostTree] = []
    /// Where the objective stands.
    var objectiveOffset = 0
    var boosterOffset = 0
}

/// One tree's arrays as they are written.
struct XGBoostTree {
    var offset = 0
    var left: [Int32] = []
    var right: [Int32] = []
    var features: [Int32] = []
    var values: [Float] = []
    var defaultLeft: [Int32] = []
    /// The weight of the training rows that came by each node; empty where the file does not tell.
    var hessians: [Float] = []
    var splitTypes: [Int32] = []
    var categories: [Int32] = []
    var categoryNodes: [Int32] = []
    var categorySegments: [Int32] = []
    var categorySizes: [Int32] = []
    var baseWeights: [Float] = []
    var leafWeights: [Float] = []
    var parameters: [String: String] = [:]
}

/// Reads an XGBoost model in either encoding. Keys may come in any order, and unknown ones are
/// skipped, as the library does.
struct XGBoostFileReader<Document: ModelDocument> {
    private var document: Document
    private var file = XGBoostFile()

    init(_ document: Document) { self.document = document }

    mutating func read() throws(ModelFileError) -> XGBoostFile {
        var sawLearner = false
        try document.beginObject()
        while let key = try document.nextKey() {
            if key == "learner" {
                sawLearner = true
                try readLearner()
            } else {
                try document.skipValue()
            }
        }
        try document.end()
        guard sawLearner else { throw ModelFileError(0, "has no \"learner\": this is no XGBoost model") }
        return file
    }

    private mutating func readLearner() throws(ModelFileError) {
        try document.beginObject()
        while let key = try document.nextKey() {
            switch key {
            case "attributes": file.attributes = try readTexts()
            case "feature_names": file.featureNames = try readNames()
            case "gradient_booster":
                file.boosterOffset = document.offset
                try readBooster()
            case "learner_model_param": file.parameters.merge(try readTexts()) { $1 }
            case "objective":
                file.objectiveOffset = document.offset
                try readObjective()
            default: try document.skipValue()
            }
        }
    }

    private mutating func readObjective() throws(ModelFileError) {
        try document.beginObject()
        while let key = try document.nextKey() {
            if key == "name" { file.objective = try document.readString() } else { try document.skipValue() }
        }
    }

    /// `gbtree` holds its model directly, `dart` inside a `gbtree` of its own.
    private mutating func readBooster(depth: Int = 0) throws(ModelFileError) {
        guard depth < 2 else { throw ModelFileError(document.offset, "boosters are nested too deep") }
        var name = ""
        try document.beginObject()
        while let key = try document.nextKey() {
            switch key {
            case "name": name = try document.readString()
            case "model": try readModel()
            case "gbtree": try readBooster(depth: depth + 1)
            case "weight_drop": file.treeWeights = try document.readFloats()
            default: try document.skipValue()
            }
        }
        file.booster = name
    }

    private mutating func readModel() throws(ModelFileError) {
        try document.beginObject()
        while let key = try document.nextKey() {
            switch key {
            case "gbtree_model_param": file.boosterParameters = try readTexts()
            case "iteration_indptr": file.roundStarts = try document.readInts()
            case "tree_info": file.treeGroups = try document.readInts()
            case "trees":
                try document.beginArray()
                while try document.nextElement() { file.trees.append(try readTree()) }
            default: try document.skipValue()
            }
        }
    }

    private mutating func readTree() throws(ModelFileError) -> XGBoostTree {
        var tree = XGBoostTree()
        tree.offset = document.offset
        try document.beginObject()
        while let key = try document.nextKey() {
            switch key {
            case "left_children": tree.left = try document.readInts()
            case "right_children": tree.right = try document.readInts()
            case "split_indices": tree.features = try document.readInts()
            case "split_conditions": tree.values = try document.readFloats()
            case "sum_hessian": tree.hessians = try document.readFloats()
            case "default_left": tree.defaultLeft = try document.readInts()
            case "split_type": tree.splitTypes = try document.readInts()
            case "categories": tree.categories = try document.readInts()
            case "categories_nodes": tree.categoryNodes = try document.readInts()
            case "categories_segments": tree.categorySegments = try document.readInts()
            case "categories_sizes": tree.categorySizes = try document.readInts()
            case "base_weights": tree.baseWeights = try document.readFloats()
            case "leaf_weights": tree.leafWeights = try document.readFloats()
            case "tree_param": tree.parameters = try readTexts()
            default: try document.skipValue()
            }
        }
        // Only trees with vectors in their leaves need these, and they are as large as all the rest.
        if (Int(tree.parameters["size_leaf_vector"] ?? "") ?? 0) < 2 { tree.baseWeights = [] }
        return tree
    }

    private mutating func readTexts() throws(ModelFileError) -> [String: String] {
        var result: [String: String] = [:]
        try document.beginObject()
        while let key = try document.nextKey() {
            if try document.nextIsString() {
                result[key] = try document.readString()
            } else {
                try document.skipValue()
            }
        }
        return result
    }

    private mutating func readNames() throws(ModelFileError) -> [String] {
        var result: [String] = []
        try document.beginArray()
        while try document.nextElement() { result.append(try document.readString()) }
        return result
    }
}
