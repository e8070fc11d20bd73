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
        if let tap = state.flow.tap { state.log(tap, answer: answer(from: start)) }
        if let note = state.flow.note { insert(Self.fields(of: note.context), from: start) }
        state.flow = RequestFlow()
    }

    /// Keeps the request's body where its deployment logs requests, unless the caller asks not to. To be called while
    /// the request's bytes are there; a body that came packed is kept as it was before.
    func tapRequest(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        guard let tap = state.flow.tap, state.flow.timeline.start == exchange.start else { return }
        func text(_ name: String) -> String {
            exchange.header(name, in: request).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        guard text("seldon-skip-logging").isEmpty else { return }
        let id = [text("seldon-puid"), text("x-request-id")].first { !$0.isEmpty } ?? ""
        let type = text("content-type")
        tap.take(body, type: type.isEmpty ? "application/json" : type, id: id, spoken: route.spoken)
    }

    /// The good answer that was just written behind `start`; `nil` for another.
    private func answer(from start: Int) -> (bytes: [UInt8], type: String, id: String)? {
        let end = Array("\r\n\r\n".utf8)
        guard let written = state.out.viewBytes(at: start, length: state.out.writerIndex - start),
            written.starts(with: Array("HTTP/1.1 200".utf8)), let headEnd = written.firstRange(of: end)
        else { return nil }
        let head = String(decoding: written[..<headEnd.lowerBound], as: UTF8.self)
        func field(_ name: String) -> String {
            let line = head.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
            return line.map { String($0.dropFirst(name.utf8.count + 1).drop { $0 == " " }) } ?? ""
        }
        return (Array(written[headEnd.upperBound...]), field("Content-Type"), field("Seldon-Puid"))
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
    /// The protocol, by Seldon's names.
    fileprivate var spoken: String {
        switch kind {
        case .infer: "v2"
        case .predictV1: "tensorflow"
        default: "seldon"
        }
    }

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
    /// The answer tells its trace, if there is one, as answers over HTTP do.
    func tell(_ note: TraceNote?) {
        guard let note else { return }
        tell("traceparent", note.context.parent)
        if !note.context.state.isEmpty { tell("tracestate", note.context.state) }
    }
}
