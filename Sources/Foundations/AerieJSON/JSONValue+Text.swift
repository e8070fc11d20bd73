extension JSONValue {
    /// Reads one JSON value from the whole text.
    /// - Throws: `JSONError` with the offset of the first byte that is wrong.
    public static func parse(_ text: String, allowsNonFinite: Bool = false) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8), allowsNonFinite: allowsNonFinite)
    }

    public static func parse(_ bytes: [UInt8], allowsNonFinite: Bool = false) throws(JSONError) -> JSONValue {
        let result = bytes.withUnsafeBytes { raw -> Result<JSONValue, JSONError> in
            var reader = JSONReader(raw, allowsNonFinite: allowsNonFinite)
            do throws(JSONError) {
                let value = try reader.readValue()
                try reader.end()
                return .success(value)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The value as text. Non-finite numbers become `null`, as JSON has no other word for them.
    /// - Parameter indent: spaces a level; 0 writes one line.
    public func text(indent: Int = 0) -> String {
        var out = ""
        write(to: &out, indent: indent, level: 0)
        return out
    }

    private func write(to out: inout String, indent: Int, level: Int) {
        func newLine(_ level: Int) {
            guard indent > 0 else { return }
            out += "\n" + String(repeating: " ", count: indent * level)
        }
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .int(let value): out += "\(value)"
        case .double(let value): out += value.isFinite ? "\(value)" : "null"
        case .string(let value): JSONValue.quote(value, to: &out)
        case .array(let elements):
            out += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { out += "," }
                newLine(level + 1)
                element.write(to: &out, indent: indent, level: level + 1)
            }
            if !elements.isEmpty { newLine(level) }
            out += "]"
        case .object(let object):
            out += "{"
            for (index, member) in object.members.enumerated() {
                if index > 0 { out += "," }
                newLine(level + 1)
                JSONValue.quote(member.key, to: &out)
                out += indent > 0 ? ": " : ":"
                member.value.write(to: &out, indent: indent, level: level + 1)
            }
            if !object.isEmpty { newLine(level) }
            out += "}"
        }
    }

    /// Appends the string in quotes, with what JSON must have escaped escaped.
    public static func quote(_ string: String, to out: inout String) {
        out += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}

extension JSONReader {
    /// Reads the next value, of any kind, as a `JSONValue`.
    public mutating func readValue() throws(JSONError) -> JSONValue {
        switch try peek() {
        case .null:
            try readNull()
            return .null
        case .bool: return .bool(try readBool())
        case .string: return .string(try readString())
        case .number: return try readNumber()
        case .array:
            var elements: [JSONValue] = []
            try beginArray()
            while try nextElement() { elements.append(try readValue()) }
            return .array(elements)
        case .object:
            var object = JSONObject()
            try beginObject()
            while let key = try nextKey() { object.members.append(.init(key: try string(key), value: try readValue())) }
            return .object(object)
        case .end: throw JSONError(offset: offset, problem: "the text ends where a value was expected")
        }
    }

    private mutating func readNumber() throws(JSONError) -> JSONValue {
        let range = try readNumberRange()
        finishValue()
        if let value = wholeNumber(range) { return .int(value) }
        return .double(parseDouble(range))
    }
}
