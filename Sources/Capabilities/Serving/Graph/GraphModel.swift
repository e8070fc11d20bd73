public import AerieCore
public import AerieData
public import AerieTelemetry

/// A predictor's whole graph as one model: requests of any protocol run through it in this process.
///
/// Any thread. Blocks for as long as its nodes take; children of a combiner run side by side where they are slow enough
/// for that to pay.
public final class GraphModel: InferenceModel {
    public let description: ModelDescription
    let root: GraphNode
    /// Another text whenever the data plane could tell the difference.
    let fingerprint: String
    let place: GraphPlace
    /// Where choices of learning routers are kept; `nil` in a graph without one.
    private let decisions: DecisionLog?
    private let metrics: NodeMetrics?
    /// Whether a node below the first has copies made of its messages.
    public let logsNodes: Bool

    init(
        root: GraphNode, place: GraphPlace, fingerprint: String, decisions: DecisionLog? = nil,
        metrics: NodeMetrics? = nil
    ) {
        self.root = root
        logsNodes = root.logs
        self.place = place
        self.fingerprint = fingerprint
        self.decisions = decisions
        self.metrics = metrics
        let first = root.firstModel
        description = ModelDescription(
            platform: "aerie_graph",
            inputs: first?.inputs ?? [TensorSpec(name: "input", dataType: .fp64, shape: [-1, -1])],
            outputs: root.outputs, featureNames: first?.featureNames ?? [],
            nanosecondsPerRow: root.nanosecondsPerRow, isProbability: nil)
    }

    /// Runs a message through the graph, and keeps what learning routers chose.
    /// - Parameters:
    ///   - deadline: an instant of the monotonic clock, looked at between nodes; 0 for none.
    ///   - trail: takes what happens at each node.
    /// - Throws: what a node throws, with its name before the message; `deadlineExceeded` past the deadline.
    public func run(
        _ message: GraphMessage, service: ServiceKind, deadline: UInt64 = 0, trail: GraphTrail? = nil
    ) throws(AerieError) -> GraphMessage {
        let run = GraphRun(metrics: metrics, service: service, deadline: deadline, trail: trail)
        let answer = try run.run(root, message)
        let chosen = answer.meta.decisions
        if !chosen.isEmpty { decisions?.append(chosen, puid: answer.meta.puid, of: place) }
        metrics?.count(answer.meta.metrics, of: place)
        return answer
    }

    /// As a model of the Open Inference Protocol: the answer has the names and types of `description.outputs`.
    public func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        try outputs(of: run(GraphMessage(.tensors(inputs)), service: .infer))
    }

    /// An answer as tensors with the names and types that the description tells.
    public func outputs(of answer: GraphMessage) throws(AerieError) -> [Tensor] {
        guard case .tensors(let tensors) = answer.payload else {
            throw AerieError(.unsupported, "the graph answers no tensors; ask it by Seldon's protocol")
        }
        guard tensors.count == description.outputs.count else {
            throw AerieError(
                .internal, "the graph gave \(tensors.count) outputs, not \(description.outputs.count)")
        }
        var outputs: [Tensor] = []
        for (tensor, spec) in zip(tensors, description.outputs) {
            outputs.append(try tensor.cast(to: spec.dataType, name: spec.name))
        }
        return outputs
    }

    /// The version of each node's model.
    public var versions: [String: String] {
        var versions: [String: String] = [:]
        func visit(_ node: GraphNode) {
            if !node.version.isEmpty { versions[node.name] = node.version }
            node.children.forEach(visit)
        }
        visit(root)
        return versions
    }

    /// The routers that learn, with the way to each from the root: what must be chosen for a request to come by.
    var bandits: [(node: GraphNode, router: BanditRouter)] {
        var found: [(GraphNode, BanditRouter)] = []
        func visit(_ node: GraphNode) {
            if case .router(let router) = node.unit, let bandit = router as? BanditRouter {
                found.append((node, bandit))
            }
            node.children.forEach(visit)
        }
        visit(root)
        return found
    }
}

/// Which graph it is.
public struct GraphPlace: Hashable, Sendable {
    public var namespace: String
    public var deployment: String
    public var predictor: String

    public init(namespace: String, deployment: String, predictor: String) {
        self.namespace = namespace
        self.deployment = deployment
        self.predictor = predictor
    }
}

extension ServingPolicy {
    /// A graph may answer the same question differently each time, and each request may go another way.
    func checkFits(_ graph: GraphModel) throws(AerieError) {
        let place = graph.place
        if batching != nil || cachesResponses {
            throw AerieError(
                .failedPrecondition,
                "\(place.predictor): requests to a graph are not put together, and its answers are not kept; leave out "
                    + "\(ServingSetting.batching.rawValue) and \(ServingSetting.cache.rawValue)", reason: "serving.graph")
        }
    }
}
