import AerieCore
import AerieJSON
import AerieWire

/// `google.protobuf.Value`, `Struct` and `ListValue` in protobuf: JSON as messages. Fields: Value {null 1, number 2,
/// string 3, bool 4, struct 5, list 6}, Struct {fields 1: a map}, ListValue {values 1}.
enum WellKnownValue {
    static let types: Set = ["google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"]
    private static let maximumDepth = 64

    /// - Throws: `unsupported` for a value that the type cannot hold.
    static func encode(_ value: JSONValue, as type: String) throws(AerieError) -> [UInt8] {
        switch (type, value) {
        case ("google.protobuf.Value", _): return message(value)
        case ("google.protobuf.ListValue", .array(let list)): return message(list)
        case ("google.protobuf.Struct", .object(let object)): return message(object)
        case ("google.protobuf.Struct", _): return message(JSONObject([("result", value)]))
        default: throw AerieError(.unsupported, "customData: the answer cannot be told as \(type)")
        }
    }

    static func message(_ value: JSONValue) -> [UInt8] {
        var writer = AerieWire.ProtobufWriter()
        switch value {
        case .null: writer.field(1, varint: 0)
        case .int(let number): writer.field(2, fixed64: Double(number).bitPattern)
        case .double(let number): writer.field(2, fixed64: number.bitPattern)
        case .string(let text): writer.field(3, text: text)
        case .bool(let flag): writer.field(4, varint: flag ? 1 : 0)
        case .object(let object): writer.field(5, bytes: message(object))
        case .array(let list): writer.field(6, bytes: message(list))
        }
        return writer.bytes
    }

    static func message(_ list: [JSONValue]) -> [UInt8] {
        var writer = AerieWire.ProtobufWriter()
        for element in list { writer.field(1, bytes: message(element)) }
        return writer.bytes
    }

    static func message(_ object: JSONObject) -> [UInt8] {
        var writer = AerieWire.ProtobufWriter()
        for member in object.members {
            var entry = AerieWire.ProtobufWriter()
            entry.field(1, text: member.key)
            entry.field(2, bytes: message(member.value))
            writer.field(1, bytes: entry.bytes)
        }
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8], as type: String) throws(AerieError) -> JSONValue {
        let result = bytes.withUnsafeBytes { raw -> Result<JSONValue, AerieError> in
            do throws(AerieError) {
                switch type {
                case "google.protobuf.Value": return .success(try value(raw, 0))
                case "google.protobuf.ListValue": return .success(.array(try list(raw, 0)))
                case "google.protobuf.Struct": return .success(.object(try object(raw, 0)))
                default: throw AerieError(.unsupported, "customData: \(type) is not known")
                }
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    static func value(_ bytes: UnsafeRawBufferPointer, _ depth: Int) throws(AerieError) -> JSONValue {
        guard depth < maximumDepth else { throw .invalid("", "the value is nested more than \(maximumDepth) deep") }
        var found = JSONValue.null
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (2, 1): found = .double(Double(bitPattern: try reader.fixed64()))
            case (3, 2): found = .string(try reader.text())
            case (4, 0): found = .bool(try reader.varint() != 0)
            case (5, 2): found = .object(try object(try reader.delimited(), depth + 1))
            case (6, 2): found = .array(try list(try reader.delimited(), depth + 1))
            default: try reader.skip(field)
            }
        }
        return found
    }

    static func list(_ bytes: UnsafeRawBufferPointer, _ depth: Int) throws(AerieError) -> [JSONValue] {
        var elements: [JSONValue] = []
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            if field.number == 1, field.wire == 2 {
                elements.append(try value(try reader.delimited(), depth + 1))
            } else {
                try reader.skip(field)
            }
        }
        return elements
    }

    static func object(_ bytes: UnsafeRawBufferPointer, _ depth: Int) throws(AerieError) -> JSONObject {
        var object = JSONObject()
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            guard field.number == 1, field.wire == 2 else {
                try reader.skip(field)
                continue
            }
            let (name, entry) = try mapEntry(try reader.delimited())
            object[name] = try value(entry, depth + 1)
        }
        return object
    }

    /// A map's entry with a text for its key and a message for its value.
    static func mapEntry(
        _ bytes: UnsafeRawBufferPointer
    ) throws(AerieError) -> (String, UnsafeRawBufferPointer) {
        var name = ""
        var value = UnsafeRawBufferPointer(start: nil, count: 0)
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): name = try reader.text()
            case (2, 2): value = try reader.delimited()
            default: try reader.skip(field)
            }
        }
        return (name, value)
    }
}
