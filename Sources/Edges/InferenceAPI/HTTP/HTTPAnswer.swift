import NIOCore

/// Writes answers behind one another into a loop's buffer. Lengths are filled in once the body is written: the place
/// for them is ten characters wide, and spaces before a header's value mean nothing.
struct HTTPAnswer {
    private let lengthEnd: Int
    private let jsonLengthEnd: Int?
    /// The index of the body's first byte.
    let bodyStart: Int

    enum Content { case json, text, octets }

    /// Writes the head up to the empty line.
    init(
        _ status: Int, _ content: Content, keepsAlive: Bool, isHTTP10: Bool, puid: UnsafeRawBufferPointer? = nil,
        isSeldon: Bool = false, lines: [UInt8] = [],
        allow: StaticString? = nil, date: HTTPDate, into out: inout ByteBuffer
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
        var jsonLengthEnd: Int?
        switch content {
        case .json: out.writeStaticString("Content-Type: application/json\r\n")
        case .text: out.writeStaticString("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
        case .octets:
            out.writeStaticString("Content-Type: application/octet-stream\r\n")
            out.writeStaticString("Inference-Header-Content-Length:          0")
            jsonLengthEnd = out.writerIndex
            out.writeStaticString("\r\n")
        }
        if isSeldon {
            out.writeStaticString("X-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\n")
        }
        if let puid, puid.count > 0 {
            out.writeStaticString("Seldon-Puid: ")
            out.writeBytes(puid)
            out.writeStaticString("\r\n")
        }
        if !lines.isEmpty { out.writeBytes(lines) }
        if let allow {
            out.writeStaticString("Allow: ")
            out.writeStaticString(allow)
            out.writeStaticString("\r\n")
        }
        if !keepsAlive {
            out.writeStaticString("Connection: close\r\n")
        } else if isHTTP10 {
            out.writeStaticString("Connection: keep-alive\r\n")
        }
        out.writeBytes(date.line)
        out.writeStaticString("Content-Length:          0")
        lengthEnd = out.writerIndex
        self.jsonLengthEnd = jsonLengthEnd
        out.writeStaticString("\r\n\r\n")
        bodyStart = out.writerIndex
    }

    /// Where the JSON part ends and binary tensors begin.
    func endJSON(_ out: inout ByteBuffer) {
        if let jsonLengthEnd { Self.fill(jsonLengthEnd, out.writerIndex - bodyStart, &out) }
    }

    func end(_ out: inout ByteBuffer) { Self.fill(lengthEnd, out.writerIndex - bodyStart, &out) }

    private static func fill(_ end: Int, _ value: Int, _ out: inout ByteBuffer) {
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
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
