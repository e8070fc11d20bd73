public import AerieCore

/// Whose pages may ask the data plane from a browser, and read its answers: CORS, as the Fetch standard has it
/// (https://fetch.spec.whatwg.org/#http-cors-protocol). Credentials are never allowed.
public struct AllowedOrigins: Sendable, Equatable {
    /// As browsers write them; `nil` for all.
    private let origins: [[UInt8]]?

    /// - Parameter text: `*`, or origins such as `https://shop.example, http://localhost:3000`.
    /// - Throws: `invalidArgument` for what no browser would send as its page's origin.
    public init(_ text: String) throws(AerieError) {
        let entries = text.split(separator: ",").map { $0.drop { $0 == " " } }.map { entry in
            String(entry.reversed().drop { $0 == " " }.reversed())
        }
        guard entries != ["*"] else {
            origins = nil
            return
        }
        guard !entries.isEmpty else { throw .invalid("", "is empty; write * or origins such as https://shop.example") }
        var origins: [[UInt8]] = []
        for entry in entries { origins.append(try Self.origin(entry)) }
        self.origins = origins
    }

    /// One origin in a browser's writing: lower case, without the scheme's usual port.
    private static func origin(_ text: String) throws(AerieError) -> [UInt8] {
        func wrong(_ problem: String) -> AerieError { .invalid("", "\"\(text.prefix(80))\" \(problem)") }
        guard text != "*" else { throw wrong("stands for all origins; write it alone") }
        let lower = text.lowercased()
        guard let scheme = ["https://", "http://"].first(where: { lower.hasPrefix($0) }) else {
            throw wrong("is no origin; write its scheme too, as in https://shop.example")
        }
        let place = lower.dropFirst(scheme.count)
        guard !place.contains(where: { "/?#@".contains($0) }) else {
            throw wrong("holds more than scheme, host and port; write https://shop.example, without a slash at its end")
        }
        guard !place.isEmpty, place.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "*") }) else {
            throw wrong("names no host; write https://shop.example")
        }
        let usual = scheme == "https://" ? ":443" : ":80"
        return Array((scheme + (place.hasSuffix(usual) ? place.dropLast(usual.count) : place)).utf8)
    }

    /// The header fields, with their lines' ends, by which a browser lets the page read the answer; none for a request
    /// of no page, or of one that may not.
    func fields(for origin: UnsafeRawBufferPointer?) -> [UInt8] {
        guard let origin, origins?.contains(where: { $0.elementsEqual(origin) }) ?? true else { return [] }
        var fields = Array("Access-Control-Allow-Origin: ".utf8)
        if origins == nil {
            fields += Array("*".utf8)
        } else {
            fields += origin
            fields += Array("\r\nVary: Origin".utf8)
        }
        fields += Array(
            "\r\nAccess-Control-Expose-Headers: Seldon-Puid, Inference-Header-Content-Length, Retry-After\r\n".utf8)
        return fields
    }
}
