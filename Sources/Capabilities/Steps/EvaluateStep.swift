public import AerieCore
import AerieJSON
public import AerieResources
public import Datasets
import Foundation
public import Pipelines
public import Training

/// `uses: evaluate`: judges a model on the rows that were held out.
///
/// `table` and `label` as the `features` step gave them, `model` the `train` step's folder. The `threshold` is the
/// train step's; without it, it is chosen here on the validation rows, never on the test rows. `baseline: false` leaves
/// out the logistic regression that is trained on the same rows for comparison. Outputs: `report` (JSON), the pictures
/// `roc`, `pr`, `calibration`, `confusion` (SVG), `holdout` (JSON) and `holdout_table` (Parquet): the held-out rows as
/// the model's inputs, with its predictions; the measures `auc`, `average_precision`, `f1`, `precision`, `recall`,
/// `accuracy`, `log_loss`, `brier`, `ece`, `threshold`, `rows`, `positives`, `baseline_auc` and `baseline_f1`.
public struct EvaluateStep: Step {
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine
    private let trainer: @Sendable () throws(AerieError) -> any BoosterTrainer

    public init(
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine,
        trainer: @escaping @Sendable () throws(AerieError) -> any BoosterTrainer
    ) {
        self.engine = engine
        self.trainer = trainer
    }

    public var name: String { "evaluate" }
    public var outputs: [String] {
        [
            "report", "roc", "pr", "calibration", "confusion", "holdout", "holdout_table", "auc", "average_precision",
            "f1",
            "precision", "recall", "accuracy", "log_loss", "brier", "ece", "threshold", "rows", "positives",
            "baseline_auc",
            "baseline_f1",
        ]
    }
    public var placement: StepPlacement { .process }
    public var isCacheable: Bool { true }
    public var parameters: FieldSchema {
        .object([
            Field("table", .string, required: true), Field("label", .string, required: true),
            Field("model", .string, required: true), Field("threshold", .any), Field("baseline", .bool),
        ])
    }

    private struct Part {
        var rows: LabelledRows
        var indices: [Int64]
        var scores: [Double]
        var labels: [Bool] { rows.labels.map { $0 > 0.5 } }
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let source = try TableSource(path: try input.requiredText("table"), field: "with.table")
        let label = try input.requiredText("label")
        let model = try input.requiredText("model")
        let encoding = try FeatureEncoding(json: try WorkFolder.readJSON(model + "/encoding.json"))
        let text = try WorkFolder.read(model + "/model.lgb")
        let engine = try engine()
        let trainer = try trainer()
        func part(_ split: String) async throws(AerieError) -> Part {
            let (rows, indices) = try await encoding.rows(source.relation, label: label, split: split, engine: engine)
            guard rows.rowCount > 0 else {
                throw input.wrong("table", "has no \(split) rows; use the features step's table")
            }
            let scores = try await onOwnThread { () throws(AerieError) in
                try trainer.predict(modelText: text, values: rows.values, featureCount: rows.featureNames.count)
            }
            guard scores.count == rows.rowCount else {
                throw AerieError(
                    .unsupported,
                    "the model gives \(scores.count / max(rows.rowCount, 1)) outputs a row; only binary models are "
                        + "evaluated"
                )
            }
            return Part(rows: rows, indices: indices, scores: scores)
        }
        let validation = try await part("validation")
        let test = try await part("test")
        context.progress(0.4, "measuring on \(test.rows.rowCount) held-out rows")
        let threshold = try Self.threshold(input, validation.scores, validation.labels)
        let report = EvaluationReport(scores: test.scores, labels: test.labels, threshold: threshold)
        try checkCancelled()
        var baseline: EvaluationReport?
        if try input.flag("baseline", default: true) {
            let training = try await encoding.rows(source.relation, label: label, split: "train", engine: engine).rows
            baseline = try await Self.baseline(training, validation, test)
        }
        let folder = WorkFolder(path: context.workDirectory)
        try Self.write(report, baseline, folder)
        context.progress(0.8, "writing the held-out rows")
        try await Self.writeHoldout(test, threshold, folder, engine)
        return Self.result(report, baseline, context)
    }

    private static func threshold(_ input: StepInput, _ scores: [Double], _ labels: [Bool]) throws(AerieError) -> Double
    {
        if let given = input.parameters["threshold"], !given.isNull {
            guard let number = given.double, number.isFinite else {
                throw input.wrong("threshold", "must be a number, not \(given.text())")
            }
            return number
        }
        guard let chosen = ThresholdChoice.maximumF1(scores: scores, labels: labels) else {
            throw AerieError(
                .failedPrecondition, "the validation rows have no positive, so no threshold can be chosen; give one")
        }
        return chosen.threshold
    }

    private static func baseline(
        _ training: LabelledRows, _ validation: Part, _ test: Part
    ) async throws(AerieError) -> EvaluationReport? {
        let model = try await onOwnThread { () throws(AerieError) in try LogisticRegression(training) }
        guard
            let chosen = ThresholdChoice.maximumF1(
                scores: model.predict(validation.rows.values), labels: validation.labels)
        else { return nil }
        return EvaluationReport(
            scores: model.predict(test.rows.values), labels: test.labels, threshold: chosen.threshold)
    }

    private static func write(
        _ report: EvaluationReport, _ baseline: EvaluationReport?, _ folder: WorkFolder
    ) throws(AerieError) {
        var json = report.json.object ?? [:]
        json["baseline"] = baseline.map { ["model": "logistic regression", "measures": $0.json] } ?? .null
        try folder.write(.object(json), to: "report.json")
        let pictures = EvaluationPictures(report: report, baseline: baseline)
        try folder.write(pictures.roc(), to: "roc.svg")
        try folder.write(pictures.precisionRecall(), to: "pr.svg")
        try folder.write(pictures.calibration(), to: "calibration.svg")
        try folder.write(pictures.confusion(), to: "confusion.svg")
    }

    private static func writeHoldout(
        _ test: Part, _ threshold: Double, _ folder: WorkFolder, _ engine: any SQLEngine
    ) async throws(AerieError) {
        let width = test.rows.featureNames.count
        let labels = test.labels
        var rows: [JSONValue] = []
        var csv =
            (["row_index"] + test.rows.featureNames + ["label", "prediction"]).map { "\"\($0)\"" }.joined(
                separator: ",") + "\n"
        for row in 0..<test.rows.rowCount {
            let values = test.rows.values[row * width..<(row + 1) * width]
            rows.append(.array(values.map(MLflowModelFolder.number)))
            let texts = values.map { $0.isNaN ? "" : "\($0)" }.joined(separator: ",")
            csv += "\(test.indices[row]),\(texts),\(labels[row] ? 1 : 0),\(test.scores[row])\n"
        }
        try folder.write(
            [
                "inputs": .array(test.rows.featureNames.map(JSONValue.string)), "threshold": .double(threshold),
                "row_index": .array(test.indices.map(JSONValue.int)), "rows": .array(rows),
                "labels": .array(labels.map { .int($0 ? 1 : 0) }),
                "predictions": .array(test.scores.map(JSONValue.double)),
            ] as JSONValue, to: "holdout.json")
        try folder.write(csv, to: "holdout.csv")
        var types = ["'row_index': 'BIGINT'"]
        types += test.rows.featureNames.map { "\(sqlString($0)): 'DOUBLE'" }
        types += ["'label': 'INTEGER'", "'prediction': 'DOUBLE'"]
        try await engine.execute(
            "COPY (SELECT * FROM read_csv(\(sqlString(folder.file("holdout.csv"))), header = true, columns = "
                + "{\(types.joined(separator: ", "))})) "
                + "TO \(sqlString(folder.file("holdout.parquet"))) (FORMAT parquet)")
        try? FileManager.default.removeItem(atPath: folder.file("holdout.csv"))
    }

    private static func result(
        _ report: EvaluationReport, _ baseline: EvaluationReport?, _ context: StepContext
    ) -> StepResult {
        var result = StepResult(
            artifacts: [
                "report": "report.json", "roc": "roc.svg", "pr": "pr.svg", "calibration": "calibration.svg",
                "confusion": "confusion.svg", "holdout": "holdout.json", "holdout_table": "holdout.parquet",
            ],
            values: [
                "rows": .int(Int64(report.labels.count)), "positives": .int(Int64(report.labels.count { $0 })),
            ],
            logged: [
                "evaluation/report.json": "report", "evaluation/roc.svg": "roc",
                "evaluation/precision_recall.svg": "pr",
                "evaluation/calibration.svg": "calibration", "evaluation/confusion.svg": "confusion",
                "evaluation/holdout.parquet": "holdout_table",
            ])
        for (name, value) in report.measures {
            result.values[name] = .double(value)
            result.metrics.append(StepMetric(key: name, value: value))
        }
        for (name, value) in baseline?.measures ?? [] where ["auc", "f1", "average_precision"].contains(name) {
            if name != "average_precision" { result.values["baseline_\(name)"] = .double(value) }
            result.metrics.append(StepMetric(key: "baseline_\(name)", value: value))
        }
        let short = EvaluationPictures.short
        context.log(
            "AUC \(short(report.auc)), F1 \(short(report.confusion.f1)) at threshold \(short(report.threshold)) on "
                + "\(report.labels.count) held-out rows with \(report.labels.count { $0 }) positives")
        if let baseline {
            context.log("logistic regression beside it: AUC \(short(baseline.auc)), F1 \(short(baseline.confusion.f1))")
        }
        return result
    }
}
