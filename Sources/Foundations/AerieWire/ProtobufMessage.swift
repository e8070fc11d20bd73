public import AerieCore

/// A protobuf message taken apart into its fields, in their order and with their bytes as they came, so that what this
/// program does not know of goes out again as it came in. For messages that are kept and read in a few places; costs an
/// allocation a field. Format: protobuf.dev, "Encoding".
public struct ProtobufMessage: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
        case varint(UInt64)
        case fixed64(UInt64)
        case bytes([UInt8])
        case fixed32(UInt32)
    }

    public struct Field: Sendable, Hashable {
        public var number: Int
        public var value: Value

        public init(_ number: Int, _ value: Value) {
            self.number = number
            self.value = value
        }
    }

    public var fields: [Field]

    public init(_ fields: [Field] = []) { self.fields = fields }

    /// - Throws: `invalidArgument` with the offset at which the bytes are no message.
    public init(bytes: some Sequence<UInt8>) throws(AerieError) {
        let whole = Array(bytes)
        let result = whole.withUnsafeBytes { raw -> Result<[Field], AerieError> in
            do throws(AerieError) { return .success(try Self.read(raw)) } catch { return .failure(error) }
        }
        fields = try result.get()
    }

    private static func read(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> [Field] {
        var fields: [Field] = []
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() {
            switch field.wire {
            case 0: fields.append(Field(field.number, .varint(try reader.varint())))
            case 1: fields.append(Field(field.number, .fixed64(try reader.fixed64())))
            case 2: fields.append(Field(field.number, .bytes(Array(try reader.delimited()))))
            case 5: fields.append(Field(field.number, .fixed32(try reader.fixed32())))
            default: try reader.skip(field)
            }
        }
        return fields
    }

    public var bytes: [UInt8] {
        var writer = ProtobufWriter()
        for field in fields {
            switch field.value {
            case .varint(let value): writer.field(field.number, varint: value)
            case .fixed64(let value): writer.field(field.number, fixed64: value)
            case .bytes(let value): writer.field(field.number, bytes: value)
            case .fixed32(let value): writer.field(field.number, fixed32: value)
            }
        }
        return writer.bytes
    }

    // MARK: Reading. Of a field that is no list the last one counts; one of another wire type is as good as absent.

    public func has(_ number: Int) -> Bool { fields.contains { $0.number == number } }

    public func number(_ number: Int) -> UInt64 {
        guard case .varint(let value)? = fields.last(where: { $0.number == number })?.value else { return 0 }
        return value
    }

    public func data(_ number: Int) -> [UInt8]? {
        guard case .bytes(let value)? = fields.last(where: { $0.number == number })?.value else { return nil }
        return value
    }

    /// Empty where there is none; broken UTF-8 is mended.
    public func text(_ number: Int) -> String { String(decoding: data(number) ?? [], as: UTF8.self) }

    public func all(_ number: Int) -> [[UInt8]] {
        fields.compactMap { field in
            guard field.number == number, case .bytes(let value) = field.value else { return nil }
            return value
        }
    }

    public func texts(_ number: Int) -> [String] { all(number).map { String(decoding: $0, as: UTF8.self) } }

    /// The message in a field; `nil` where there is none.
    public func message(_ number: Int) throws(AerieError) -> ProtobufMessage? {
        guard let data = data(number) else { return nil }
        return try ProtobufMessage(bytes: data)
    }

    public func messages(_ number: Int) throws(AerieError) -> [ProtobufMessage] {
        var found: [ProtobufMessage] = []
        for bytes in all(number) { found.append(try ProtobufMessage(bytes: bytes)) }
        return found
    }

    /// A `map<string, string>`, in the order of its keys.
    public func map(_ number: Int) throws(AerieError) -> [(key: String, value: String)] {
        var map: [String: String] = [:]
        for entry in try messages(number) { map[entry.text(1)] = entry.text(2) }
        return map.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
    }

    // MARK: Writing

    /// Puts one value in the place of all that the field has, where the first of them stood; `nil` takes them away.
    public mutating func set(_ number: Int, _ value: Value?) {
        let place = fields.firstIndex { $0.number == number }
        fields.removeAll { $0.number == number }
        guard let value else { return }
        fields.insert(Field(number, value), at: min(place ?? fields.count, fields.count))
    }

    /// An empty text is left out, as proto3 has it.
    public mutating func set(_ number: Int, text: String) {
        set(number, text.isEmpty ? nil : .bytes(Array(text.utf8)))
    }

    /// 0 is left out.
    public mutating func set(_ number: Int, number value: UInt64) { set(number, value == 0 ? nil : .varint(value)) }

    public mutating func set(_ number: Int, message: ProtobufMessage?) {
        set(number, (message?.bytes).map { .bytes($0) })
    }

    public mutating func append(_ number: Int, message: ProtobufMessage) {
        fields.append(Field(number, .bytes(message.bytes)))
    }

    public mutating func append(_ number: Int, text: String) { fields.append(Field(number, .bytes(Array(text.utf8)))) }

    /// Adds the entries of a `map<string, string>`.
    public mutating func append(_ number: Int, map: [(key: String, value: String)]) {
        for entry in map {
            var message = ProtobufMessage()
            message.set(1, text: entry.key)
            message.set(2, text: entry.value)
            append(number, message: message)
        }
    }
}
