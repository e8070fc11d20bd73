/// One element of an answer: object stores speak a small part of XML, of which names, text and nesting matter.
struct XMLNode: Equatable {
    var name: String
    var text = ""
    var children: [XMLNode] = []

    subscript(name: String) -> String? { children.first { $0.name == name }?.text }
    func all(_ name: String) -> [XMLNode] { children.filter { $0.name == name } }

    /// The outermost element, names without their prefix; `nil` for what is not XML, ends too early, or is nested
    /// deeper than 32 times. Attributes, comments and instructions are passed over.
    static func parse(_ bytes: [UInt8]) -> XMLNode? {
        var parser = XMLParser(bytes: bytes[...])
        return parser.document()
    }

    /// Text as the content of an element.
    static func escape(_ text: String) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\r": out += "&#13;"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}

private struct XMLParser {
    var bytes: ArraySlice<UInt8>

    mutating func document() -> XMLNode? {
        var open: [XMLNode] = []
        while let byte = bytes.first {
            guard byte == UInt8(ascii: "<") else {
                let text = bytes.prefix { $0 != UInt8(ascii: "<") }
                bytes = bytes[text.endIndex...]
                if !open.isEmpty { open[open.count - 1].text += Self.unescape(text) }
                continue
            }
            if take("<![CDATA[") {
                guard let text = take(until: "]]>") else { return nil }
                if !open.isEmpty { open[open.count - 1].text += String(decoding: text, as: UTF8.self) }
            } else if take("<!--") {
                guard take(until: "-->") != nil else { return nil }
            } else if take("<?") || take("<!") {
                guard take(until: ">") != nil else { return nil }
            } else if take("</") {
                guard let name = take(until: ">"), let last = open.popLast(), Self.local(name) == last.name else {
                    return nil
                }
                guard !open.isEmpty else { return last }
                open[open.count - 1].children.append(last)
            } else {
                bytes = bytes.dropFirst()
                guard open.count < 32, let tag = tag() else { return nil }
                let isEmpty = tag.last == UInt8(ascii: "/")
                let node = XMLNode(name: Self.local(isEmpty ? tag.dropLast() : tag))
                if !isEmpty {
                    open.append(node)
                } else if open.isEmpty {
                    return node
                } else {
                    open[open.count - 1].children.append(node)
                }
            }
        }
        return nil
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes.starts(with: wanted) else { return false }
        bytes = bytes.dropFirst(wanted.count)
        return true
    }

    private mutating func take(until end: String) -> ArraySlice<UInt8>? {
        let wanted = Array(end.utf8)
        var index = bytes.startIndex
        while index + wanted.count <= bytes.endIndex {
            if bytes[index] == wanted[0], bytes[index..<(index + wanted.count)].elementsEqual(wanted) {
                let found = bytes[bytes.startIndex..<index]
                bytes = bytes[(index + wanted.count)...]
                return found
            }
            index += 1
        }
        return nil
    }

    /// What stands before the `>` of an opening tag; one in an attribute's quotes does not end it.
    private mutating func tag() -> ArraySlice<UInt8>? {
        var quote: UInt8?
        for index in bytes.indices {
            let byte = bytes[index]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                let found = bytes[bytes.startIndex..<index]
                bytes = bytes[(index + 1)...]
                return found
            }
        }
        return nil
    }

    private static func local(_ tag: ArraySlice<UInt8>) -> String {
        let name = tag.prefix { $0 > 0x20 }
        return String(decoding: name.split(separator: UInt8(ascii: ":")).last ?? [], as: UTF8.self)
    }

    private static func unescape(_ text: ArraySlice<UInt8>) -> String {
        guard text.contains(UInt8(ascii: "&")) else { return String(decoding: text, as: UTF8.self) }
        var out = ""
        var rest = String(decoding: text, as: UTF8.self)[...]
        while let mark = rest.firstIndex(of: "&") {
            out += rest[..<mark]
            rest = rest[mark...]
            guard let end = rest.prefix(12).firstIndex(of: ";"),
                let value = entity(rest[rest.index(after: rest.startIndex)..<end])
            else {
                out += "&"
                rest = rest.dropFirst()
                continue
            }
            out += value
            rest = rest[rest.index(after: end)...]
        }
        return out + rest
    }

    private static func entity(_ name: Substring) -> String? {
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard name.first == "#" else { return nil }
            let digits = name.dropFirst()
            let number = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            return number.flatMap(Unicode.Scalar.init).map { String(Character($0)) }
        }
    }
}
