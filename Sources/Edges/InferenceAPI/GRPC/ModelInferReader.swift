import AerieCore
import AerieData
import AerieHTTP

/// A `ModelInferRequest` as found in its bytes; names and contents are slices of them.
struct ModelInferReader {
    var modelName = UnsafeRawBufferPointer(start: nil, count: 0)
    var modelVersion = UnsafeRawBufferPointer(start: nil, count: 0)
    var id = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether the request asks to be told which answer is its last (`triton_enable_empty_final_response`).
    private(set) var marksFinal = false
    /// `raw_input_contents`: most requests have one, which takes no list.
    private var firstRaw: UnsafeRawBufferPointer?
    private var otherRaw: [UnsafeRawBufferPointer] = []

    /// Reads the message into the scratch. `layOut` must follow before the numbers are used.
    init(_ message: UnsafeRawBufferPointer, into scratch: InferScratch) throws(AerieError) {
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            switch field.number {
            case 1: modelName = try reader.delimited(field)
            case 2: modelVersion = try reader.delimited(field)
            case 3: id = try reader.delimited(field)
            case 4: try readParameter(try reader.delimited(field), scratch)
            case 5: try Self.readInput(try reader.delimited(field), scratch)
            case 6: try Self.readOutput(try reader.delimited(field), scratch)
            case 7:
                let raw = try reader.delimited(field)
                if firstRaw == nil { firstRaw = raw } else { otherRaw.append(raw) }
            default: try reader.skip(field)
            }
        }
        if scratch.inputs.isEmpty { throw .invalid("inputs", "the request has no inputs") }
        try attachRaw(to: scratch)
    }

    /// The model's name by a message's beginning: it is the first field wherever fields are written in their order;
    /// empty where it is not, or is not all there.
    static func modelName(of beginning: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var reader = ProtobufReader(beginning)
        guard let field = try? reader.next(), field.number == 1, let name = try? reader.delimited(field) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return name
    }

    /// An entry of the map of parameters. A flag is 1; numbers are an `int64` (2) or an `uint64` (5).
    private mutating func readParameter(_ entry: UnsafeRawBufferPointer, _ scratch: InferScratch) throws(AerieError) {
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var number: UInt64?
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        var reader = ProtobufReader(entry)
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try reader.delimited(field)
            case 2:
                var value = ProtobufReader(try reader.delimited(field))
                while let field = try value.next() {
                    if field.wire == 0, [1, 2, 5].contains(field.number) {
                        number = try value.varint()
                    } else if field.wire == 2, field.number == 3 {
                        text = try value.delimited(field)
                    } else {
                        try value.skip(field)
                    }
                }
            default: try reader.skip(field)
            }
        }
        if equals(name, "explain"), number == nil {
            guard equals(text, "interactions") else {
                throw .invalid("parameters.explain", "is true, false or \"interactions\"")
            }
            scratch.explain = .interactions
        }
        guard let number else { return }
        if equals(name, "explain") {
            scratch.explain = number != 0 ? .values : nil
        } else if equals(name, "priority") {
            guard number <= 1 << 20 else { throw .invalid("parameters.priority", "\(number) is no level") }
            scratch.terms.priority = Int(number)
        } else if equals(name, "timeout") {
            // In microseconds.
            guard number <= 1 << 50 else { throw .invalid("parameters.timeout", "is negative or too large") }
            scratch.terms.timeout = number * 1000
        } else if equals(name, "triton_enable_empty_final_response") {
            marksFinal = number != 0
        }
    }

    private static func readInput(_ message: UnsafeRawBufferPointer, _ scratch: InferScratch) throws(AerieError) {
        var part = InputPart()
        part.hasShape = true
        let firstDimension = scratch.dims.count
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            switch field.number {
            case 1: part.name = scratch.keep(try reader.delimited(field))
            case 2:
                let name = try reader.delimited(field)
                guard let type = dataType(named: name) else {
                    throw .invalid("inputs[\(scratch.inputs.count)].datatype", "no such datatype: \(text(name))")
                }
                part.dataType = type
            case 3: try reader.eachVarint(field) { scratch.dims.append(Int(Int64(bitPattern: $0))) }
            case 5: part.contents = try reader.delimited(field)
            default: try reader.skip(field)
            }
        }
        part.dims = firstDimension..<scratch.dims.count
        scratch.inputs.append(part)
    }

    private static func readOutput(_ message: UnsafeRawBufferPointer, _ scratch: InferScratch) throws(AerieError) {
        var ask = OutputAsk()
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            if field.number == 1 {
                ask.name = scratch.keep(try reader.delimited(field))
            } else {
                try reader.skip(field)
            }
        }
        scratch.outputs.append(ask)
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes.prefix(40), as: UTF8.self)
    }

    /// `raw_input_contents`: for all inputs or for none.
    private func attachRaw(to scratch: InferScratch) throws(AerieError) {
        guard let firstRaw else {
            try TypedContents.layOut(scratch)
            return
        }
        guard 1 + otherRaw.count == scratch.inputs.count else {
            throw .invalid(
                "raw_input_contents", "\(1 + otherRaw.count) elements for \(scratch.inputs.count) inputs")
        }
        for index in scratch.inputs.indices {
            if let contents = scratch.inputs[index].contents, !contents.isEmpty {
                throw .invalid("inputs[\(index)].contents", "contents and raw_input_contents cannot be mixed")
            }
            let raw = index == 0 ? firstRaw : otherRaw[index - 1]
            scratch.inputs[index].raw = raw
            scratch.inputs[index].binarySize = raw.count
            scratch.inputs[index].hasData = true
        }
    }
}

/// Lays typed contents out as raw ones: little-endian elements of the input's type.
enum TypedContents {
    static func layOut(_ scratch: InferScratch) throws(AerieError) {
        var places: [Range<Int>] = []
        for index in scratch.inputs.indices {
            let start = scratch.typed.count
            if let contents = scratch.inputs[index].contents {
                guard let type = scratch.inputs[index].dataType else {
                    throw .invalid("inputs[\(index)].datatype", "missing")
                }
                try append(contents, type, index, to: scratch.typed)
            }
            places.append(start..<scratch.typed.count)
        }
        for index in scratch.inputs.indices {
            scratch.inputs[index].raw = UnsafeRawBufferPointer(rebasing: scratch.typed.bytes[places[index]])
            scratch.inputs[index].binarySize = places[index].count
            scratch.inputs[index].hasData = true
        }
    }

    /// The field of the contents that holds elements of a type.
    private static func fieldNumber(_ type: DataType) -> Int? {
        switch type {
        case .bool: 1
        case .int8, .int16, .int32: 2
        case .int64: 3
        case .uint8, .uint16, .uint32: 4
        case .uint64: 5
        case .fp32: 6
        case .fp64: 7
        case .bytes: 8
        case .fp16, .bf16: nil
        }
    }

    private static func append(
        _ contents: UnsafeRawBufferPointer, _ type: DataType, _ index: Int, to buffer: RowBuffer
    ) throws(AerieError) {
        guard let number = fieldNumber(type) else {
            throw .invalid("inputs[\(index)].contents", "\(type.rawValue) goes into raw_input_contents only")
        }
        var reader = ProtobufReader(contents)
        while let field = try reader.next() {
            guard field.number == number else {
                if (1...8).contains(field.number) {
                    throw .invalid(
                        "inputs[\(index)].contents", "field \(field.number) does not hold \(type.rawValue)")
                }
                try reader.skip(field)
                continue
            }
            switch type {
            case .fp32: try appendFixed(&reader, field, 4, buffer)
            case .fp64: try appendFixed(&reader, field, 8, buffer)
            case .bytes:
                let element = try reader.delimited(field)
                buffer.append(UInt32(truncatingIfNeeded: element.count))
                buffer.append(contentsOf: element)
            default:
                try reader.eachVarint(field) { value throws(AerieError) in
                    try appendWhole(value, type, index, buffer)
                }
            }
        }
    }

    private static func appendFixed(
        _ reader: inout ProtobufReader, _ field: ProtobufReader.Field, _ width: Int, _ buffer: RowBuffer
    ) throws(AerieError) {
        if field.wire == 5, width == 4 { return buffer.append(try reader.fixed32()) }
        if field.wire == 1, width == 8 { return buffer.append(try reader.fixed64()) }
        let values = try reader.delimited(field)
        guard values.count % width == 0 else { throw .invalid("contents", "a packed list is cut short") }
        buffer.append(contentsOf: values)
    }

    private static func appendWhole(
        _ value: UInt64, _ type: DataType, _ index: Int, _ buffer: RowBuffer
    ) throws(AerieError) {
        func exact<Whole: FixedWidthInteger & BitwiseCopyable>(
            _: Whole.Type, _ value: some BinaryInteger
        ) throws(AerieError) {
            guard let whole = Whole(exactly: value) else {
                throw .invalid("inputs[\(index)].contents", "\(value) does not fit \(type.rawValue)")
            }
            buffer.append(whole)
        }
        let signed = Int64(bitPattern: value)
        switch type {
        case .bool: buffer.append(UInt8(value == 0 ? 0 : 1))
        case .int8: try exact(Int8.self, signed)
        case .int16: try exact(Int16.self, signed)
        case .int32: try exact(Int32.self, signed)
        case .int64: buffer.append(signed)
        case .uint8: try exact(UInt8.self, value)
        case .uint16: try exact(UInt16.self, value)
        case .uint32: try exact(UInt32.self, value)
        default: buffer.append(value)
        }
    }
}
