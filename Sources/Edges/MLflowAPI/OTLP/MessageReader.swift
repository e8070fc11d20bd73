import AerieCore
import AerieJSON

/// Reads protobuf's bytes into the JSON that protobuf writes of a message, with names as the message has them.
struct MessageReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset: Int
    private let end: Int
    private let depth: Int

    /// Deeper than this nothing is nested that a program wrote on purpose.
    static let depthLimit = 100

    init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, 0..<bytes.count, depth: 0) }

    private init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, depth: Int) {
        self.bytes = bytes
        offset = range.lowerBound
        end = range.upperBound
        self.depth = depth
    }

    /// - Throws: `invalidArgument` with the place of what is no protobuf.
    mutating func read(_ schema: MessageSchema) throws(AerieError) -> JSONObject {
        guard depth <= Self.depthLimit else { throw broken("is nested deeper than \(Self.depthLimit) messages") }
        var values: [(String, JSONValue)] = []
        var lists: [(String, [JSONValue])] = []
        while offset < end {
            let tag = try varint()
            guard tag >> 3 != 0 else { throw broken("has a field numbered 0") }
            guard let field = schema.fields[tag >> 3] else {
                try skip(tag & 7)
                continue
            }
            let value = try read(field.kind, wire: tag & 7)
            if !field.isList {
                // Of a field that comes twice the last one counts.
                values.removeAll { $0.0 == field.name }
                values.append((field.name, value))
            } else if let index = lists.firstIndex(where: { $0.0 == field.name }) {
                lists[index].1.append(value)
            } else {
                lists.append((field.name, [value]))
            }
        }
        return JSONObject(values + lists.map { ($0.0, .array($0.1)) })
    }

    private mutating func read(_ kind: MessageSchema.Kind, wire: UInt64) throws(AerieError) -> JSONValue {
        switch (kind, wire) {
        case (.text, 2): return .string(String(decoding: bytes[try chunk()], as: UTF8.self))
        case (.bytes, 2): return .string(Base64.standard.encode(bytes[try chunk()]))
        case (.message(let schema), 2):
            var inner = MessageReader(bytes, try chunk(), depth: depth + 1)
            return .object(try inner.read(schema()))
        case (.bool, 0): return .bool(try varint() != 0)
        case (.signed, 0): return .string(String(Int64(bitPattern: try varint())))
        case (.unsigned, 0): return .int(Int64(UInt32(truncatingIfNeeded: try varint())))
        case (.fixed64, 1): return .string(String(try fixed(8)))
        case (.fixed32, 5): return .int(Int64(try fixed(4)))
        case (.double, 1):
            let value = Double(bitPattern: try fixed(8))
            if value.isNaN { return "NaN" }
            return value.isInfinite ? .string(value > 0 ? "Infinity" : "-Infinity") : .double(value)
        default: throw broken("has a field of another type than it should be")
        }
    }

    private mutating func skip(_ wire: UInt64) throws(AerieError) {
        switch wire {
        case 0: _ = try varint()
        case 1: _ = try fixed(8)
        case 2: _ = try chunk()
        case 5: _ = try fixed(4)
        default: throw broken("has a field of an unknown kind")
        }
    }

    private mutating func chunk() throws(AerieError) -> Range<Int> {
        let length = try varint()
        guard length <= UInt64(end - offset) else { throw broken("ends within a field") }
        defer { offset += Int(length) }
        return offset..<offset + Int(length)
    }

    private mutating func fixed(_ width: Int) throws(AerieError) -> UInt64 {
        guard end - offset >= width else { throw broken("ends within a number") }
        defer { offset += width }
        return (0..<width).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }

    private mutating func varint() throws(AerieError) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard offset < end else { throw broken("ends within a number") }
            let byte = bytes[offset]
            offset += 1
            result |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return result }
        }
        throw broken("has a number of more than 10 bytes")
    }

    private func broken(_ problem: String) -> AerieError {
        .invalid("body", "is no OTLP trace request: at byte \(offset) it \(problem)")
    }
}

extension MessageSchema {
    /// The same form of a message that came as JSON: names with underscores, identifiers in base64, numbers of 64 bits
    /// as text. Fields that the schema does not have are left out.
    func normalized(_ value: JSONValue, path: String = "", depth: Int = 0) throws(AerieError) -> JSONObject {
        guard let object = value.object, depth <= MessageReader.depthLimit else {
            throw .invalid(path.isEmpty ? "body" : path, "an object was expected")
        }
        var result = JSONObject()
        for number in fields.keys.sorted() {
            guard let field = fields[number] else { continue }
            guard let value = object[field.camelName] ?? object[field.name], !value.isNull else { continue }
            let place = path.isEmpty ? field.camelName : "\(path).\(field.camelName)"
            if field.isList {
                guard let list = value.array else { throw .invalid(place, "a list was expected") }
                var values: [JSONValue] = []
                for (index, element) in list.enumerated() {
                    values.append(try Self.normalized(element, field, "\(place)[\(index)]", depth))
                }
                result[field.name] = .array(values)
            } else {
                result[field.name] = try Self.normalized(value, field, place, depth)
            }
        }
        return result
    }

    private static func normalized(
        _ value: JSONValue, _ field: Field, _ place: String, _ depth: Int
    ) throws(AerieError) -> JSONValue {
        switch field.kind {
        case .message(let schema): return .object(try schema().normalized(value, path: place, depth: depth + 1))
        case .text: if value.string != nil { return value }
        case .bool: if value.bool != nil { return value }
        case .bytes:
            guard let text = value.string else { break }
            guard field.isIdentifier else { return value }
            if let bytes = Hexadecimal.decode(text) { return .string(Base64.standard.encode(bytes)) }
        case .signed: if let number = value.int ?? value.string.flatMap(Int64.init) { return .string(String(number)) }
        case .fixed64:
            if let number = value.string.flatMap(UInt64.init) ?? value.int.flatMap(UInt64.init(exactly:)) {
                return .string(String(number))
            }
        case .unsigned, .fixed32:
            if let number = value.int ?? value.string.flatMap(Int64.init), 0...Int64(UInt32.max) ~= number {
                return .int(number)
            }
            if let number = value.string.flatMap({ words[$0] }) { return .int(number) }
        case .double:
            if let number = value.double, number.isFinite { return .double(number) }
            if let text = value.string, ["NaN", "Infinity", "-Infinity"].contains(text) { return value }
        }
        throw .invalid(place, "\(value.text().prefix(40)) is no value that this field takes")
    }

    /// Enumerations whose names clients write instead of their numbers.
    private static let words: [String: Int64] = [
        "STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "SPAN_KIND_UNSPECIFIED": 0,
        "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4,
        "SPAN_KIND_CONSUMER": 5,
    ]
}
