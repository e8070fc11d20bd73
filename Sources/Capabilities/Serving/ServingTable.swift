public import AerieData
import Synchronization

/// Everything the data plane needs to answer, as one immutable snapshot: swapped whole when a deployment changes, so a
/// request sees one state from its first byte to its last. Reading takes no lock and allocates nothing.
public final class ServingTable: Sendable {
    /// Grows with each snapshot.
    public let generation: UInt64
    /// In the order of their names.
    public let deployments: [ServedDeployment]
    /// The names of deployments whose models come into memory when they are asked for, and are not in it now.
    public let sleeping: Set<String>
    private let sleepingLimits: [String: RequestLimits]

    /// - Parameter sleepingLimits: of those that sleep and have any.
    public init(
        generation: UInt64, deployments: [ServedDeployment], sleeping: Set<String> = [],
        sleepingLimits: [String: RequestLimits] = [:]
    ) {
        self.generation = generation
        self.sleeping = sleeping
        self.sleepingLimits = sleepingLimits
        self.deployments = deployments.sorted { $0.name < $1.name }
    }

    /// What a request that waits for a sleeping deployment may take: the most that any of its predictors allows.
    public func limits(ofSleeping name: String) -> RequestLimits { sleepingLimits[name] ?? RequestLimits() }

    public static let empty = ServingTable(generation: 0, deployments: [])

    /// The deployment whose name is exactly these UTF-8 bytes.
    public func deployment(named name: UnsafeRawBufferPointer) -> ServedDeployment? {
        index(named: name).map { deployments[$0] }
    }

    /// Its place in `deployments`. Binary search; no allocation.
    public func index(named name: UnsafeRawBufferPointer) -> Int? {
        var low = 0
        var high = deployments.count
        while low < high {
            let middle = (low + high) / 2
            let order = deployments[middle].compareName(to: name)
            if order == 0 { return middle }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }
}

/// A deployment as the data plane sees it: a name that requests use, and who answers them.
public final class ServedDeployment: Sendable {
    public let name: String
    public let namespace: String
    /// Those that are loaded and take traffic; never empty.
    public let predictors: [ServedPredictor]
    /// Those that get copies of requests, and whose answers nobody sees.
    public let shadows: [ServedPredictor]
    /// What keeps a user's requests with one predictor; `nil` where chance decides.
    public let sticky: StickyRule?
    private let nameBytes: [UInt8]
    private let totalWeight: UInt64
    private let used = Atomic<UInt64>(0)

    /// - Precondition: `predictors` is not empty.
    public init(
        name: String, namespace: String, predictors: [ServedPredictor], shadows: [ServedPredictor] = [],
        sticky: StickyRule? = nil
    ) {
        precondition(!predictors.isEmpty, "a served deployment needs a predictor")
        self.shadows = shadows
        self.sticky = sticky
        self.name = name
        self.namespace = namespace
        self.predictors = predictors
        self.nameBytes = Array(name.utf8)
        self.totalWeight = predictors.reduce(0) { $0 + UInt64($1.weight) }
    }

    /// When it was last asked: the monotonic clock in units of 2^20 ns, about a millisecond.
    public var lastUsed: UInt64 { used.load(ordering: .relaxed) }

    /// Notes that it is asked now. A store only if the time has moved, so that loops do not take the line from each
    /// other.
    @inline(__always)
    public func touch(_ now: UInt64) {
        if used.load(ordering: .relaxed) != now { used.store(now, ordering: .relaxed) }
    }

    /// The predictor for one request, by weight. One multiplication for a single predictor's common case: none.
    /// - Parameter random: 64 random bits of the caller's own generator.
    public func pick(_ random: UInt64) -> ServedPredictor {
        if predictors.count == 1 || totalWeight == 0 { return predictors[0] }
        var ticket = random.multipliedFullWidth(by: totalWeight).high
        for predictor in predictors {
            if ticket < UInt64(predictor.weight) { return predictor }
            ticket -= UInt64(predictor.weight)
        }
        return predictors[predictors.count - 1]
    }

    /// Less than, equal to or greater than 0, by bytes.
    func compareName(to other: UnsafeRawBufferPointer) -> Int {
        let count = min(nameBytes.count, other.count)
        for index in 0..<count where nameBytes[index] != other[index] {
            return nameBytes[index] < other[index] ? -1 : 1
        }
        return nameBytes.count - other.count
    }
}

/// One loaded model with its share of the traffic.
public final class ServedPredictor: Sendable {
    public let name: String
    /// Percent of the deployment's traffic, 0 to 100.
    public let weight: Int
    /// The model's node in the graph, and what it was loaded from.
    public let modelName: String
    public let modelVersion: String
    public let modelURI: String
    public let model: any InferenceModel
    /// The same object, if it is a graph of several nodes.
    public let graph: GraphModel?
    /// The same object, if it has the path that allocates nothing.
    public let tabular: (any TabularModel)?
    /// Where a loop keeps this predictor's counters: dense, never reused while the process lives, the same for the
    /// same deployment, predictor and model version across snapshots.
    public let metricsSlot: Int
    /// How to count predictions by class; `nil` where the first output is not one probability.
    public let labels: PredictionLabels?
    /// Where the model's columns come from, if its deployment names a feature service.
    public let features: FeatureBinding?
    /// Another text whenever the model's content is another (`ModelLocation.identity`).
    public let modelIdentity: String
    public let policy: ServingPolicy
    public let explainer: PredictorExplainer
    /// Where copies of requests and answers go; `nil` where none are made.
    public let logger: RequestLogger?
    public let limits: RequestLimits

    public init(
        name: String, weight: Int, modelName: String, modelVersion: String, modelURI: String,
        model: any InferenceModel, metricsSlot: Int, labels: PredictionLabels? = nil,
        features: FeatureBinding? = nil, modelIdentity: String = "", policy: ServingPolicy = ServingPolicy(),
        explainer: PredictorExplainer? = nil, logger: RequestLogger? = nil, limits: RequestLimits = RequestLimits()
    ) {
        self.name = name
        self.weight = weight
        self.modelName = modelName
        self.modelVersion = modelVersion
        self.modelURI = modelURI
        self.model = model
        self.graph = model as? GraphModel
        self.tabular = model as? any TabularModel
        self.metricsSlot = metricsSlot
        self.labels = labels
        self.features = features
        self.modelIdentity = modelIdentity
        self.policy = policy
        self.explainer = explainer ?? PredictorExplainer(model)
        self.logger = logger
        self.limits = limits
    }
}
