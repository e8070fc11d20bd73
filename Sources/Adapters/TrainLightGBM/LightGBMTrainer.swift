public import AerieCore
import CLightGBM
public import Training

/// LightGBM's own training, in process.
///
/// Deterministic: the same rows, options and seed give the same model text, byte for byte, for the same number of
/// threads (`num_threads`, 2 unless the parameters say otherwise). The library prints nothing and reads no file.
public struct LightGBMTrainer: BoosterTrainer {
    private let nativeFolder: String?

    /// - Parameter nativeFolder: the only folder to look for the library in; `nil` for the usual ones.
    public init(nativeFolder: String? = nil) { self.nativeFolder = nativeFolder }

    /// Opens the library, so that its lack is known before it is needed.
    /// - Throws: `unavailable`.
    public static func load(from folder: String? = nil) throws(AerieError) {
        let path = try NativeLibraries.locate(.lightGBM, in: folder)
        if let problem = clgbm_load(path) { throw NativeLibraries.missing(.lightGBM, String(cString: problem)) }
    }

    public func train(
        _ rows: LabelledRows, validation: LabelledRows?, options: BoosterOptions, onRound: (BoosterRound) -> Bool
    ) throws(AerieError) -> TrainedBooster {
        try Self.check(rows, as: "training rows")
        if let validation {
            try Self.check(validation, as: "validation rows")
            if validation.featureNames != rows.featureNames {
                throw .invalid("validation rows", "the features differ from the training rows'")
            }
        }
        if options.rounds < 1 || options.rounds > 100_000 {
            throw .invalid("rounds", "\(options.rounds) is not between 1 and 100000")
        }
        if options.earlyStoppingRounds > 0, validation == nil {
            throw .invalid("earlyStoppingRounds", "stopping early needs validation rows")
        }
        try Self.load(from: nativeFolder)
        clgbm_be_silent()
        let parameters = try LightGBMParameters(options, categorical: rows.categoricalFeatures)
        let booster: LightGBMBooster
        do throws(AerieError) {
            let trainingSet = try LightGBMDataset(rows, parameters: parameters, reference: nil)
            let validationSet: LightGBMDataset? =
                if let validation {
                    try LightGBMDataset(validation, parameters: parameters, reference: trainingSet)
                } else { nil }
            booster = try LightGBMBooster(trainingSet, validation: validationSet, parameters: parameters)
        } catch {
            // The library's words do not always name the parameter that they are about.
            let given = options.parameters.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
            throw AerieError(error.code, "\(error.message) (with the parameters: \(given))")
        }
        return try Self.run(booster, options: options, onRound: onRound)
    }

    public func predict(modelText: String, values: [Double], featureCount: Int) throws(AerieError) -> [Double] {
        try Self.load(from: nativeFolder)
        clgbm_be_silent()
        if featureCount < 1 || featureCount > Int(Int32.max) {
            throw .invalid("featureCount", "\(featureCount) is not a number of columns")
        }
        if !values.count.isMultiple(of: featureCount) {
            throw .invalid("values", "\(values.count) values are no whole number of rows of \(featureCount) columns")
        }
        let booster = try LightGBMBooster(text: modelText)
        return try booster.predict(values, columns: featureCount)
    }

    private static func run(
        _ booster: LightGBMBooster, options: BoosterOptions, onRound: (BoosterRound) -> Bool
    ) throws(AerieError) -> TrainedBooster {
        let names = try booster.metricNames()
        var history: [BoosterRound] = []
        var best: (round: Int, value: Double)?
        for _ in 0..<options.rounds {
            let isFinished = try booster.update()
            let round = try booster.iteration()
            // The library takes a round back in which no split was found.
            if isFinished, round <= history.count { break }
            let values = try booster.validationMetrics(count: names.count)
            let entry = BoosterRound(round: round, metrics: Array(zip(names, values)).map { (name: $0, value: $1) })
            history.append(entry)
            if !onRound(entry) { throw AerieError(.cancelled, "the training was stopped in round \(round)") }
            if let name = names.first, let value = values.first, options.earlyStoppingRounds > 0 {
                if isBetter(value, than: best?.value, metric: name) { best = (round, value) }
                if round - (best?.round ?? 0) >= options.earlyStoppingRounds { break }
            }
            if isFinished { break }
        }
        let reached = try booster.iteration()
        let bestRound = best?.round ?? max(1, reached)
        return TrainedBooster(
            modelText: try booster.text(rounds: bestRound), bestRound: bestRound, history: history,
            featureGain: try booster.gain(rounds: bestRound))
    }

    /// Whether larger is better depends on the metric; NaN is never better.
    static func isBetter(_ value: Double, than best: Double?, metric: String) -> Bool {
        guard let best else { return !value.isNaN }
        let base = metric.prefix { $0 != "@" }
        let isRising = ["auc", "auc_mu", "average_precision", "ndcg", "map", "r2"].contains(String(base))
        return isRising ? value > best : value < best
    }

    private static func check(_ rows: LabelledRows, as what: String) throws(AerieError) {
        let columns = rows.featureNames.count
        if rows.labels.isEmpty || columns == 0 { throw .invalid(what, "there are no rows or no features") }
        let (cells, overflow) = rows.rowCount.multipliedReportingOverflow(by: columns)
        if overflow || cells != rows.values.count || rows.rowCount > Int(Int32.max) || columns > Int(Int32.max) {
            throw .invalid(what, "\(rows.values.count) values are not \(rows.rowCount) rows of \(columns) features")
        }
        if !rows.weights.isEmpty, rows.weights.count != rows.rowCount {
            throw .invalid(what, "\(rows.weights.count) weights for \(rows.rowCount) rows; give one a row or none")
        }
        if let row = rows.labels.firstIndex(where: { !$0.isFinite }) {
            throw .invalid(what, "the label of row \(row) is \(rows.labels[row]); drop rows without a label")
        }
        if let row = rows.weights.firstIndex(where: { !($0.isFinite && $0 >= 0) }) {
            throw .invalid(what, "the weight of row \(row) is \(rows.weights[row]); weights are 0 or more")
        }
        if let column = rows.categoricalFeatures.first(where: { $0 < 0 || $0 >= columns }) {
            throw .invalid(what, "categorical feature \(column) is not one of the \(columns) columns")
        }
    }
}
