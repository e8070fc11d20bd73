import AerieCore
import AerieHTTP
import CloudEvents
import RequestTracing
import Serving

/// Copies one request and its answer for the receiver that its deployment names. On its loop only, hence `@unchecked
/// Sendable`; made only for requests that are logged.
final class PayloadTap: @unchecked Sendable {
    private let plan: PredictorPlan
    let logger: RequestLogger
    private var request: [UInt8] = []
    private var requestType = ""
    /// The caller's own name for the request; the answer's is taken where there is none.
    private var requestID = ""
    /// Of the protocol that was spoken, by Seldon's names.
    private var spoken = ""
    /// Whether there is a request to tell of, and the caller did not ask to leave it out.
    private(set) var isOn = false

    init(_ plan: PredictorPlan, _ logger: RequestLogger) {
        self.plan = plan
        self.logger = logger
    }

    func take(_ body: UnsafeRawBufferPointer, type: String, id: String, spoken: String) {
        isOn = true
        requestType = type
        requestID = id
        self.spoken = spoken
        if logger.mode != .response { request = Array(body) }
    }

    /// The events of an answered request.
    /// - Parameters:
    ///   - answer: `nil` for one that was refused or failed: only the request is logged then.
    ///   - id: made for requests that nobody named; also the beginning of the events' own.
    func events(
        answer: (bytes: [UInt8], type: String, id: String)?, id made: String, context: TraceContext?, now: Timestamp
    ) -> [CloudEvent] {
        let named = [requestID, answer?.id ?? ""].first { !$0.isEmpty } ?? made
        var events: [CloudEvent] = []
        func add(_ word: String, _ type: String, _ bytes: [UInt8]) {
            let family = logger.dialect == .kserve ? "org.kubeflow" : "io.seldon"
            var extensions: [CloudEvent.Extension] = [
                .init("requestid", named), .init("modelid", plan.served.modelName),
                .init("inferenceservicename", plan.deploymentName), .init("namespace", plan.deploymentNamespace),
                .init("endpoint", plan.served.name), .init("protocol", spoken),
            ]
            if logger.dialect == .kserve { extensions.append(.init("component", "predictor")) }
            if let context {
                extensions.append(.init("traceparent", context.parent))
                if !context.state.isEmpty { extensions.append(.init("tracestate", context.state)) }
            }
            events.append(
                CloudEvent(
                    id: "\(made)-\(word)", source: "/seldon/\(plan.deploymentNamespace)/\(plan.deploymentName)",
                    type: "\(family).serving.inference.\(word)", time: now, extensions: extensions, contentType: type,
                    data: bytes))
        }
        if logger.mode != .response { add("request", requestType, request) }
        if logger.mode != .request, let answer { add("response", answer.type, answer.bytes) }
        return events
    }
}

extension LoopState {
    /// Hands over what was copied of the present request.
    func log(_ tap: PayloadTap, answer: (bytes: [UInt8], type: String, id: String)?) {
        guard tap.isOn, let events = options.events else { return }
        let made = String(decoding: puidText(), as: UTF8.self)
        let context = flow.note?.context
        for event in tap.events(answer: answer, id: made, context: context, now: SystemClock().now()) {
            events.accept(event, for: tap.logger.url)
        }
    }

    /// A new puid, without leaving it in the scratch.
    private func puidText() -> [UInt8] {
        let range = keepNewPuid()
        defer { scratch.text.removeLast(range.count) }
        return Array(scratch.text[range])
    }
}
