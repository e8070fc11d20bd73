public import AerieCore
import AerieJSON
public import AerieWire

/// `feast.types.Value`: one member of a `oneof`, numbered as Feast numbers them, so that each can read what the other
/// has written. A null is a message without a member.
extension FeatureValue {
    private enum Member {
        static let bytes = 1, string = 2, int32 = 3, int64 = 4, double = 5, float = 6, bool = 7, timestamp = 8
    }

    /// How deep values within values may be read.
    private static let depthLimit = 64

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
        case .text(let type, let text): writer.field(type.feastNumber, text: text)
        case .list(let type, let values):
            writer.field((type.list ?? .stringList).feastNumber, bytes: Self.list(values))
        case .set(let type, let values):
            writer.field((type.set ?? .stringSet).feastNumber, bytes: Self.list(values))
        case .nested(let type, let value): writer.field(type.feastNumber, bytes: Self.message(type, value))
        }
    }

    /// The message around a list's elements: field 1, packed where they are numbers.
    private static func list(_ values: [FeatureValue]) -> [UInt8] {
        var writer = ProtobufWriter()
        var packed = ProtobufWriter()
        for value in values {
            switch value {
            case .string(let text), .text(_, let text): writer.field(1, text: text)
            case .bytes(let bytes): writer.field(1, bytes: bytes)
            case .bool(let value): packed.varint(value ? 1 : 0)
            case .int32(let value): packed.varint(UInt64(bitPattern: Int64(value)))
            case .int64(let value), .timestamp(let value): packed.varint(UInt64(bitPattern: value))
            case .float(let value): packed.append(fixed32: value.bitPattern)
            case .double(let value): packed.append(fixed64: value.bitPattern)
            case .null, .list, .set, .nested: break
            }
        }
        if !packed.bytes.isEmpty { writer.field(1, bytes: packed.bytes) }
        return writer.bytes
    }

    /// Reads one value. A member of a kind that is not known here reads as null.
    /// - Throws: `invalidArgument` if the bytes are no such message.
    public init(protobuf bytes: UnsafeRawBufferPointer) throws(AerieError) { try self.init(protobuf: bytes, depth: 0) }

    private init(protobuf bytes: UnsafeRawBufferPointer, depth: Int) throws(AerieError) {
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
            case (let number, 2):
                guard let type = FeatureType(feastNumber: number) else {
                    try reader.skip(field)
                    continue
                }
                if let element = type.element {
                    let values = try Self.elements(element, try reader.delimited())
                    self = type.isSet ? .set(element, values) : .list(element, values)
                } else if type.isNested {
                    self = .nested(type, try Self.nested(type, try reader.delimited(), depth))
                } else {
                    self = .text(type, try reader.text())
                }
            default: try reader.skip(field)
            }
        }
    }

    private static func elements(
        _ type: FeatureType, _ bytes: UnsafeRawBufferPointer
    ) throws(AerieError) -> [FeatureValue] {
        var reader = ProtobufReader(bytes)
        var values: [FeatureValue] = []
        while let field = try reader.next() {
            guard field.number == 1 else {
                try reader.skip(field)
                continue
            }
            switch type {
            case .string: values.append(.string(try reader.text()))
            case _ where type.isFormattedText: values.append(.text(type, try reader.text()))
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
        return values
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

    // MARK: Values within values

    /// `Map`, `MapList` or `RepeatedValue`. The types of the values within are those that Feast infers: of JSON's own.
    private static func message(_ type: FeatureType, _ value: JSONValue) -> [UInt8] {
        var writer = ProtobufWriter()
        switch type {
        case .map, .structure:
            for member in value.object?.members ?? [] {
                var entry = ProtobufWriter()
                entry.field(1, text: member.key)
                entry.field(2, bytes: FeatureValue(inferred: member.value).protobuf)
                writer.field(1, bytes: entry.bytes)
            }
        case .mapList, .structureList:
            for map in value.array ?? [] { writer.field(1, bytes: message(.map, map)) }
        default:
            for one in value.array ?? [] { writer.field(1, bytes: FeatureValue(inferred: one).protobuf) }
        }
        return writer.bytes
    }

    private init(inferred json: JSONValue) {
        switch json {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int64(number)
        case .double(let number): self = .double(number)
        case .string(let text): self = .string(text)
        case .object: self = .nested(.map, json)
        case .array(let values):
            if !values.isEmpty, values.allSatisfy({ $0.object != nil }) {
                self = .nested(.mapList, json)
                return
            }
            let list = values.map { FeatureValue(inferred: $0) }
            let types: [FeatureType] = [.string, .bool, .int64]
            if let type = types.first(where: { type in list.allSatisfy { $0.type == type } }) {
                self = .list(type, list)
            } else if list.allSatisfy({ $0.type == .int64 || $0.type == .double }) {
                self = .list(.double, values.map { .double($0.double ?? .nan) })
            } else {
                self = .nested(.valueList, json)
            }
        }
    }

    /// Of what JSON has as one value.
    private var type: FeatureType? {
        switch self {
        case .bool: .bool
        case .int64: .int64
        case .double: .double
        case .string: .string
        default: nil
        }
    }

    private static func nested(
        _ type: FeatureType, _ bytes: UnsafeRawBufferPointer, _ depth: Int
    ) throws(AerieError) -> JSONValue {
        guard depth < depthLimit else { throw .invalid("value", "is more than \(depthLimit) values deep") }
        var reader = ProtobufReader(bytes)
        var values: [JSONValue] = []
        var members = JSONObject()
        while let field = try reader.next() {
            guard field.number == 1, field.wire == 2 else {
                try reader.skip(field)
                continue
            }
            let part = try reader.delimited()
            switch type {
            case .map, .structure:
                let (key, value) = try entry(part, depth)
                members[key] = value
            case .mapList, .structureList: values.append(try nested(.map, part, depth + 1))
            default: values.append(try FeatureValue(protobuf: part, depth: depth + 1).json)
            }
        }
        return type == .map || type == .structure ? .object(members) : .array(values)
    }

    private static func entry(
        _ bytes: UnsafeRawBufferPointer, _ depth: Int
    ) throws(AerieError) -> (key: String, value: JSONValue) {
        var reader = ProtobufReader(bytes)
        var (key, value) = ("", JSONValue.null)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): key = try reader.text()
            case (2, 2): value = try FeatureValue(protobuf: try reader.delimited(), depth: depth + 1).json
            default: try reader.skip(field)
            }
        }
        return (key, value)
    }
}
