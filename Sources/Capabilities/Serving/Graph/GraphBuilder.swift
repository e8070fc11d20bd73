import AerieCore
import AerieData

/// Makes the nodes of a graph from what the deployment writes and from what has been loaded for it.
struct GraphBuilder {
    /// Loaded models and the versions they are, by node.
    var models: [String: (model: any InferenceModel, version: String)] = [:]
    var references: [String: NumberRows] = [:]
    var bandits: [String: BanditRouter] = [:]
    /// The metrics slot of a node with a version of its model.
    var slot: (_ node: String, _ version: String) -> Int = { _, _ in -1 }

    /// - Throws: `failedPrecondition` or `invalidArgument` naming the node.
    func node(_ spec: GraphSpec, isFirst: Bool = true) throws(AerieError) -> GraphNode {
        var children: [GraphNode] = []
        for child in spec.children { children.append(try node(child, isFirst: false)) }
        do throws(AerieError) {
            let unit = try unit(spec)
            let version = models[spec.name]?.version ?? ""
            if spec.role == .router { try Self.checkAlike(children) }
            return GraphNode(
                name: spec.name, image: spec.modelURI.isEmpty ? spec.method?.rawValue ?? "" : spec.modelURI,
                version: version, unit: unit, children: children, slot: slot(spec.name, version),
                logger: isFirst ? nil : spec.logger)
        } catch {
            var error = error
            error.message = "graph node \(spec.name): \(error.message)"
            throw error
        }
    }

    private func unit(_ spec: GraphSpec) throws(AerieError) -> GraphNode.Unit {
        switch spec.role {
        case .model:
            if spec.method == .simpleModel { return .fixed(SimpleModel()) }
            let model = try loaded(spec)
            return .model(model, ModelInputs(model))
        case .router:
            if let bandit = bandits[spec.name] { return .router(bandit) }
            return .router(try Self.router(spec))
        case .combiner:
            if spec.method == .stacking { return .combiner(StackingCombiner(try loaded(spec))) }
            return .combiner(try Self.combiner(spec))
        case .transformer, .outputTransformer:
            guard let transformer = try Self.transformer(spec, reference: references[spec.name]) else {
                throw AerieError(.internal, "the reference is not loaded")
            }
            return spec.role == .transformer ? .input(transformer) : .output(transformer)
        }
    }

    private func loaded(_ spec: GraphSpec) throws(AerieError) -> any InferenceModel {
        guard let model = models[spec.name]?.model else { throw AerieError(.internal, "the model is not loaded") }
        return model
    }

    /// Requests see one description, whichever child answers.
    private static func checkAlike(_ children: [GraphNode]) throws(AerieError) {
        guard let first = children.first else { return }
        for child in children where child.outputs.count != first.outputs.count {
            throw AerieError(
                .failedPrecondition,
                "its child \(child.name) gives \(child.outputs.count) outputs, but \(first.name) \(first.outputs.count)")
        }
    }

    // MARK: Nodes without a model

    /// - Throws: `invalidArgument` for parameters that do not fit.
    static func router(_ spec: GraphSpec) throws(AerieError) -> any GraphRouter {
        let parameters = spec.parameters
        switch spec.method {
        case .randomABTest:
            guard spec.children.count == 2 else {
                throw .invalid("children", "RANDOM_ABTEST chooses between two children, not \(spec.children.count)")
            }
            return RandomABTest(ratioA: try parameters.number("ratioA", or: 0.5, in: 0...1), seed: try parameters.seed())
        case .hash:
            guard let column = parameters["column"], !column.isEmpty else {
                throw .invalid("parameters.column", "is required: the column whose value decides")
            }
            return HashRouter(column: column)
        default: return FirstChildRouter()
        }
    }

    static func combiner(_ spec: GraphSpec) throws(AerieError) -> any GraphCombiner {
        let parameters = spec.parameters
        switch spec.method {
        case .weighted:
            guard let weights = try parameters.numbers("weights") else {
                throw .invalid("parameters.weights", "is required: a number for each child, between commas")
            }
            return try MeanCombiner(weights: weights, children: spec.children.count)
        case .vote:
            return try VoteCombiner(
                threshold: try parameters.number("threshold", or: 0.5, in: 0...1),
                weights: try parameters.numbers("weights"), children: spec.children.count)
        default: return try MeanCombiner(children: spec.children.count)
        }
    }

    /// - Returns: `nil` where a reference is named and not given.
    static func transformer(
        _ spec: GraphSpec, reference: NumberRows?
    ) throws(AerieError) -> (any GraphTransformer)? {
        let parameters = spec.parameters
        let columns = try parameters.words("columns") ?? []
        switch spec.method {
        case .select:
            guard !columns.isEmpty else { throw .invalid("parameters.columns", "is required: names between commas") }
            return ColumnSelector(columns: columns)
        case .clip:
            return try Clipper(
                lower: try parameters.numbers("lower") ?? [-.infinity],
                upper: try parameters.numbers("upper") ?? [.infinity])
        default: break
        }
        let isReferred = parameters["reference"] != nil
        if isReferred, reference == nil { return nil }
        switch spec.method {
        case .standardize:
            let (mean, deviation) = try moments(parameters, reference)
            return try Standardizer(columns: reference?.names ?? columns, mean: mean, deviation: deviation)
        case .outlierZScore:
            let (mean, deviation) = try moments(parameters, reference)
            // The same checks as a scaler's.
            _ = try Standardizer(columns: reference?.names ?? columns, mean: mean, deviation: deviation)
            return OutlierDetector(
                columns: reference?.names ?? columns, measure: .zScore(mean: mean, deviation: deviation),
                threshold: try parameters.number("threshold", or: 3, in: 0...1e9))
        case .outlierMahalanobis:
            guard let reference else { throw .invalid("parameters.reference", "is required: a CSV file of usual rows") }
            return OutlierDetector(
                columns: reference.names, measure: .mahalanobis(try Mahalanobis(reference)),
                threshold: try parameters.number("threshold", or: 4, in: 0...1e9))
        case .outlierQuantile: return try quantiles(parameters, reference, columns)
        default: throw .invalid("parameters.\(NodeMethod.parameter)", "is required")
        }
    }

    private static func moments(
        _ parameters: NodeParameters, _ reference: NumberRows?
    ) throws(AerieError) -> (mean: [Double], deviation: [Double]) {
        if let reference { return (reference.columnMeans, reference.columnDeviations) }
        guard let mean = try parameters.numbers("mean"), let deviation = try parameters.numbers("std") else {
            throw .invalid("parameters.reference", "is required: a CSV file of usual rows; or mean and std")
        }
        return (mean, deviation)
    }

    private static func quantiles(
        _ parameters: NodeParameters, _ reference: NumberRows?, _ columns: [String]
    ) throws(AerieError) -> OutlierDetector {
        var (lower, upper) = ([Double](), [Double]())
        if let reference {
            let share = try parameters.number("quantile", or: 0.001, in: 0...0.5)
            for column in 0..<reference.columns {
                lower.append(reference.quantile(share, ofColumn: column))
                upper.append(reference.quantile(1 - share, ofColumn: column))
            }
        } else if let low = try parameters.numbers("lower"), let high = try parameters.numbers("upper") {
            let clipper = try Clipper(lower: low, upper: high)
            (lower, upper) = (clipper.lower, clipper.upper)
        } else {
            throw .invalid("parameters.reference", "is required: a CSV file of usual rows; or lower and upper")
        }
        return OutlierDetector(
            columns: reference?.names ?? columns, measure: .bounds(lower: lower, upper: upper), threshold: 0)
    }
}
