public import NIOCore

/// Writes answers behind one another into a loop's buffer. Lengths are filled in once the body is written: the place
/// for them is ten characters wide, and spaces before a header's value mean nothing.
public struct HTTPAnswer {
    private let lengthEnd: Int
    /// The index of the body's first byte.
    public let bodyStart: Int

    public enum Content: Sendable { case json, text, octets, none }

    /// Writes the head up to the empty line.
    /// - Parameter fields: writes further header fields, each with its line's end.
    public init(
        _ status: Int, _ content: Content, keepsAlive: Bool, isHTTP10: Bool, date: HTTPDate,
        into out: inout ByteBuffer, fields: (inout ByteBuffer) -> Void
    ) {
        if status == 200 {
            out.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            out.writeStaticString("HTTP/1.1 ")
            out.writeDecimal(status)
            out.writeStaticString(" ")
            out.writeStaticString(Self.reason(status))
            out.writeStaticString("\r\n")
        }
        switch content {
        case .json: out.writeStaticString("Content-Type: application/json\r\n")
        case .text: out.writeStaticString("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
        case .octets: out.writeStaticString("Content-Type: application/octet-stream\r\n")
        case .none: break
        }
        fields(&out)
        if status == 429 || status == 503 { out.writeStaticString("Retry-After: 1\r\n") }
        if !keepsAlive {
            out.writeStaticString("Connection: close\r\n")
        } else if isHTTP10 {
            out.writeStaticString("Connection: keep-alive\r\n")
        }
        out.writeBytes(date.line)
        lengthEnd = Self.reserveLength("Content-Length:", &out)
        out.writeStaticString("\r\n")
        bodyStart = out.writerIndex
    }

    /// Writes the head of a good answer in JSON without further fields. For a connection that stays open it is copied
    /// whole.
    public static func json(
        date: HTTPDate, keepsAlive: Bool, isHTTP10: Bool, into out: inout ByteBuffer
    ) -> HTTPAnswer {
        guard keepsAlive, !isHTTP10 else {
            return HTTPAnswer(200, .json, keepsAlive: keepsAlive, isHTTP10: isHTTP10, date: date, into: &out) { _ in }
        }
        out.writeBytes(date.usualHead)
        return HTTPAnswer(headEnd: out.writerIndex)
    }

    /// Of a head that is written whole: the two lines' ends behind the length are its last.
    private init(headEnd: Int) {
        bodyStart = headEnd
        lengthEnd = headEnd - 4
    }

    /// Fills in the length of the body, which ends here.
    public func end(_ out: inout ByteBuffer) { Self.fill(lengthEnd, out.writerIndex - bodyStart, &out) }

    /// Writes a header field of a length that is not known yet.
    /// - Returns: where `fill` is to put it.
    public static func reserveLength(_ name: StaticString, _ out: inout ByteBuffer) -> Int {
        out.writeStaticString(name)
        out.writeStaticString("          0")
        defer { out.writeStaticString("\r\n") }
        return out.writerIndex
    }

    public static func fill(_ end: Int, _ value: Int, _ out: inout ByteBuffer) {
        var rest = value
        var at = end
        repeat {
            at -= 1
            out.setInteger(UInt8(ascii: "0") + UInt8(rest % 10), at: at)
            rest /= 10
        } while rest > 0
    }

    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 202: "Accepted"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
