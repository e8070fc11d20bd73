/// Where a deployment draws the line between its two classes, and what they are called in
/// `model_predictions_total{prediction="…"}`.
public struct PredictionLabels: Hashable, Sendable {
    /// A probability at or above it is positive.
    public var threshold: Double
    public var negative: String
    public var positive: String

    public init(threshold: Double = 0.5, negative: String = "0", positive: String = "1") {
        self.threshold = threshold
        self.negative = negative
        self.positive = positive
    }
}
