import AerieCore
import Synchronization

/// What happened at the nodes of one request: for its trace, and for those who want copies of what a node was given and
/// answered.
///
/// Thread-safe, with a lock for each beginning and end of a node: children of a combiner run side by side, and a
/// request whose time is up is told about while its graph is still at it. Made only for requests that are looked at.
public final class GraphTrail: Sendable {
    /// One node's part.
    public struct Step: Sendable {
        public var node: String
        /// By Seldon's names, such as `ROUTER`.
        public var type: String
        /// A model's URI, or the name of what the node does.
        public var image: String
        /// Of its model; empty for a node without one.
        public var version: String
        /// The place of the node above it; `nil` for the first.
        public var parent: Int?
        /// On the monotonic clock, with everything below the node; the end is 0 while it is at it.
        public var start: UInt64
        public var end: UInt64 = 0
        /// The child that a router chose: its place, its name, and how likely the choice was where a router learns.
        public var route: (place: Int, child: String, propensity: Double?)?
        public var failure: String?
        /// Where copies of its messages go, and these.
        public var logger: RequestLogger?
        public var request: GraphMessage?
        public var answer: GraphMessage?
    }

    private let steps = Mutex<[Step]>([])

    public init() {}

    /// In the order in which they began.
    public var all: [Step] { steps.withLock { $0 } }

    func begin(_ node: GraphNode, below parent: Int?, _ message: GraphMessage) -> Int {
        var step = Step(
            node: node.name, type: node.unit.type, image: node.image, version: node.version, parent: parent,
            start: monotonicNanoseconds())
        if let logger = node.logger {
            step.logger = logger
            step.request = message
        }
        return steps.withLock { steps in
            steps.append(step)
            return steps.count - 1
        }
    }

    func route(_ index: Int, to choice: RouteChoice, _ child: String) {
        steps.withLock { $0[index].route = (choice.child, child, choice.propensity) }
    }

    func end(_ index: Int, _ result: Result<GraphMessage, AerieError>) {
        let now = monotonicNanoseconds()
        steps.withLock { steps in
            steps[index].end = now
            switch result {
            case .success(let answer): if steps[index].logger != nil { steps[index].answer = answer }
            case .failure(let error): steps[index].failure = error.message
            }
        }
    }
}

extension GraphNode.Unit {
    fileprivate var type: String {
        switch self {
        case .model, .fixed: GraphSpec.Role.model.rawValue
        case .router: GraphSpec.Role.router.rawValue
        case .combiner: GraphSpec.Role.combiner.rawValue
        case .input: GraphSpec.Role.transformer.rawValue
        case .output: GraphSpec.Role.outputTransformer.rawValue
        }
    }
}
