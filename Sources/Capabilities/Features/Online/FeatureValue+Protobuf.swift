public import AerieCore
public import AerieWire

/// `feast.types.Value`: one member of a `oneof`, numbered as Feast numbers them, so that each can read what the other
/// has written. A null is a message without a member.
extension FeatureValue {
    private enum Member {
        static let bytes = 1, string = 2, int32 = 3, int64 = 4, double = 5, float = 6, bool = 7, timestamp = 8
        /// Lists of the types above are ten further.
        static let list = 10
        static let stringList = 12, int32List = 13, int64List = 14, doubleList = 15, floatList = 16, boolList = 17
    }

    public var protobuf: [UInt8] {
        var writer = ProtobufWriter()
        write(to: &writer)
        return writer.bytes
    }

    public func write(to writer: inout ProtobufWriter) {
        switch self {
        case .null: break
        case .bool(let value): writer.field(Member.bool, varint: value ? 1 : 0)
        case .int32(let value): writer.field(Member.int32, varint: UInt64(bitPattern: Int64(value)))
        case .int64(let value): writer.field(Member.int64, varint: UInt64(bitPattern: value))
        case .float(let value): writer.field(Member.float, fixed32: value.bitPattern)
        case .double(let value): writer.field(Member.double, fixed64: value.bitPattern)
        case .string(let value): writer.field(Member.string, text: value)
        case .bytes(let value): writer.field(Member.bytes, bytes: value)
        case .timestamp(let value): writer.field(Member.timestamp, varint: UInt64(bitPattern: value))
        case .list(let type, let values): writer.field(Self.member(listOf: type), bytes: Self.list(values))
        }
    }

    private static func member(listOf type: FeatureType) -> Int {
        switch type {
        case .int32: Member.int32List
        case .int64: Member.int64List
        case .double: Member.doubleList
        case .float: Member.floatList
        case .bool: Member.boolList
        case .bytes: Member.list + Member.bytes
        case .timestamp: Member.list + Member.timestamp
        default: Member.stringList
        }
    }

    /// The message around a list's elements: field 1, packed where they are numbers.
    private static func list(_ values: [FeatureValue]) -> [UInt8] {
        var writer = ProtobufWriter()
        var packed = ProtobufWriter()
        for value in values {
            switch value {
            case .string(let text): writer.field(1, text: text)
            case .bytes(let bytes): writer.field(1, bytes: bytes)
            case .bool(let value): packed.varint(value ? 1 : 0)
            case .int32(let value): packed.varint(UInt64(bitPattern: Int64(value)))
            case .int64(let value), .timestamp(let value): packed.varint(UInt64(bitPattern: value))
            case .float(let value): packed.append(fixed32: value.bitPattern)
            case .double(let value): packed.append(fixed64: value.bitPattern)
            case .null, .list: break
            }
        }
        if !packed.bytes.isEmpty { writer.field(1, bytes: packed.bytes) }
        return writer.bytes
    }

    /// Reads one value. A member of a kind that is not known here reads as null.
    /// - Throws: `invalidArgument` if the bytes are no such message.
    public init(protobuf bytes: UnsafeRawBufferPointer) throws(AerieError) {
        var reader = ProtobufReader(bytes)
        self = .null
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (Member.bytes, 2): self = .bytes(Array(try reader.delimited()))
            case (Member.string, 2): self = .string(try reader.text())
            case (Member.int32, 0): self = .int32(Int32(truncatingIfNeeded: try reader.varint()))
            case (Member.int64, 0): self = .int64(Int64(bitPattern: try reader.varint()))
            case (Member.double, 1): self = .double(Double(bitPattern: try reader.fixed64()))
            case (Member.float, 5): self = .float(Float(bitPattern: try reader.fixed32()))
            case (Member.bool, 0): self = .bool(try reader.varint() != 0)
            case (Member.timestamp, 0): self = .timestamp(Int64(bitPattern: try reader.varint()))
            case (11...18, 2): self = try Self.readList(field.number, try reader.delimited())
            default: try reader.skip(field)
            }
        }
    }

    private static func readList(_ number: Int, _ bytes: UnsafeRawBufferPointer) throws(AerieError) -> FeatureValue {
        var reader = ProtobufReader(bytes)
        let types: [Int: FeatureType] = [
            11: .bytes, Member.stringList: .string, Member.int32List: .int32, Member.int64List: .int64,
            Member.doubleList: .double, Member.floatList: .float, Member.boolList: .bool, 18: .timestamp,
        ]
        let type = types[number] ?? .string
        var values: [FeatureValue] = []
        while let field = try reader.next() {
            guard field.number == 1 else {
                try reader.skip(field)
                continue
            }
            switch type {
            case .string: values.append(.string(try reader.text()))
            case .bytes: values.append(.bytes(Array(try reader.delimited())))
            default:
                if field.wire == 2 {
                    var packed = ProtobufReader(try reader.delimited())
                    while !packed.isAtEnd { values.append(try element(type, &packed)) }
                } else {
                    values.append(try element(type, &reader))
                }
            }
        }
        return .list(type, values)
    }

    private static func element(_ type: FeatureType, _ reader: inout ProtobufReader) throws(AerieError) -> FeatureValue
    {
        switch type {
        case .float: .float(Float(bitPattern: try reader.fixed32()))
        case .double: .double(Double(bitPattern: try reader.fixed64()))
        case .bool: .bool(try reader.varint() != 0)
        case .int32: .int32(Int32(truncatingIfNeeded: try reader.varint()))
        case .timestamp: .timestamp(Int64(bitPattern: try reader.varint()))
        default: .int64(Int64(bitPattern: try reader.varint()))
        }
    }
}
