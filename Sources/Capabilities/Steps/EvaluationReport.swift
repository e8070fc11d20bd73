import AerieJSON
import Training

/// How good a model is on rows that it has never seen, at a threshold that was fixed before.
struct EvaluationReport {
    let threshold: Double
    let scores: [Double]
    let labels: [Bool]
    let confusion: ConfusionMatrix
    let calibration: Calibration
    let auc: Double?
    let averagePrecision: Double?
    let logLoss: Double?
    let brier: Double?

    init(scores: [Double], labels: [Bool], threshold: Double) {
        self.threshold = threshold
        self.scores = scores
        self.labels = labels
        confusion = ConfusionMatrix(scores: scores, labels: labels, threshold: threshold)
        calibration = Calibration(probabilities: scores, labels: labels)
        auc = ClassificationMetrics.rocAUC(scores: scores, labels: labels)
        averagePrecision = ClassificationMetrics.averagePrecision(scores: scores, labels: labels)
        logLoss = ClassificationMetrics.logLoss(probabilities: scores, labels: labels)
        brier = ClassificationMetrics.brierScore(probabilities: scores, labels: labels)
    }

    /// The measures by name; an undefined one is left out.
    var measures: [(name: String, value: Double)] {
        let some: [(String, Double?)] = [
            ("auc", auc), ("average_precision", averagePrecision), ("f1", confusion.f1),
            ("precision", confusion.precision), ("recall", confusion.recall), ("accuracy", confusion.accuracy),
            ("log_loss", logLoss), ("brier", brier), ("ece", calibration.expectedError), ("threshold", threshold),
        ]
        return some.compactMap { item in item.1.map { (name: item.0, value: $0) } }
    }

    var json: JSONValue {
        var object = JSONObject(measures.map { ($0.name, .double($0.value)) })
        object["rows"] = .int(Int64(labels.count))
        object["positives"] = .int(Int64(labels.count { $0 }))
        object["confusion"] = [
            "true_positives": .int(Int64(confusion.truePositives)),
            "false_positives": .int(Int64(confusion.falsePositives)),
            "true_negatives": .int(Int64(confusion.trueNegatives)),
            "false_negatives": .int(Int64(confusion.falseNegatives)),
        ]
        object["calibration"] = .array(
            calibration.bins.map { bin in
                [
                    "lower": .double(bin.lower), "upper": .double(bin.upper), "rows": .int(Int64(bin.count)),
                    "mean_probability": .double(bin.meanProbability), "positive_rate": .double(bin.positiveRate),
                ]
            })
        return .object(object)
    }
}
