import AerieGRPC
import AerieHTTP
import AerieTelemetry
import NIOCore
import RequestTracing

/// What is noted of a request over HTTP from its route to its answer.
extension InferenceConnection {
    func begin(_ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer) {
        state.begin(at: exchange.start, route.operation) {
            guard let parent = exchange.header("traceparent", in: request) else { return nil }
            return TraceContext(parent: parent, state: exchange.header("tracestate", in: request).map(Array.init) ?? [])
        }
    }

    /// The answer that was just written behind `start` is complete: it tells its trace, if there is one.
    func endFlow(_ exchange: HTTPExchange, from start: Int) {
        guard state.flow.timeline.start == exchange.start else { return }
        if let note = state.flow.note { insert(Self.fields(of: note.context), from: start) }
        state.flow = RequestFlow()
    }

    private static func fields(of context: TraceContext) -> String {
        let state = context.state.isEmpty ? "" : "tracestate: \(context.state)\r\n"
        return "traceparent: \(context.parent)\r\n\(state)"
    }

    /// Puts header fields behind the status line of the answer at `start`. Moves the answer: for traced requests only.
    private func insert(_ fields: String, from start: Int) {
        guard let written = state.out.viewBytes(at: start, length: state.out.writerIndex - start),
            let lineEnd = written.firstIndex(of: UInt8(ascii: "\n"))
        else { return }
        let rest = Array(written[(lineEnd + 1)...])
        state.out.moveWriterIndex(to: lineEnd + 1)
        state.out.writeString(fields)
        state.out.writeBytes(rest)
    }
}

extension HTTPRoute {
    /// The request as a span is named, without the names that it holds.
    fileprivate var operation: String {
        switch kind {
        case .infer: "POST /v2/models/{model}/infer"
        case .predictV1: "POST /v1/models/{model}:predict"
        default: "POST /api/v1.0/predictions"
        }
    }
}

extension GRPCCall {
    /// The caller's, by the call's metadata.
    var traceContext: TraceContext? {
        guard let parent = header("traceparent") else { return nil }
        return TraceContext(parent: parent.utf8, state: (header("tracestate") ?? "").utf8)
    }
}
