import AerieCore
import AerieHTTP

/// One client's connection to the inference port.
final class InferenceConnection: HTTPConnection, @unchecked Sendable {
    let state: LoopState
    /// How the present answer may be packed.
    var coding: ContentCoding?
    /// Header fields for the page that asks; empty where none may.
    var crossOrigin: [UInt8] = []
    /// How often the present request has waited for its model.
    var wakes = 0

    init(state: LoopState) {
        self.state = state
        super.init(
            loop: state,
            asking: HTTPFieldNames(
                "inference-header-content-length", "seldon-model", "seldon-puid", "x-envoy-expected-rq-timeout-ms"))
    }

    override func answer(_ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: Range<Int>) {
        readTerms(exchange, request)
        let path = UnsafeRawBufferPointer(rebasing: request[exchange.head.path])
        if path.contains(UInt8(ascii: "%")) {
            guard let decoded = percentDecoded(path) else {
                return writeError(400, "a percent sign in the path is not followed by two hexadecimal digits", exchange)
            }
            return decoded.withUnsafeBytes { answer(exchange, HTTPRoute($0), request, body) }
        }
        answer(exchange, HTTPRoute(path), request, body)
    }

    override func refuses(_ exchange: HTTPExchange, _ head: UnsafeRawBufferPointer) -> Bool {
        guard state.pool.isPressed else { return false }
        readTerms(exchange, head)
        return refuseUnread(exchange, head)
    }

    /// What the head says of how the answer is to be sent.
    private func readTerms(_ exchange: HTTPExchange, _ head: UnsafeRawBufferPointer) {
        let accepted = UnsafeRawBufferPointer(rebasing: head[exchange.head.acceptEncoding])
        coding = accepted.isEmpty ? nil : acceptedCoding(accepted)
        if let origins = state.options.allowedOrigins {
            crossOrigin = origins.fields(for: exchange.header("origin", in: head))
        }
    }

    override func answer(_ failure: HTTPFailure, _ exchange: HTTPExchange) {
        writeError(failure.status, failure.message, exchange)
    }

    override func finish(_ exchange: HTTPExchange, from start: Int) {
        endFlow(exchange, from: start)
        wakes = 0
        if !crossOrigin.isEmpty { addCrossOrigin(from: start) }
        if let coding { packAnswer(from: start, exchange, coding) }
    }
}

extension HTTPHead {
    var inferenceHeaderLength: Range<Int> { asked.0 }
    var seldonModel: Range<Int> { asked.1 }
    var seldonPuid: Range<Int> { asked.2 }
    /// Milliseconds that the client's proxy still waits.
    var expectedTimeout: Range<Int> { asked.3 }
}
