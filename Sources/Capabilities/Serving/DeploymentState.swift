public import AerieCore

/// A deployment as an operator sees it, whether it answers or not: what the repository index and the console list.
public struct DeploymentState: Hashable, Sendable {
    /// The states of the Open Inference Protocol's repository index.
    public enum State: String, Hashable, Sendable {
        case ready = "READY", unavailable = "UNAVAILABLE", loading = "LOADING"
    }

    /// One predictor: what is loaded, what it is asked to be, and why those differ.
    public struct Predictor: Hashable, Sendable {
        public var name: String
        /// Percent of the traffic.
        public var weight: Int
        public var isShadow: Bool
        public var modelName: String
        /// As written in the deployment.
        public var modelURI: String
        /// The version that answers; empty while none does.
        public var modelVersion: String
        public var platform: String
        public var featureNames: [String]
        /// Why the version that was asked for does not answer; empty where it does.
        public var problem: String

        public init(
            name: String, weight: Int, isShadow: Bool = false, modelName: String, modelURI: String,
            modelVersion: String = "", platform: String = "", featureNames: [String] = [], problem: String = ""
        ) {
            self.name = name
            self.weight = weight
            self.isShadow = isShadow
            self.modelName = modelName
            self.modelURI = modelURI
            self.modelVersion = modelVersion
            self.platform = platform
            self.featureNames = featureNames
            self.problem = problem
        }
    }

    public var namespace: String
    public var name: String
    public var state: State
    /// Why it is not ready, or what went wrong with the newest version while an older one answers; empty otherwise.
    public var reason: String
    public var predictors: [Predictor]
    /// When the table last changed for it.
    public var changed: Timestamp

    public init(
        namespace: String, name: String, state: State, reason: String = "", predictors: [Predictor] = [],
        changed: Timestamp
    ) {
        self.namespace = namespace
        self.name = name
        self.state = state
        self.reason = reason
        self.predictors = predictors
        self.changed = changed
    }
}
