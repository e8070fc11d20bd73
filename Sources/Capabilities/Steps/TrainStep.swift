public import AerieCore
import AerieJSON
public import AerieResources
public import Datasets
public import Pipelines
public import Training

/// `uses: train`: trains a gradient-boosted model with LightGBM and writes it as an MLflow model.
///
/// `table`, `label` and `features` as the `features` step gave them; `objective` (`binary`), `parameters` by LightGBM's
/// names, `rounds` (300), `earlyStopping` (50 rounds without a better validation metric; 0 for never), `seed` (7) and
/// `categorical`: the text features that LightGBM shall treat as categories instead of as ordered codes (none).
/// Outputs: `model` (the folder), `threshold` (largest F1 on the validation rows, for a binary objective),
/// `best_round`, `validation_auc`, `validation_f1` and `importance` (JSON: the gain of each feature).
public struct TrainStep: Step {
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine
    private let trainer: @Sendable () throws(AerieError) -> any BoosterTrainer

    public init(
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine,
        trainer: @escaping @Sendable () throws(AerieError) -> any BoosterTrainer
    ) {
        self.engine = engine
        self.trainer = trainer
    }

    public var name: String { "train" }
    public var outputs: [String] {
        ["model", "importance", "threshold", "best_round", "validation_auc", "validation_f1"]
    }
    public var placement: StepPlacement { .process }
    public var isCacheable: Bool { true }
    public var parameters: FieldSchema {
        .object([
            Field("table", .string, required: true), Field("label", .string, required: true),
            Field("features", .array(.string), required: true), Field("objective", .string),
            Field("parameters", .map(.any)), Field("rounds", .integer(1...100_000)),
            Field("earlyStopping", .integer(0...100_000)), Field("seed", .integer(0...2_147_483_647)),
            Field("categorical", .array(.string)),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let source = try TableSource(path: try input.requiredText("table"), field: "with.table")
        let label = try input.requiredText("label")
        let features = try input.texts("features") ?? []
        guard !features.isEmpty else { throw input.wrong("features", "must name at least one feature") }
        guard !features.contains(label) else {
            throw input.wrong("features", "'\(label)' is the label, which cannot be a feature")
        }
        let (options, objective) = try Self.options(input)
        let engine = try engine()
        let encoding = try await FeatureEncoding.learn(features, from: source.relation, engine: engine)
        var training = try await encoding.rows(source.relation, label: label, split: "train", engine: engine).rows
        var validation = try await encoding.rows(source.relation, label: label, split: "validation", engine: engine)
            .rows
        let categories = try Self.categorical(input, encoding)
        training.categoricalFeatures = categories
        validation.categoricalFeatures = categories
        guard training.rowCount > 0, validation.rowCount > 0 else {
            throw input.wrong(
                "table",
                "has \(training.rowCount) training and \(validation.rowCount) validation rows; use the features "
                    + "step's table"
            )
        }
        if objective == "binary" { try Self.checkBinary(training, label) }
        context.log(
            "training on \(training.rowCount) rows, \(features.count) features; \(validation.rowCount) rows to "
                + "choose on"
        )
        let trainer = try trainer()
        let (booster, scores) = try await Self.train(trainer, training, validation, options, context)
        let chosen =
            objective == "binary"
            ? ThresholdChoice.maximumF1(scores: scores, labels: validation.labels.map { $0 > 0.5 }) : nil
        let folder = WorkFolder(path: context.workDirectory)
        try MLflowModelFolder(
            modelText: booster.modelText, encoding: encoding,
            example: Array(validation.values.prefix(features.count)), threshold: chosen?.threshold,
            created: SystemClock().now()
        ).write(into: folder, name: "model")
        try folder.write(Self.importance(features, booster.featureGain), to: "importance.json")
        return Self.result(input, options, objective, booster, validation, scores, chosen, context)
    }

    private static func train(
        _ trainer: any BoosterTrainer, _ training: LabelledRows, _ validation: LabelledRows, _ options: BoosterOptions,
        _ context: StepContext
    ) async throws(AerieError) -> (TrainedBooster, [Double]) {
        let flag = CancelFlag()
        let rounds = options.rounds
        let progress = context.progress
        let work: @Sendable () throws(AerieError) -> (TrainedBooster, [Double]) = { () throws(AerieError) in
            let booster = try trainer.train(training, validation: validation, options: options) { round in
                if round.round % 10 == 0 {
                    let metrics = round.metrics.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
                    progress(Double(round.round) / Double(rounds), "round \(round.round): \(metrics)")
                }
                return !flag.isSet
            }
            let scores = try trainer.predict(
                modelText: booster.modelText, values: validation.values, featureCount: validation.featureNames.count)
            return (booster, scores)
        }
        // The library's loop sees a flag, not the task.
        let task = Task { () -> Result<(TrainedBooster, [Double]), AerieError> in
            do throws(AerieError) { return .success(try await onOwnThread(work)) } catch { return .failure(error) }
        }
        let result = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            flag.set()
        }
        return try result.get()
    }

    private static func options(_ input: StepInput) throws(AerieError) -> (BoosterOptions, String) {
        let objective = try input.text("objective") ?? "binary"
        var parameters: [(name: String, value: String)] = [("objective", objective)]
        let defaults = [("learning_rate", "0.1"), ("num_leaves", "7"), ("min_data_in_leaf", "20")]
        let given = try input.object("parameters") ?? [:]
        for (name, value) in defaults where given[name] == nil { parameters.append((name, value)) }
        if given["metric"] == nil, objective == "binary" { parameters.append(("metric", "binary_logloss")) }
        for member in given.members {
            guard member.key != "objective" else {
                throw input.wrong("parameters.objective", "is set by with.objective")
            }
            switch member.value {
            case .null, .object:
                throw input.wrong("parameters.\(member.key)", "must be a number, a text, a truth value or a list")
            case .array(let list):
                parameters.append((member.key, list.map { $0.string ?? $0.text() }.joined(separator: ",")))
            default: parameters.append((member.key, member.value.string ?? member.value.text()))
            }
        }
        let options = BoosterOptions(
            parameters: parameters, rounds: try input.whole("rounds", in: 1...100_000, default: 300),
            earlyStoppingRounds: try input.whole("earlyStopping", in: 0...100_000, default: 50),
            seed: try input.whole("seed", in: 0...2_147_483_647, default: 7))
        return (options, objective)
    }

    private static func categorical(_ input: StepInput, _ encoding: FeatureEncoding) throws(AerieError) -> [Int] {
        var indices: [Int] = []
        for name in try input.texts("categorical") ?? [] {
            guard let at = encoding.names.firstIndex(of: name) else {
                throw input.wrong("categorical", "'\(name)' is not among the features")
            }
            indices.append(at)
        }
        return indices
    }

    private static func checkBinary(_ rows: LabelledRows, _ label: String) throws(AerieError) {
        let others = rows.labels.count { $0 != 0 && $0 != 1 }
        guard others == 0 else {
            throw .invalid("with.label", "'\(label)' is neither 0 nor 1 in \(others) training rows")
        }
        let positives = rows.labels.count { $0 == 1 }
        guard positives > 0, positives < rows.rowCount else {
            throw .invalid(
                "with.label", "the training rows need both classes; \(positives) of \(rows.rowCount) are positive")
        }
    }

    private static func importance(_ features: [String], _ gain: [Double]) -> JSONValue {
        let total = max(gain.reduce(0, +), .leastNormalMagnitude)
        let ranked = zip(features, gain).sorted { ($1.1, $0.0) < ($0.1, $1.0) }
        return .array(ranked.map { ["feature": .string($0.0), "gain": .double($0.1), "share": .double($0.1 / total)] })
    }

    private static func result(
        _ input: StepInput, _ options: BoosterOptions, _ objective: String, _ booster: TrainedBooster,
        _ validation: LabelledRows, _ scores: [Double], _ chosen: (threshold: Double, f1: Double)?,
        _ context: StepContext
    ) -> StepResult {
        var result = StepResult(
            artifacts: ["model": "model", "importance": "importance.json"],
            values: ["best_round": .int(Int64(booster.bestRound))],
            logged: ["model": "model", "importance.json": "importance"])
        for (name, value) in options.parameters { result.params[name] = value }
        result.params["rounds"] = "\(options.rounds)"
        result.params["early_stopping"] = "\(options.earlyStoppingRounds)"
        result.params["seed"] = "\(options.seed)"
        for round in booster.history {
            for metric in round.metrics {
                result.metrics.append(
                    StepMetric(key: "validation_\(metric.name)", value: metric.value, step: Int64(round.round)))
            }
        }
        result.metrics.append(StepMetric(key: "best_round", value: Double(booster.bestRound)))
        if objective == "binary", scores.count == validation.rowCount {
            let auc = ClassificationMetrics.rocAUC(scores: scores, labels: validation.labels.map { $0 > 0.5 })
            result.values["validation_auc"] = auc.map(JSONValue.double) ?? .null
            if let auc { result.metrics.append(StepMetric(key: "validation_auc", value: auc)) }
        }
        if let chosen {
            result.values["threshold"] = .double(chosen.threshold)
            result.values["validation_f1"] = .double(chosen.f1)
            result.metrics.append(StepMetric(key: "validation_f1", value: chosen.f1))
            result.metrics.append(StepMetric(key: "threshold", value: chosen.threshold))
            context.log("threshold \(chosen.threshold) (F1 \(chosen.f1) on the validation rows)")
        }
        context.log("\(booster.bestRound) rounds kept of \(booster.history.count)")
        return result
    }
}
