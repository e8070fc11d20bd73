import AerieCore
import AerieData
import AerieTelemetry

/// One node of a loaded graph. Immutable but for what learning routers keep behind their own locks.
final class GraphNode: Sendable {
    enum Unit: Sendable {
        case model(any InferenceModel, ModelInputs)
        /// Answers the same to everything.
        case fixed(SimpleModel)
        case router(any GraphRouter)
        case combiner(any GraphCombiner)
        /// Before the children are asked.
        case input(any GraphTransformer)
        /// On what the children have answered.
        case output(any GraphTransformer)
    }

    let name: String
    /// What it is made of: a model's URI, or the name of what it does.
    let image: String
    /// The version of its model; empty for a node without one.
    let version: String
    let unit: Unit
    let children: [GraphNode]
    /// Where copies of its requests and answers go; `nil` for the first node, whose are the graph's own.
    let logger: RequestLogger?
    /// Where its durations are counted.
    let slot: Int
    /// An estimate for one row, of this node and all below it.
    let nanosecondsPerRow: Double

    init(
        name: String, image: String, version: String = "", unit: Unit, children: [GraphNode], slot: Int,
        logger: RequestLogger? = nil
    ) {
        self.logger = logger
        self.name = name
        self.image = image
        self.version = version
        self.unit = unit
        self.children = children
        self.slot = slot
        let own: Double =
            if case .model(let model, _) = unit { model.description.nanosecondsPerRow } else { 500 }
        nanosecondsPerRow = children.reduce(own) { $0 + $1.nanosecondsPerRow }
    }

    /// Whether it, or a node below it, has copies made.
    var logs: Bool { logger != nil || children.contains { $0.logs } }

    /// The model or meta-learner whose inputs are the graph's: the first on the way down.
    var firstModel: ModelDescription? {
        if case .model(let model, _) = unit { return model.description }
        for child in children { if let found = child.firstModel { return found } }
        return nil
    }

    /// What the graph below this node answers.
    var outputs: [TensorSpec] {
        switch unit {
        case .model(let model, _): return children.first?.outputs ?? model.description.outputs
        case .fixed: return children.first?.outputs ?? [SimpleModel.output]
        case .router, .input: return children.first?.outputs ?? [Self.free]
        case .combiner(let combiner): return [combiner.output(of: children.map(\.outputs))]
        case .output(let transformer):
            let below = children.first?.outputs.first ?? Self.free
            return [TensorSpec(name: below.name, dataType: .fp64, shape: [-1, transformer.width ?? -1])]
        }
    }

    /// Rows of any width.
    static let free = TensorSpec(name: "output", dataType: .fp64, shape: [-1, -1])
}

/// Chooses the child that answers.
protocol GraphRouter: Sendable {
    /// - Returns: the child's place, or -1 for all of them.
    /// - Throws: `invalidArgument` for a request that names nothing to choose by.
    func route(_ message: GraphMessage, children: Int) throws(AerieError) -> RouteChoice
    /// The child failed through no fault of the request.
    func failed(_ choice: RouteChoice, rows: Int)
}

extension GraphRouter {
    func failed(_ choice: RouteChoice, rows: Int) {}
}

/// A router's answer.
struct RouteChoice: Sendable, Hashable {
    var child: Int
    /// Set by a router that learns, whose choices are kept with how likely they were.
    var propensity: Double?
    var version = ""
}

/// Makes one answer of the answers of several children.
protocol GraphCombiner: Sendable {
    func combine(_ answers: [GraphMessage]) throws(AerieError) -> GraphMessage.Payload
    /// The answer's shape, from the children's.
    func output(of children: [[TensorSpec]]) -> TensorSpec
}

/// Changes a message on its way.
protocol GraphTransformer: Sendable {
    func transform(_ message: inout GraphMessage) throws(AerieError)
    /// The columns that it gives, where that is known.
    var width: Int? { get }
}

extension GraphTransformer {
    var width: Int? { nil }
}

/// Seldon's SIMPLE_MODEL: the same three numbers for every request, and one metric of each kind.
struct SimpleModel: Sendable {
    static let output = TensorSpec(name: "output", dataType: .fp64, shape: [-1, 3])

    func answer(_ message: inout GraphMessage) {
        message.payload = .tensors([
            Tensor(name: "output", dataType: .fp64, shape: [1, 3], elements: [0.1, 0.9, 0.5])
        ])
        message.names = ["class0", "class1", "class2"]
        message.meta.metrics += [
            GraphMetric(key: "mymetric_counter", kind: .counter, value: 1),
            GraphMetric(key: "mymetric_gauge", kind: .gauge, value: 100),
            GraphMetric(key: "mymetric_timer", kind: .timer, value: 22.1),
        ]
    }
}
