import AerieCore
import AerieHTTP
import CloudEvents
import RequestTracing
import Serving

/// Copies one request and its answer, and those of a graph's nodes, for the receivers that its deployment names. On its
/// loop only, hence `@unchecked Sendable`; made only for requests that are logged.
final class PayloadTap: @unchecked Sendable {
    private let plan: PredictorPlan
    /// What happened at the nodes of a graph that have copies made.
    var trail: GraphTrail?
    private var request: [UInt8] = []
    private var requestType = ""
    /// The caller's own name for the request; the answer's is taken where there is none.
    private var requestID = ""
    /// Of the protocol that was spoken, by Seldon's names.
    private var spoken = ""
    /// Whether there is a request to tell of, and the caller did not ask to leave it out.
    private(set) var isOn = false

    init(_ plan: PredictorPlan) { self.plan = plan }

    func take(_ body: UnsafeRawBufferPointer, type: String, id: String, spoken: String) {
        isOn = true
        requestType = type
        requestID = id
        self.spoken = spoken
        if let logger = plan.served.logger, logger.mode != .response { request = Array(body) }
    }

    /// The events of an answered request.
    /// - Parameters:
    ///   - answer: `nil` for one that was refused or failed: only the request is logged then.
    ///   - id: made for requests that nobody named; also the beginning of the events' own.
    func events(
        answer: (bytes: [UInt8], type: String, id: String)?, id made: String, context: TraceContext?, now: Timestamp
    ) -> [(event: CloudEvent, url: String)] {
        let named = [requestID, answer?.id ?? ""].first { !$0.isEmpty } ?? made
        var events: [(event: CloudEvent, url: String)] = []
        func add(
            _ logger: RequestLogger, _ node: String, _ id: String, _ word: String, _ type: String, _ bytes: [UInt8]
        ) {
            let family = logger.dialect == .kserve ? "org.kubeflow" : "io.seldon"
            var extensions: [CloudEvent.Extension] = [
                .init("requestid", named), .init("modelid", node),
                .init("inferenceservicename", plan.deploymentName), .init("namespace", plan.deploymentNamespace),
                .init("endpoint", plan.served.name), .init("protocol", spoken),
            ]
            if logger.dialect == .kserve { extensions.append(.init("component", "predictor")) }
            if let context {
                extensions.append(.init("traceparent", context.parent))
                if !context.state.isEmpty { extensions.append(.init("tracestate", context.state)) }
            }
            let event = CloudEvent(
                id: "\(id)-\(word)", source: "/seldon/\(plan.deploymentNamespace)/\(plan.deploymentName)",
                type: "\(family).serving.inference.\(word)", time: now, extensions: extensions, contentType: type,
                data: bytes)
            events.append((event, logger.url))
        }
        if let logger = plan.served.logger {
            let node = plan.served.modelName
            if logger.mode != .response { add(logger, node, made, "request", requestType, request) }
            if logger.mode != .request, let answer { add(logger, node, made, "response", answer.type, answer.bytes) }
        }
        for step in trail?.all ?? [] {
            guard let logger = step.logger else { continue }
            let copy = NodeCopy(node: step.node, requestID: named, spoken: spoken)
            let id = "\(made)-\(step.node)"
            if logger.mode != .response, let message = step.request {
                add(logger, step.node, id, "request", NodeCopy.type, copy.body(message, isAnswer: false))
            }
            if logger.mode != .request, let message = step.answer {
                add(logger, step.node, id, "response", NodeCopy.type, copy.body(message, isAnswer: true))
            }
        }
        return events
    }
}

extension LoopState {
    /// Hands over what was copied of the present request.
    func log(_ tap: PayloadTap, answer: (bytes: [UInt8], type: String, id: String)?) {
        guard tap.isOn, let events = options.events else { return }
        let made = String(decoding: puidText(), as: UTF8.self)
        let context = flow.note?.context
        for (event, url) in tap.events(answer: answer, id: made, context: context, now: SystemClock().now()) {
            events.accept(event, for: url)
        }
    }

    /// A new puid, without leaving it in the scratch.
    private func puidText() -> [UInt8] {
        let range = keepNewPuid()
        defer { scratch.text.removeLast(range.count) }
        return Array(scratch.text[range])
    }
}
