import AerieCore
import AerieData
import AerieJSON
import AerieWire
import Serving

/// TensorFlow's `TensorProto`, in proto3's JSON and in protobuf: dtype 1, tensor_shape 2, tensor_content 4, and the
/// fields that hold elements one by one: float_val 5, double_val 6, int_val 7, string_val 8, int64_val 10, bool_val 11,
/// uint32_val 16, uint64_val 17.
enum TensorProto {
    static let typeName = "tensorflow.TensorProto"

    /// TensorFlow's numbers and names of the element types, and the fields that hold elements one by one.
    private static let types: [(type: DataType, number: UInt64, name: String, field: Int, json: String)] = [
        (.fp32, 1, "DT_FLOAT", 5, "floatVal"), (.fp64, 2, "DT_DOUBLE", 6, "doubleVal"),
        (.int32, 3, "DT_INT32", 7, "intVal"), (.uint8, 4, "DT_UINT8", 7, "intVal"),
        (.int16, 5, "DT_INT16", 7, "intVal"), (.int8, 6, "DT_INT8", 7, "intVal"),
        (.bytes, 7, "DT_STRING", 8, "stringVal"), (.int64, 9, "DT_INT64", 10, "int64Val"),
        (.bool, 10, "DT_BOOL", 11, "boolVal"), (.uint16, 17, "DT_UINT16", 7, "intVal"),
        (.uint32, 22, "DT_UINT32", 16, "uint32Val"), (.uint64, 23, "DT_UINT64", 17, "uint64Val"),
    ]

    private typealias Kind = (type: DataType, number: UInt64, name: String, field: Int, json: String)

    private static func kind(of tensor: Tensor) throws(AerieError) -> Kind {
        guard let kind = types.first(where: { $0.type == tensor.dataType }) else {
            throw AerieError(.unsupported, "tftensor: \(tensor.dataType.rawValue) is not carried out")
        }
        return kind
    }

    // MARK: JSON

    static func read(_ value: JSONValue) throws(AerieError) -> Tensor {
        let asked = value["dtype"]
        guard let kind = types.first(where: { $0.name == asked?.string || asked?.int == Int64($0.number) }) else {
            throw .invalid("data.tftensor.dtype", "\(asked?.text() ?? "nothing") is no element type that is known here")
        }
        let shape = (value["tensorShape"]?["dim"]?.array ?? []).map { dimension -> Int in
            let size = dimension["size"]
            return Int(clamping: size?.int ?? size?.string.flatMap { Int64($0) } ?? 0)
        }
        guard let count = MessageShape.elementCount(shape) else {
            throw .invalid("data.tftensor.tensorShape", "\(shape) is no shape")
        }
        if let text = value["tensorContent"]?.string, !text.isEmpty {
            guard let bytes = Base64.decode(text) else {
                throw .invalid("data.tftensor.tensorContent", "is no base64")
            }
            return try made(kind, shape, count, bytes, isContent: true)
        }
        var bytes: [UInt8] = []
        for element in value[kind.json]?.array ?? [] {
            guard append(element, kind.type, to: &bytes) else {
                throw .invalid("data.tftensor.\(kind.json)", "\(element.text()) is no \(kind.name)")
            }
        }
        return try made(kind, shape, count, bytes, isContent: false)
    }

    /// - Parameter isContent: elements as memory holds them; else fewer are the last one again and again.
    private static func made(
        _ kind: Kind, _ shape: [Int], _ count: Int, _ bytes: [UInt8], isContent: Bool
    ) throws(AerieError) -> Tensor {
        guard count <= 1 << 26 else { throw AerieError(.resourceExhausted, "tftensor: \(count) elements are too many") }
        var bytes = bytes
        if let size = kind.type.byteCount {
            if !isContent, !bytes.isEmpty, bytes.count < count * size {
                let last = Array(bytes.suffix(size))
                while bytes.count < count * size { bytes += last }
            }
            guard bytes.count == count * size else {
                throw .invalid("data.tftensor", "has \(bytes.count / size) elements, but shape \(shape) needs \(count)")
            }
        }
        return Tensor(name: "", dataType: kind.type, shape: shape, bytes: bytes)
    }

    static func json(_ tensor: Tensor) throws(AerieError) -> JSONValue {
        let kind = try kind(of: tensor)
        let dims = tensor.shape.map { JSONValue.object(["size": .string("\($0)")]) }
        let elements: [JSONValue] = switch tensor.dataType {
        case .bytes: (tensor.byteElements ?? []).map { .string(Base64.standard.encode($0)) }
        case .int64, .uint64: tensor.jsonElements.map { .string($0.text()) }
        default: tensor.jsonElements
        }
        return .object([
            "dtype": .string(kind.name), "tensorShape": ["dim": .array(dims)], kind.json: .array(elements),
        ])
    }

    private static func append(_ value: JSONValue, _ type: DataType, to bytes: inout [UInt8]) -> Bool {
        func put<Element: BitwiseCopyable>(_ element: Element?) -> Bool {
            guard let element else { return false }
            withUnsafeBytes(of: element) { bytes.append(contentsOf: $0) }
            return true
        }
        let whole = value.int ?? value.string.flatMap { Int64($0) }
        let real = value.double ?? (value.string == "NaN" ? .nan : nil)
        switch type {
        case .fp32: return put(real.map { Float($0) })
        case .fp64: return put(real)
        case .bool: return put(value.bool.map { UInt8($0 ? 1 : 0) })
        case .uint8: return put(whole.flatMap { UInt8(exactly: $0) })
        case .int8: return put(whole.flatMap { Int8(exactly: $0) })
        case .uint16: return put(whole.flatMap { UInt16(exactly: $0) })
        case .int16: return put(whole.flatMap { Int16(exactly: $0) })
        case .uint32: return put(whole.flatMap { UInt32(exactly: $0) })
        case .int32: return put(whole.flatMap { Int32(exactly: $0) })
        case .int64: return put(whole)
        case .uint64: return put(whole.flatMap { UInt64(exactly: $0) } ?? value.string.flatMap { UInt64($0) })
        case .bytes:
            guard let data = value.string.flatMap({ Base64.decode($0) }) else { return false }
            _ = put(UInt32(data.count))
            bytes.append(contentsOf: data)
            return true
        case .fp16, .bf16: return false
        }
    }

    // MARK: Protobuf

    static func read(proto bytes: [UInt8]) throws(AerieError) -> Tensor {
        let result = bytes.withUnsafeBytes { raw -> Result<Tensor, AerieError> in
            do throws(AerieError) { return .success(try read(proto: raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    static func read(proto bytes: UnsafeRawBufferPointer) throws(AerieError) -> Tensor {
        var number: UInt64 = 0
        var shape: [Int] = []
        var content: [UInt8] = []
        var parts: [(field: Int, wire: Int, bytes: [UInt8])] = []
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 0): number = try reader.varint()
            case (2, 2): shape = try readShape(try reader.delimited())
            case (4, 2): content = Array(try reader.delimited())
            case (5...17, 2): parts.append((field.number, 2, Array(try reader.delimited())))
            case (5...17, 0):
                var one = AerieWire.ProtobufWriter()
                one.varint(try reader.varint())
                parts.append((field.number, 0, one.bytes))
            case (5, 5): parts.append((5, 5, littleEndian(try reader.fixed32())))
            case (6, 1): parts.append((6, 1, littleEndian(try reader.fixed64())))
            default: try reader.skip(field)
            }
        }
        guard let kind = types.first(where: { $0.number == number }) else {
            throw .invalid("data.tftensor.dtype", "\(number) is no element type that is known here")
        }
        guard let count = MessageShape.elementCount(shape) else {
            throw .invalid("data.tftensor.tensor_shape", "\(shape) is no shape")
        }
        if !content.isEmpty { return try made(kind, shape, count, content, isContent: true) }
        var elements: [UInt8] = []
        for part in parts where part.field == kind.field { try append(part.bytes, kind.type, to: &elements) }
        return try made(kind, shape, count, elements, isContent: false)
    }

    private static func littleEndian<Whole: FixedWidthInteger>(_ value: Whole) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    private static func readShape(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> [Int] {
        var shape: [Int] = []
        var reader = AerieWire.ProtobufReader(bytes)
        while let field = try reader.next() {
            guard field.number == 2, field.wire == 2 else {
                try reader.skip(field)
                continue
            }
            var size = 0
            var dimension = AerieWire.ProtobufReader(try reader.delimited())
            while let field = try dimension.next() {
                if field.number == 1, field.wire == 0 {
                    size = Int(Int64(bitPattern: try dimension.varint()))
                } else {
                    try dimension.skip(field)
                }
            }
            shape.append(size)
        }
        return shape
    }

    /// A packed list, or one element, of a field of values.
    private static func append(_ packed: [UInt8], _ type: DataType, to bytes: inout [UInt8]) throws(AerieError) {
        if type == .fp32 || type == .fp64 {
            bytes += packed
            return
        }
        if type == .bytes {
            withUnsafeBytes(of: UInt32(packed.count).littleEndian) { bytes.append(contentsOf: $0) }
            bytes += packed
            return
        }
        let size = type.byteCount ?? 8
        let result = packed.withUnsafeBytes { raw -> Result<[UInt8], AerieError> in
            do throws(AerieError) {
                var made: [UInt8] = []
                var reader = AerieWire.ProtobufReader(raw)
                while !reader.isAtEnd {
                    let value = try reader.varint()
                    withUnsafeBytes(of: value.littleEndian) { made.append(contentsOf: $0.prefix(size)) }
                }
                return .success(made)
            } catch { return .failure(error) }
        }
        bytes += try result.get()
    }

    static func encode(_ tensor: Tensor) throws(AerieError) -> [UInt8] {
        let kind = try kind(of: tensor)
        var writer = AerieWire.ProtobufWriter()
        writer.field(1, varint: kind.number)
        var shape = AerieWire.ProtobufWriter()
        for size in tensor.shape {
            var dimension = AerieWire.ProtobufWriter()
            dimension.field(1, varint: UInt64(max(0, size)))
            shape.field(2, bytes: dimension.bytes)
        }
        writer.field(2, bytes: shape.bytes)
        if tensor.dataType == .bytes {
            for element in tensor.byteElements ?? [] { writer.field(8, bytes: element) }
        } else {
            writer.field(4, bytes: tensor.bytes)
        }
        return writer.bytes
    }
}
