import AerieCore
import AerieData
import AerieJSON

/// Makes tensors of a request's inputs, for models that take them whole. Allocates.
struct TensorBuilder {
    let scratch: InferScratch
    let body: UnsafeRawBufferPointer

    func build() throws(AerieError) -> [Tensor] {
        var tensors: [Tensor] = []
        tensors.reserveCapacity(scratch.inputs.count)
        for index in scratch.inputs.indices { tensors.append(try tensor(index)) }
        if tensors.isEmpty { throw .invalid("inputs", "the list of inputs is empty") }
        return tensors
    }

    private func tensor(_ index: Int) throws(AerieError) -> Tensor {
        let part = scratch.inputs[index]
        guard let type = part.dataType else { throw .invalid("inputs[\(index)].datatype", "missing") }
        guard part.hasShape else { throw .invalid("inputs[\(index)].shape", "missing") }
        guard part.hasData else { throw .invalid("inputs[\(index)].data", "missing") }
        let shape = scratch.shape(part.dims)
        guard let count = Tensor.elementCount(of: shape) else {
            throw .invalid("inputs[\(index)].shape", "\(shape) has a negative dimension or is too large")
        }
        let name = scratch.string(part.name)
        if part.json.isEmpty { return Tensor(name: name, dataType: type, shape: shape, bytes: Array(part.raw)) }
        var bytes: [UInt8] = []
        let seen: Int
        do throws(JSONError) {
            var reader = JSONReader(UnsafeRawBufferPointer(rebasing: body[part.json]))
            seen = try readElements(&reader, type, into: &bytes)
        } catch {
            throw JSONError(offset: error.offset + part.json.lowerBound, problem: error.problem)
                .asAerieError(in: "inputs[\(index)].data")
        }
        guard seen == count else {
            throw .invalid("inputs[\(index)].data", "has \(seen) elements, but shape \(shape) needs \(count)")
        }
        return Tensor(name: name, dataType: type, shape: shape, bytes: bytes)
    }

    private func readElements(
        _ reader: inout JSONReader, _ type: DataType, into bytes: inout [UInt8]
    ) throws(JSONError) -> Int {
        var count = 0
        var depth = 1
        try reader.beginArray()
        while depth > 0 {
            guard try reader.nextElement() else {
                depth -= 1
                continue
            }
            if try reader.peek() == .array {
                try reader.beginArray()
                depth += 1
                continue
            }
            try readElement(&reader, type, into: &bytes)
            count += 1
        }
        return count
    }

    private func readElement(
        _ reader: inout JSONReader, _ type: DataType, into bytes: inout [UInt8]
    ) throws(JSONError) {
        switch type {
        case .bool:
            let isTrue = try reader.peek() == .bool ? try reader.readBool() : try reader.readInt() != 0
            bytes.append(isTrue ? 1 : 0)
        case .uint8: try append(&reader, UInt8.self, &bytes)
        case .uint16: try append(&reader, UInt16.self, &bytes)
        case .uint32: try append(&reader, UInt32.self, &bytes)
        case .uint64: try append(&reader, UInt64.self, &bytes)
        case .int8: try append(&reader, Int8.self, &bytes)
        case .int16: try append(&reader, Int16.self, &bytes)
        case .int32: try append(&reader, Int32.self, &bytes)
        case .int64: try append(&reader, Int64.self, &bytes)
        case .fp32: append(try readReal(&reader, as: Float.self).bitPattern, &bytes)
        case .fp64: append(try readReal(&reader, as: Double.self).bitPattern, &bytes)
        case .fp16, .bf16:
            throw JSONError(
                offset: reader.offset, problem: "\(type.rawValue) has no JSON form; use the binary data format")
        case .bytes:
            let string = try reader.readString()
            append(UInt32(truncatingIfNeeded: string.utf8.count), &bytes)
            bytes.append(contentsOf: string.utf8)
        }
    }

    private func append<Whole: FixedWidthInteger>(
        _ reader: inout JSONReader, _: Whole.Type, _ bytes: inout [UInt8]
    ) throws(JSONError) {
        let offset = reader.offset
        let value = try reader.peek() == .bool ? (try reader.readBool() ? 1 : 0) : try reader.readInt()
        guard let whole = Whole(exactly: value) else {
            throw JSONError(offset: offset, problem: "\(value) does not fit \(Whole.self)")
        }
        append(whole, &bytes)
    }

    private func append<Whole: FixedWidthInteger>(_ value: Whole, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private func readReal<Scalar: RowScalar>(
        _ reader: inout JSONReader, as _: Scalar.Type
    ) throws(JSONError) -> Scalar {
        switch try reader.peek() {
        case .null:
            try reader.readNull()
            return .nan
        case .bool: return try reader.readBool() ? 1 : 0
        case .string:
            let offset = reader.offset
            switch try reader.readString() {
            case "NaN", "nan": return .nan
            case "Infinity", "inf": return .infinity
            case "-Infinity", "-inf": return -.infinity
            default: throw JSONError(offset: offset, problem: "a number was expected, not text")
            }
        default: return try Scalar.read(&reader)
        }
    }
}
