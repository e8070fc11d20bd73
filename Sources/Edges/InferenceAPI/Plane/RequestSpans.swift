import AerieCore
import AerieTelemetry
import Serving
import RequestTracing

/// The spans of one answered request, by the names of the founding document's picture of a traced request: the router,
/// the feature fetcher with a query a view, the model server with preprocessing, inference and postprocessing, and the
/// response. Each stage tells its share of the 5 ms.
struct RequestSpans {
    struct Outcome {
        var service: ServiceKind
        var code: Int
        var failed: Bool
        var reason: SamplingPolicy.Reason
    }

    private(set) var all: [Span] = []
    private let note: TraceNote
    /// From the monotonic clock to nanoseconds since 1970.
    private let offset: UInt64
    private let random: () -> UInt64

    init(note: TraceNote, timeline: RequestTimeline, outcome: Outcome, random: @escaping () -> UInt64) {
        self.note = note
        self.random = random
        offset = EpochOffset.nanoseconds
        var root = Span(
            traceHigh: note.context.traceHigh, traceLow: note.context.traceLow, spanID: note.context.spanID,
            parentID: note.parentID, name: note.operation, kind: .server, start: timeline.start &+ offset,
            end: timeline.end &+ offset)
        root.state = note.context.state
        root.attributes = attributes(outcome)
        if outcome.failed { root.failure = note.failure ?? "" }
        all.append(root)
        add("Seldon Router", .route, timeline)
        if let decoding = timeline.decoding { add("Preprocessing", decoding, below: root.spanID, budget: nil) }
        if let fetch = timeline.interval(.featureFetch) { addFetch(fetch) }
        let inference = addModel(timeline)
        if let trail = note.trail { addNodes(trail, below: inference ?? root.spanID, until: timeline.end) }
        add("Response", .serialize, timeline)
    }

    /// By OpenTelemetry's conventions where there are any.
    private func attributes(_ outcome: Outcome) -> [Span.Attribute] {
        var attributes: [Span.Attribute] = []
        if outcome.service.isHTTP {
            attributes.append(.init("http.request.method", .text("POST")))
            attributes.append(.init("http.response.status_code", .integer(Int64(outcome.code))))
        } else {
            attributes.append(.init("rpc.system", .text("grpc")))
            attributes.append(.init("rpc.grpc.status_code", .integer(Int64(outcome.code))))
        }
        if let plan = note.plan {
            attributes += [
                .init("aerie.namespace", .text(plan.deploymentNamespace)),
                .init("aerie.deployment", .text(plan.deploymentName)),
                .init("aerie.predictor", .text(plan.served.name)), .init("aerie.model", .text(plan.served.modelName)),
                .init("aerie.model.version", .text(plan.served.modelVersion)),
            ]
        }
        attributes.append(.init("aerie.sampling.reason", .text(outcome.reason.rawValue)))
        attributes.append(.init("aerie.budget_ms", .number(5)))
        return attributes
    }

    private mutating func addFetch(_ fetch: ClosedRange<UInt64>) {
        let fetcher = add(
            "Feature Fetcher", fetch, below: note.context.spanID, budget: RequestStage.featureFetch.budgetNanoseconds)
        for (index, read) in note.views.enumerated() where read.end >= read.start {
            add("Online store query \(index + 1): \(read.view)", read.start...read.end, below: fetcher, .client, budget: nil)
            all[all.count - 1].attributes.append(.init("feast.feature_view", .text(read.view)))
        }
    }

    /// - Returns: the span of the inference itself.
    private mutating func addModel(_ timeline: RequestTimeline) -> UInt64? {
        let parts: [(String, RequestStage)] = [
            ("Preprocessing", .preprocess), ("Queue", .queue), ("Model inference", .inference),
            ("Postprocessing", .postprocess),
        ]
        let found = parts.compactMap { name, stage in timeline.interval(stage).map { (name, stage, $0) } }
        guard let first = found.first, let last = found.last else { return nil }
        let server = add(
            "Model Server", first.2.lowerBound...max(first.2.lowerBound, last.2.upperBound),
            below: note.context.spanID, budget: 3_000_000)
        var inference: UInt64?
        for (name, stage, interval) in found {
            let span = add(name, interval, below: server, budget: stage.budgetNanoseconds)
            if stage == .inference { inference = span }
        }
        return inference
    }

    /// A span for each node of a graph that was asked, below that of the node above it.
    /// - Parameter answered: when the request was: what a node is still at then ends there.
    private mutating func addNodes(_ trail: GraphTrail, below inference: UInt64, until answered: UInt64) {
        var spans: [UInt64] = []
        for step in trail.all {
            let end = step.end > 0 ? step.end : max(step.start, answered)
            let parent = step.parent.map { spans[$0] } ?? inference
            spans.append(add("Graph node: \(step.node)", step.start...end, below: parent, budget: nil))
            var attributes: [Span.Attribute] = [
                .init("aerie.graph.node", .text(step.node)), .init("aerie.graph.type", .text(step.type)),
                .init("aerie.model", .text(step.image)),
            ]
            if !step.version.isEmpty { attributes.append(.init("aerie.model.version", .text(step.version))) }
            if let route = step.route {
                attributes.append(.init("aerie.graph.route", .text(route.child)))
                attributes.append(.init("aerie.graph.branch", .integer(Int64(route.place))))
                if let propensity = route.propensity {
                    attributes.append(.init("aerie.graph.propensity", .number(propensity)))
                }
            }
            all[all.count - 1].attributes = attributes
            all[all.count - 1].failure = step.failure
        }
    }

    private mutating func add(_ name: String, _ stage: RequestStage, _ timeline: RequestTimeline) {
        guard let interval = timeline.interval(stage) else { return }
        add(name, interval, below: note.context.spanID, budget: stage.budgetNanoseconds)
    }

    @discardableResult
    private mutating func add(
        _ name: String, _ interval: ClosedRange<UInt64>, below parent: UInt64, _ kind: Span.Kind = .internal,
        budget: UInt64?
    ) -> UInt64 {
        var span = Span(
            traceHigh: note.context.traceHigh, traceLow: note.context.traceLow, spanID: random(), parentID: parent,
            name: name, kind: kind, start: interval.lowerBound &+ offset, end: interval.upperBound &+ offset)
        if let budget { span.attributes = [.init("aerie.budget_ms", .number(Double(budget) / 1e6))] }
        all.append(span)
        return span.spanID
    }
}
