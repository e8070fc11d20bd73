import AerieCore
import AerieData
import AerieJSON
import AerieTelemetry
import Dispatch
import Synchronization

/// One request on its way through a graph.
///
/// Seldon's order: a node's input transformation (a model predicts there), then its children, all or the one that a
/// router chooses, then the combination of their answers, then the output transformation. The first failing child fails
/// the request.
struct GraphRun: Sendable {
    let metrics: NodeMetrics?
    let service: ServiceKind
    /// On the monotonic clock; 0 for none.
    let deadline: UInt64
    /// Takes what happens at each node; `nil` where nobody looks.
    let trail: GraphTrail?
    /// The children that routers are to choose, by the routers' names; the others choose by themselves.
    var way: [String: Int] = [:]
    /// Children that take longer than this together run side by side. In nanoseconds.
    static let parallelFrom = 200_000.0

    /// - Parameter parent: the node above in the trail.
    func run(
        _ node: GraphNode, _ message: GraphMessage, below parent: Int? = nil
    ) throws(AerieError) -> GraphMessage {
        guard let trail else { return try pass(node, message, nil) }
        let step = trail.begin(node, below: parent, message)
        do throws(AerieError) {
            let answer = try pass(node, message, step)
            trail.end(step, .success(answer))
            return answer
        } catch {
            trail.end(step, .failure(error))
            throw error
        }
    }

    /// - Parameter step: the node's own in the trail.
    private func pass(_ node: GraphNode, _ message: GraphMessage, _ step: Int?) throws(AerieError) -> GraphMessage {
        if deadline > 0, monotonicNanoseconds() > deadline {
            throw AerieError(.deadlineExceeded, "graph node \(node.name): the request's time is up")
        }
        var message = message
        message.meta.requestPath[node.name] = node.image
        switch node.unit {
        case .model(let model, let inputs):
            try timed(node) { () throws(AerieError) in
                message.payload = .tensors(try model.infer(try inputs.tensors(message)))
                message.names = []
            }
        case .fixed(let model): try timed(node) { () throws(AerieError) in model.answer(&message) }
        case .input(let transformer):
            try timed(node) { () throws(AerieError) in try transformer.transform(&message) }
        case .router(let router): return try route(node, router, message, step)
        case .combiner(let combiner):
            message.meta.routing[node.name] = -1
            let answers = try all(node.children, message, step)
            var combined = message
            for answer in answers { combined.meta.merge(answer.meta) }
            try timed(node) { () throws(AerieError) in combined.payload = try combiner.combine(answers) }
            combined.names = answers.first?.names ?? []
            return combined
        case .output: break
        }
        if let child = node.children.first { message = try run(child, message, below: step) }
        if case .output(let transformer) = node.unit {
            try timed(node) { () throws(AerieError) in try transformer.transform(&message) }
        }
        return message
    }

    private func route(
        _ node: GraphNode, _ router: any GraphRouter, _ message: GraphMessage, _ step: Int?
    ) throws(AerieError) -> GraphMessage {
        var message = message
        var choice = RouteChoice(child: 0)
        if let place = way[node.name] {
            choice.child = place
        } else {
            try timed(node) { () throws(AerieError) in
                choice = try router.route(message, children: node.children.count)
            }
        }
        guard node.children.indices.contains(choice.child) else {
            throw AerieError(.internal, "graph node \(node.name): there is no child \(choice.child)")
        }
        message.meta.routing[node.name] = choice.child
        if let step { trail?.route(step, to: choice, node.children[choice.child].name) }
        let rows = message.rowCount
        if let propensity = choice.propensity {
            message.meta.decisions.append(
                RouteDecision(
                    node: node.name, arm: choice.child, version: choice.version, propensity: propensity, rows: rows))
        }
        do throws(AerieError) { return try run(node.children[choice.child], message, below: step) } catch {
            if error.code != .invalidArgument { router.failed(choice, rows: rows) }
            throw error
        }
    }

    /// Every child's answer, in their order.
    private func all(
        _ children: [GraphNode], _ message: GraphMessage, _ step: Int?
    ) throws(AerieError) -> [GraphMessage] {
        var asked = message
        asked.meta.metrics = []
        asked.meta.decisions = []
        let cost = children.reduce(0) { $0 + $1.nanosecondsPerRow } * Double(message.rowCount)
        var answers: [GraphMessage] = []
        if children.count < 2 || cost < Self.parallelFrom {
            for child in children { answers.append(try run(child, asked, below: step)) }
            return answers
        }
        let results = Mutex([Result<GraphMessage, AerieError>?](repeating: nil, count: children.count))
        let question = asked
        DispatchQueue.concurrentPerform(iterations: children.count) { index in
            let result: Result<GraphMessage, AerieError>
            do throws(AerieError) { result = .success(try run(children[index], question, below: step)) } catch {
                result = .failure(error)
            }
            results.withLock { $0[index] = result }
        }
        for result in results.withLock({ $0 }) {
            if let result { answers.append(try result.get()) }
        }
        return answers
    }

    /// Does a node's own work, counts its time, and names the node in its error.
    private func timed(_ node: GraphNode, _ work: () throws(AerieError) -> Void) throws(AerieError) {
        let start = monotonicNanoseconds()
        do throws(AerieError) {
            try work()
            metrics?.record(node.slot, service, nil, nanoseconds: monotonicNanoseconds() &- start)
        } catch {
            metrics?.record(node.slot, service, error.code, nanoseconds: monotonicNanoseconds() &- start)
            var error = error
            error.message = "graph node \(node.name): \(error.message)"
            throw error
        }
    }
}

extension GraphMessage {
    /// The rows of a request, at least one.
    var rowCount: Int {
        switch payload {
        case .tensors(let tensors): max(1, tensors.first?.shape.first ?? 1)
        case .json(let value): value[0]?.array != nil || value[0]?.object != nil ? value.array?.count ?? 1 : 1
        default: 1
        }
    }
}
