public import AerieCore
public import AerieJSON

/// Rows for training or validation: a dense row-major matrix of doubles, NaN where a value is missing, with labels.
public struct LabelledRows: Sendable {
    public var featureNames: [String]
    /// `rowCount * featureNames.count` values, row-major.
    public var values: [Double]
    public var labels: [Float]
    /// One weight a row; empty for equal weights.
    public var weights: [Float]
    /// Which columns hold codes of categories instead of quantities.
    public var categoricalFeatures: [Int]

    public init(
        featureNames: [String], values: [Double], labels: [Float], weights: [Float] = [],
        categoricalFeatures: [Int] = []
    ) {
        self.featureNames = featureNames
        self.values = values
        self.labels = labels
        self.weights = weights
        self.categoricalFeatures = categoricalFeatures
    }

    public var rowCount: Int { labels.count }
}

/// How to train. `parameters` are LightGBM's own, by its names; `seed` decides every random choice.
public struct BoosterOptions: Sendable {
    public var parameters: [(name: String, value: String)]
    /// At most this many trees an output.
    public var rounds: Int
    /// Stop when the validation metric has not improved for this many rounds; 0 never stops early.
    public var earlyStoppingRounds: Int
    public var seed: Int

    public init(parameters: [(name: String, value: String)], rounds: Int, earlyStoppingRounds: Int = 0, seed: Int) {
        self.parameters = parameters
        self.rounds = rounds
        self.earlyStoppingRounds = earlyStoppingRounds
        self.seed = seed
    }
}

/// One round's metrics on the validation rows, by metric name.
public struct BoosterRound: Sendable {
    public var round: Int
    public var metrics: [(name: String, value: Double)]
    public init(round: Int, metrics: [(name: String, value: Double)]) {
        self.round = round
        self.metrics = metrics
    }
}

public struct TrainedBooster: Sendable {
    /// The model in LightGBM's text format, cut to the best round.
    public var modelText: String
    public var bestRound: Int
    public var history: [BoosterRound]
    /// Total gain of each feature's splits, in the order of the feature names.
    public var featureGain: [Double]
    public init(modelText: String, bestRound: Int, history: [BoosterRound], featureGain: [Double]) {
        self.modelText = modelText
        self.bestRound = bestRound
        self.history = history
        self.featureGain = featureGain
    }
}

/// Trains gradient-boosted trees. Blocking and CPU-bound; the same input, options and seed give the same model.
/// - Throws: `invalidArgument` with the library's words for wrong parameters or data; `unavailable` if its library is
///   missing; `cancelled` if `onRound` returns false.
public protocol BoosterTrainer: Sendable {
    /// - Parameter onRound: told each round; returns false to stop the training as cancelled.
    func train(
        _ rows: LabelledRows, validation: LabelledRows?, options: BoosterOptions, onRound: (BoosterRound) -> Bool
    ) throws(AerieError) -> TrainedBooster

    /// Predictions of a model in text form, one an output and row, with the link function applied.
    func predict(modelText: String, values: [Double], featureCount: Int) throws(AerieError) -> [Double]
}
