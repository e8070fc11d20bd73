public import AerieCore

/// A deployed model with the method that explains it: what the data plane, the console and the command line ask.
///
/// Immutable; any thread may explain at once. Blocks, for milliseconds with TreeShap and up to seconds otherwise: never
/// on an event loop.
public final class Explainer: Sendable {
    private enum Engine: Sendable {
        case trees(TreeShap)
        case kernel(KernelShap)
        case lime(Lime)
    }

    private let engine: Engine
    public let method: ExplainerSettings.Method
    public let featureNames: [String]
    /// Whether the model answers probabilities, and so decides between classes.
    public let isClassifier: Bool
    public let settings: ExplainerSettings
    private let model: any RowModel

    /// Numbers in one answer, and predictions for it, at most.
    static let maximumNumbers = 1 << 22
    static let maximumPredictions = 50_000_000
    static let maximumSampledColumns = 512

    /// - Parameters:
    ///   - trees: the model's trees, if it has any.
    ///   - featureNames: empty where nobody names the columns; they are called `f0`, `f1`, … then.
    ///   - background: the rows that the settings name.
    /// - Throws: `failedPrecondition` for TreeShap of a model that is no tree ensemble, or without what the method
    ///   needs; what the methods throw.
    public init(
        _ settings: ExplainerSettings, model: any RowModel, trees: (any DecisionTrees)?, featureNames: [String],
        isClassifier: Bool, background: Table?
    ) throws(AerieError) {
        self.settings = settings
        self.model = model
        self.isClassifier = isClassifier
        method = settings.method
        let columns = model.featureCount
        let names = featureNames.count == columns ? featureNames : (0..<columns).map { "f\($0)" }
        self.featureNames = names
        let background = background?.prefix(settings.backgroundRows)
        if settings.method == .treeShap {
            guard let trees else {
                throw AerieError(
                    .failedPrecondition, "TreeShap explains tree ensembles (XGBoost, LightGBM), and the model is none; "
                        + "use KernelShap or LIME", reason: "explain.trees")
            }
            engine = .trees(try TreeShap(trees, background: background))
            return
        }
        guard columns <= Self.maximumSampledColumns else {
            throw AerieError(
                .unsupported, "\(columns) columns are more than the \(Self.maximumSampledColumns) that "
                    + "\(method.rawValue) samples", reason: "explain.columns")
        }
        guard let background else {
            throw AerieError(.failedPrecondition, "\(method.rawValue) needs background rows", reason: "explain.background")
        }
        if settings.method == .kernelShap {
            engine = .kernel(
                try KernelShap(
                    model, background: background, link: settings.link, samples: settings.samples, seed: settings.seed))
        } else {
            let unknown = settings.categorical.filter { !names.contains($0) }
            if let first = unknown.first { throw .invalid("categorical_features", "\(first) is no column of the model") }
            engine = .lime(
                try Lime(
                    model, background: background,
                    categorical: Set(settings.categorical.compactMap { names.firstIndex(of: $0) }),
                    samples: settings.samples ?? 5000, width: settings.kernelWidth, kept: settings.keptColumns,
                    seed: settings.seed))
        }
    }

    public var featureCount: Int { featureNames.count }

    /// - Parameters:
    ///   - shown: the rows as their sender knows them, where the model sees what was made of each column.
    ///   - interactions: of columns, which TreeShap alone tells.
    /// - Throws: `resourceExhausted` for more rows, numbers or predictions than one request may ask for; `cancelled`.
    public func explain(
        _ rows: Table, shown: Table? = nil, interactions: Bool = false, isCancelled: () -> Bool = { false }
    ) throws(AerieError) -> Explanation {
        try check(rows, interactions: interactions)
        var fits: [Lime.Fit] = []
        let attribution: Attribution
        var labels: [[String]] = []
        switch engine {
        case .trees(let shap):
            attribution = try shap.explain(rows, interactions: interactions, isCancelled: isCancelled)
        case .kernel(let shap): attribution = try shap.explain(rows, isCancelled: isCancelled)
        case .lime(let lime):
            (attribution, fits) = try lime.explain(rows, isCancelled: isCancelled)
            labels = (0..<rows.rowCount).map { lime.labels(rows.row($0), names: featureNames) }
        }
        return Explanation(
            settings: settings, featureNames: featureNames, isClassifier: isClassifier, rows: shown ?? rows,
            attribution: attribution, predictions: try model.answers(rows), fits: fits, labels: labels)
    }

    private func check(_ rows: Table, interactions: Bool) throws(AerieError) {
        guard rows.rowCount > 0 else { throw .invalid("rows", "there is no row to explain") }
        guard rows.rowCount <= ExplainerSettings.maximumRows else {
            throw AerieError(
                .resourceExhausted, "\(rows.rowCount) rows are more than the \(ExplainerSettings.maximumRows) that one "
                    + "request explains; send fewer", reason: "explain.rows")
        }
        guard rows.columnCount == featureCount else {
            throw .invalid("rows", "have \(rows.columnCount) columns, the model takes \(featureCount)")
        }
        let (outputs, predictions): (Int, Int) =
            switch engine {
            case .trees(let shap): (shap.outputCount, 0)
            case .kernel(let shap): (shap.outputCount, shap.predictionsPerRow)
            case .lime(let lime): (lime.outputCount, lime.predictionsPerRow)
            }
        if interactions, predictions > 0 {
            throw .invalid("interactions", "are told by TreeShap alone, not by \(method.rawValue)")
        }
        let numbers = Double(rows.rowCount * outputs * featureCount) * Double(interactions ? featureCount : 1)
        guard numbers <= Double(Self.maximumNumbers) else {
            throw AerieError(
                .resourceExhausted, "\(rows.rowCount) rows, \(outputs) outputs and \(featureCount) columns"
                    + "\(interactions ? " squared" : "") are more than the \(Self.maximumNumbers) numbers of one "
                    + "explanation; send fewer rows", reason: "explain.numbers")
        }
        guard rows.rowCount * predictions <= Self.maximumPredictions else {
            throw AerieError(
                .resourceExhausted, "\(rows.rowCount) rows take \(rows.rowCount * predictions) predictions, more than "
                    + "the \(Self.maximumPredictions) of one request; send fewer rows, or lower nsamples or "
                    + "background_rows", reason: "explain.predictions")
        }
    }
}
