/// What a metrics slot stands for: one predictor of a deployment with one version of its model.
public struct SlotLabels: Hashable, Sendable {
    public var namespace: String
    public var deployment: String
    public var predictor: String
    /// From the predictor's annotation or label `version`; empty without.
    public var predictorVersion: String
    public var modelName: String
    public var modelVersion: String
    /// The names of the two sides of the threshold; `nil` where predictions are not counted.
    public var negativeLabel: String?
    public var positiveLabel: String?

    public init(
        namespace: String = "default", deployment: String, predictor: String, predictorVersion: String = "",
        modelName: String, modelVersion: String, negativeLabel: String? = nil, positiveLabel: String? = nil
    ) {
        self.namespace = namespace
        self.deployment = deployment
        self.predictor = predictor
        self.predictorVersion = predictorVersion
        self.modelName = modelName
        self.modelVersion = modelVersion
        self.negativeLabel = negativeLabel
        self.positiveLabel = positiveLabel
    }
}
