import AerieHTTP
import NIOCore

extension InferenceConnection {
    /// How long a browser may go by a preflight's answer, in seconds.
    private static let preflightSeconds = 600

    /// Says what the path takes; to a browser that asks before its page does, also what that may send.
    func answerOptions(_ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer) {
        var lines: [UInt8] = []
        if !crossOrigin.isEmpty, exchange.header("access-control-request-method", in: request) != nil {
            lines = Array("Access-Control-Allow-Methods: \(route.methods)\r\n".utf8)
            if let asked = exchange.header("access-control-request-headers", in: request), !asked.isEmpty {
                lines += Array("Access-Control-Allow-Headers: ".utf8) + asked + Array("\r\n".utf8)
            }
            lines += Array("Access-Control-Max-Age: \(Self.preflightSeconds)\r\n".utf8)
        }
        let answer = HTTPAnswer(
            200, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, isSeldon: route.isSeldon,
            lines: lines, allow: route.methods, date: state.date, into: &state.out)
        state.out.writeStaticString("{}")
        answer.end(&state.out)
    }

    /// Puts the fields for the page that asked into the answer that was just written behind `start`, after its status.
    func addCrossOrigin(from start: Int) {
        guard let written = state.out.viewBytes(at: start, length: state.out.writerIndex - start),
            let lineEnd = written.firstIndex(of: UInt8(ascii: "\n")),
            let rest = state.out.getBytes(at: lineEnd + 1, length: written.endIndex - lineEnd - 1)
        else { return }
        state.out.moveWriterIndex(to: lineEnd + 1)
        state.out.writeBytes(crossOrigin)
        state.out.writeBytes(rest)
    }
}
