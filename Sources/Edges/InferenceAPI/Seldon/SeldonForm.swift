import AerieCore
import AerieHTTP
import AerieJSON

/// A message sent as a form: `json=…` in a URL-encoded one, or a part for each payload in a multipart one, of which
/// `binData` is a file, `strData` a file or a text, and all others JSON.
struct SeldonForm {
    private var fields: [String: [UInt8]] = [:]

    /// `nil` for a body of another content type.
    /// - Throws: `invalidArgument` for a form that cannot be read.
    init?(_ body: UnsafeRawBufferPointer, contentType: String) throws(AerieError) {
        let type = contentType.lowercased()
        if type.hasPrefix("application/x-www-form-urlencoded") {
            // curl calls every body so unless it is told otherwise.
            if body.first == UInt8(ascii: "{") { return nil }
            for pair in body.split(separator: UInt8(ascii: "&")) {
                let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw .invalid("", "the form holds a field without a value") }
                fields[String(decoding: try Self.decoded(parts[0]), as: UTF8.self)] = try Self.decoded(parts[1])
            }
        } else if type.hasPrefix("multipart/form-data") {
            guard let mark = contentType.firstRange(of: "boundary=") else {
                throw .invalid("Content-Type", "multipart/form-data needs a boundary")
            }
            let boundary = contentType[mark.upperBound...].prefix { $0 != ";" }.filter { $0 != "\"" }
            try readParts(Array(body), boundary: Array("--\(boundary)".utf8))
        } else {
            return nil
        }
    }

    private static func decoded(_ part: Slice<UnsafeRawBufferPointer>) throws(AerieError) -> [UInt8] {
        let text = part.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
        guard let decoded = text.withUnsafeBytes({ percentDecoded($0) }) else {
            throw .invalid("", "a percent sign in the form is not followed by two hexadecimal digits")
        }
        return decoded
    }

    private mutating func readParts(_ body: [UInt8], boundary: [UInt8]) throws(AerieError) {
        let lineEnd = Array("\r\n".utf8)
        var rest = body[...]
        guard let first = rest.firstRange(of: boundary) else { throw .invalid("", "the form has no parts") }
        rest = rest[first.upperBound...]
        while !rest.starts(with: Array("--".utf8)) {
            guard let headEnd = rest.firstRange(of: lineEnd + lineEnd),
                let next = rest[headEnd.upperBound...].firstRange(of: lineEnd + boundary)
            else { throw .invalid("", "a part of the form is cut short") }
            let head = String(decoding: rest[..<headEnd.lowerBound], as: UTF8.self)
            guard let mark = head.firstRange(of: " name=\"") else { throw .invalid("", "a part of the form has no name") }
            let name = String(head[mark.upperBound...].prefix { $0 != "\"" })
            fields[name] = Array(rest[headEnd.upperBound..<next.lowerBound])
            rest = rest[next.upperBound...]
        }
    }

    /// The form as the message that it means.
    func message() throws(AerieError) -> JSONValue {
        if let json = fields["json"] { return try Self.parse(json, "json") }
        var object = JSONObject()
        for (name, bytes) in fields.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "binData": object[name] = .string(Base64.standard.encode(bytes))
            case "strData": object[name] = .string(String(decoding: bytes, as: UTF8.self))
            default: object[name] = try Self.parse(bytes, name)
            }
        }
        return .object(object)
    }

    private static func parse(_ bytes: [UInt8], _ name: String) throws(AerieError) -> JSONValue {
        do throws(JSONError) { return try JSONValue.parse(bytes) } catch { throw error.asAerieError(in: name) }
    }
}
