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
    ///   for a graph of several nodes or a model of something else than rows; what the methods throw.
    public func explainer() throws(AerieError) -> Explainer {
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
        if model is GraphModel {
            throw AerieError(
                .unsupported, "the predictor is a graph of several nodes; explain a predictor of one model",
                reason: "explain.graph")
        }
        let trees = (model as? any DecisionTrees) ?? (model as? NamedTabularModel)?.trees
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
    public func rows(_ message: GraphMessage) throws(AerieError) -> Table {
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
        try explainer().explain(try rows(message), interactions: interactions) { interest.hasEnded }
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
