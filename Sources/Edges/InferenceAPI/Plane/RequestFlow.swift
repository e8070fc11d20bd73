import AerieCore
import AerieHTTP
import AerieTelemetry
import Serving
import RequestTracing

/// What is noted of one request on its way: the instants of its stages, and more where it is traced.
///
/// The loop holds the present request's. What answers later keeps a copy and puts it back (`keepingFlow`), and whoever
/// ends a request is known by its start, so that nothing is counted for another's.
struct RequestFlow: Sendable {
    var timeline = RequestTimeline()
    /// Set where requests are traced.
    var note: TraceNote?
    /// Set where the request and its answer are copied for somebody.
    var tap: PayloadTap?

    var isKept: Bool { timeline.isMeasured || tap != nil }
}

/// When a model worked on a request, on the monotonic clock in nanoseconds.
struct ModelRunTimes: Sendable {
    /// When the request was handed to a queue; 0 where there was none.
    var queued: UInt64 = 0
    var start: UInt64
    var end: UInt64
}

/// What only a traced request keeps. On its loop only, hence `@unchecked Sendable`.
final class TraceNote: @unchecked Sendable {
    /// The trace with the present span in it, as it is passed on.
    let context: TraceContext
    /// The caller's span; 0 without one.
    let parentID: UInt64
    /// What was asked for, such as `POST /v2/models/{model}/infer`.
    let operation: String
    var plan: PredictorPlan?
    var views: [FetchedFeatures.ViewRead] = []
    /// What happened at the nodes of a graph.
    var trail: GraphTrail?
    /// The words of the error that was answered.
    var failure: String?

    init(context: TraceContext, parentID: UInt64, operation: String) {
        self.context = context
        self.parentID = parentID
        self.operation = operation
    }
}

extension LoopState {
    /// Requests a second whose stages are all measured; of those above, one in sixteen.
    private static let measuredWhole = 4096

    /// A request begins. Where nobody traces, that is one count.
    /// - Parameters:
    ///   - start: by which it is known, of the monotonic clock.
    ///   - operation: what is asked for.
    ///   - parent: gives `traceparent` and `tracestate`, where requests are traced.
    func begin(at start: UInt64, _ operation: String, parent: () -> TraceContext?) {
        measured &+= 1
        guard let tracer = options.tracer else {
            let isMeasured = measured <= Self.measuredWhole || measured & 15 == 0
            flow = RequestFlow(timeline: RequestTimeline(start: start, isMeasured: isMeasured))
            return
        }
        flow = RequestFlow(timeline: RequestTimeline(start: start, isMeasured: true))
        let caller = parent()
        var context = caller ?? TraceContext(traceHigh: random(), traceLow: random(), spanID: 0, isSampled: false)
        if caller == nil { context.isSampled = tracer.policy.samples(traceLow: context.traceLow) }
        context.spanID = random() | 1
        flow.note = TraceNote(context: context, parentID: caller?.spanID ?? 0, operation: operation)
    }

    /// It is known who answers.
    @inline(__always)
    func route(to plan: PredictorPlan) {
        if flow.timeline.routed == 0 { flow.timeline.markRouted() }
        flow.note?.plan = plan
        if plan.isTapped { flow.tap = PayloadTap(plan) }
    }

    /// What is told of an error to who asked.
    @inline(__always)
    func noteFailure(_ message: @autoclosure () -> String) { flow.note?.failure = message() }

    /// A request is answered.
    func end(_ start: UInt64, slot: Int, service: ServiceKind, code: Int, now: UInt64) {
        guard flow.timeline.isMeasured, flow.timeline.start == start else { return }
        flow.timeline.end = now
        if code == service.success { metrics.recordStages(slot: slot, flow.timeline) }
        guard let note = flow.note, let tracer = options.tracer else { return }
        let failed = service.isServerError(code: code)
        guard let reason = tracer.policy.reason(note.context, nanoseconds: now &- start, failed: failed) else { return }
        let outcome = RequestSpans.Outcome(service: service, code: code, failed: failed, reason: reason)
        let spans = RequestSpans(note: note, timeline: flow.timeline, outcome: outcome) { [self] in random() | 1 }
        tracer.accept(
            RequestTrace(spans: spans.all, deployment: note.plan?.deploymentName ?? "", reason: reason))
    }

    // MARK: What answers later

    /// A model's work on the present request; to be called right before its completion.
    func noteRun(_ times: ModelRunTimes) { lastRun = times }

    func takeRun() {
        guard let run = lastRun else { return }
        lastRun = nil
        flow.timeline.setInference(queued: run.queued, run.start, run.end)
    }

    /// The completion of work for the present request: it finds the request's flow as it is now, with the model's run.
    func keepingFlow<Value: Sendable>(
        _ completion: @escaping @Sendable (Value) -> Void
    ) -> @Sendable (Value) -> Void {
        guard flow.isKept else { return completion }
        let flow = flow
        return { [self] value in
            // A completion within another has put back a later state of the same request already.
            if self.flow.timeline.start != flow.timeline.start { self.flow = flow }
            takeRun()
            completion(value)
        }
    }
}
