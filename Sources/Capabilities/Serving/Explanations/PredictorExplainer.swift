public import AerieCore
public import AerieData
public import Explain
import Synchronization

/// What explains a predictor's answers: made when somebody asks for the first time, and kept.
///
/// A deployment that names no explainer has TreeShap by the covers where its model is a tree ensemble. Any thread; the
/// first that asks makes the explainer, and others wait for it.
public final class PredictorExplainer: Sendable {
    private let model: any InferenceModel
    private let settings: ExplainerSettings?
    private let background: Table?
    /// Another text whenever the background's content is another.
    private let backgroundIdentity: String
    private let problem: AerieError?
    private let made = Mutex<Explainer?>(nil)
    /// Of a graph, by the way through it.
    private let ways = Mutex<[[String: Int]: Explainer]>([:])
    private static let mostWays = 64

    /// - Parameter background: the rows that the settings name, read.
    /// - Parameter problem: why the deployment's explainer cannot be; thrown at those who ask.
    public init(
        _ model: any InferenceModel, settings: ExplainerSettings? = nil, background: Table? = nil,
        backgroundIdentity: String = "", problem: AerieError? = nil
    ) {
        self.model = model
        self.settings = settings
        self.background = background
        self.backgroundIdentity = backgroundIdentity
        self.problem = problem
    }

    /// Blocks while the explainer is made: never on an event loop.
    /// - Throws: `failedPrecondition` where the deployment names no explainer and its model needs one; `unsupported`
    ///   for a model of something else than rows; what the methods throw.
    private func explainer() throws(AerieError) -> Explainer {
        if let problem { throw problem }
        let result: Result<Explainer, AerieError> = made.withLock { made in
            if let made { return .success(made) }
            let result = Result { () throws(AerieError) in try make() }
            if case .success(let explainer) = result { made = explainer }
            return result
        }
        return try result.get()
    }

    private func make() throws(AerieError) -> Explainer {
        let trees = model.decisionTrees
        guard settings != nil || trees != nil else {
            throw AerieError(
                .failedPrecondition, "the deployment names no explainer, and its model is no tree ensemble; give it "
                    + "explainer: {type: KernelShap, modelUri: BACKGROUND.csv}", reason: "explain.none")
        }
        let rows = try ServedRowModel(model)
        return try Explainer(
            settings ?? ExplainerSettings(.treeShap), model: rows, trees: trees, featureNames: rows.featureNames,
            isClassifier: model.description.isProbability == true, background: background)
    }

    /// A request's rows in the model's columns.
    /// - Throws: `invalidArgument` naming what does not fit.
    private func rows(_ message: GraphMessage) throws(AerieError) -> Table {
        let explainer = try explainer()
        let rows = try NumberRows(message, width: explainer.featureCount)
        let ordered = try ModelInputs.ordered(rows, explainer.featureNames)
        guard ordered.columns == explainer.featureCount else {
            throw .invalid(
                "data", "the rows have \(ordered.columns) columns, the model takes \(explainer.featureCount)")
        }
        return Table(columnCount: ordered.columns, values: ordered.values)
    }

    /// Explains a request's rows. Blocks.
    /// - Parameter interactions: of columns, which TreeShap alone tells.
    public func explain(
        _ message: GraphMessage, interactions: Bool, interest: Interest
    ) throws(AerieError) -> Explanation {
        if let graph = model as? GraphModel {
            return try explain(graph, message, interactions: interactions, interest: interest)
        }
        return try explainer().explain(try rows(message), interactions: interactions) { interest.hasEnded }
    }

    // MARK: Graphs

    /// Explains the way that the rows themselves go: what routers would do with others is not part of the answer.
    private func explain(
        _ graph: GraphModel, _ message: GraphMessage, interactions: Bool, interest: Interest
    ) throws(AerieError) -> Explanation {
        if let problem { throw problem }
        let names = graph.description.featureNames
        let width = names.isEmpty ? graph.description.inputs.first?.shape.dropFirst().last ?? -1 : names.count
        let given = try NumberRows(message, width: width > 0 ? width : nil)
        let ordered = try ModelInputs.ordered(given.columns(named: names), names)
        guard ordered.columns > 0, width < 0 || ordered.columns == width else {
            throw .invalid("data", "the rows have \(ordered.columns) columns, the model takes \(width)")
        }
        let rows = Table(columnCount: ordered.columns, values: ordered.values)
        let way = try graph.ask(ordered.message(replacing: message), way: [:]).meta.routing.filter { $0.value >= 0 }
        let trees = GraphTrees(graph, way: way)
        let explainer = try explainer(graph, way, trees)
        guard explainer.method == .treeShap, let trees else {
            return try explainer.explain(rows, interactions: interactions) { interest.hasEnded }
        }
        return try explainer.explain(
            try trees.transformed(rows, names: ordered.names), shown: rows, interactions: interactions
        ) { interest.hasEnded }
    }

    private func explainer(
        _ graph: GraphModel, _ way: [String: Int], _ trees: GraphTrees?
    ) throws(AerieError) -> Explainer {
        if let known = ways.withLock({ $0[way] }) { return known }
        let settings = settings ?? ExplainerSettings(.treeShap)
        let explainer: Explainer
        if settings.method == .treeShap {
            guard let trees else {
                throw AerieError(
                    .unsupported, "the graph's answer is not that of one tree model behind transformers, which TreeShap "
                        + "explains; give the predictor explainer: {type: KernelShap, modelUri: BACKGROUND.csv}, or LIME",
                    reason: "explain.graph")
            }
            let names = graph.description.featureNames
            var behind: Table?
            if let background { behind = try trees.transformed(background, names: names) }
            let rows = try ServedRowModel(trees.model)
            explainer = try Explainer(
                settings, model: rows, trees: trees.trees, featureNames: rows.featureNames,
                isClassifier: trees.model.description.isProbability == true, background: behind)
        } else {
            let rows = try GraphRowModel(graph, way: way)
            explainer = try Explainer(
                settings, model: rows, trees: nil, featureNames: rows.featureNames, isClassifier: false,
                background: background)
        }
        ways.withLock { ways in
            if ways.count >= Self.mostWays { ways = [:] }
            ways[way] = explainer
        }
        return explainer
    }

    /// A file of rows as a background.
    public static func background(_ path: String, columns: [String]) throws(AerieError) -> Table {
        let rows = try ReferenceTable.read(path, columns: columns, allowsMissing: true)
        return Table(columnCount: max(1, rows.columns), values: rows.values)
    }

    /// Whether nobody could tell the two apart.
    func isSame(as other: PredictorExplainer) -> Bool {
        model === other.model && settings == other.settings && backgroundIdentity == other.backgroundIdentity
            && problem?.message == other.problem?.message
    }
}

extension Explanation {
    /// The output `explanation` of an Open Inference Protocol answer: the JSON as its one element.
    public static func tensor(_ json: String) -> Tensor { Tensor(name: "explanation", shape: [1, 1], texts: [json]) }
}
