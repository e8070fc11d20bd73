public import AerieJSON

/// Writes JSON values as YAML in one fixed form, so that two texts differ only where the values do.
///
/// Block style, two spaces a level, lists indented under their key, members in their own order. What it writes,
/// `YAMLDocument` reads back as the same value.
public struct YAMLWriter: Sendable {
    private var out = ""

    /// The value as one YAML document that ends with a newline.
    public static func text(_ value: JSONValue) -> String {
        var writer = YAMLWriter()
        switch value {
        case .object(let object) where !object.isEmpty: writer.write(object, level: 0)
        case .array(let elements) where !elements.isEmpty: writer.write(elements, level: 0)
        default: writer.out += scalar(value) + "\n"
        }
        return writer.out
    }

    private mutating func write(_ object: JSONObject, level: Int) {
        for (index, member) in object.members.enumerated() {
            // The first member of an object in a list stands on the line of the list's dash.
            if index > 0 || !out.hasSuffix("- ") { indent(level) }
            out += Self.plainOrQuoted(member.key) + ":"
            writeNested(member.value, level: level, breaksLine: true)
        }
    }

    private mutating func write(_ elements: [JSONValue], level: Int) {
        for (index, element) in elements.enumerated() {
            if index > 0 || !out.hasSuffix("- ") { indent(level) }
            out += "- "
            writeNested(element, level: level, breaksLine: false)
        }
    }

    private mutating func writeNested(_ value: JSONValue, level: Int, breaksLine: Bool) {
        switch value {
        case .object(let object) where !object.isEmpty:
            if breaksLine { out += "\n" }
            write(object, level: level + 1)
        case .array(let elements) where !elements.isEmpty:
            if breaksLine { out += "\n" }
            write(elements, level: level + 1)
        default:
            if breaksLine { out += " " }
            writeScalar(value, level: level + 1)
        }
    }

    private mutating func writeScalar(_ value: JSONValue, level: Int) {
        guard case .string(let text) = value, Self.suitsBlock(text) else {
            out += Self.scalar(value) + "\n"
            return
        }
        out += text.hasSuffix("\n") ? "|\n" : "|-\n"
        let body = text.hasSuffix("\n") ? text.dropLast() : text[...]
        for line in body.split(separator: "\n", omittingEmptySubsequences: false) {
            if !line.isEmpty { indent(level) }
            out += line + "\n"
        }
    }

    private mutating func indent(_ level: Int) { out += String(repeating: "  ", count: level) }

    /// A text of several lines that a literal block gives back exactly.
    private static func suitsBlock(_ text: String) -> Bool {
        guard text.contains("\n"), let first = text.first, first != " ", first != "\n", !text.hasSuffix("\n\n") else {
            return false
        }
        return text.unicodeScalars.allSatisfy { $0 == "\n" || isPrintable($0) }
            && !text.split(separator: "\n", omittingEmptySubsequences: false).contains { $0.last == " " }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x20 && scalar.value != 0x7f && !(0x80...0x9f).contains(scalar.value)
            && ![0xfeff, 0x2028, 0x2029, 0xfffe, 0xffff].contains(scalar.value)
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): plainOrQuoted(text)
        case .double(let number) where number.isNaN: ".nan"
        case .double(let number) where number.isInfinite: number < 0 ? "-.inf" : ".inf"
        default: value.text()
        }
    }

    /// The string without quotes where every reader takes it for that string; in JSON's quotes elsewhere, with what
    /// YAML does not allow in a text escaped, too.
    private static func plainOrQuoted(_ text: String) -> String {
        guard !isSafePlain(text) else { return text }
        let quoted = JSONValue.string(text).text()
        guard !quoted.unicodeScalars.allSatisfy(isPrintable) else { return quoted }
        var out = ""
        for scalar in quoted.unicodeScalars {
            guard !isPrintable(scalar) else {
                out.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            let width = digits.count > 4 ? 8 : 4
            out += (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - digits.count) + digits
        }
        return out
    }

    private static func isSafePlain(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 200 else { return false }
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a }
        func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
        // Words that one of YAML's versions takes for a truth value or nothing; numbers and dates begin with a digit.
        let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        guard isLetter(first) || first == UInt8(ascii: "_") || first == UInt8(ascii: "/"),
            !words.contains(text.lowercased()), last != UInt8(ascii: ":"), last != 0x20
        else { return false }
        var previous: UInt8 = 0
        for byte in bytes {
            let isAllowed = isLetter(byte) || isDigit(byte) || " _-./:@+=,()<>*%$^;!?&|'~".utf8.contains(byte)
            guard isAllowed, !(byte == 0x20 && previous == UInt8(ascii: ":")) else { return false }
            previous = byte
        }
        return true
    }
}
