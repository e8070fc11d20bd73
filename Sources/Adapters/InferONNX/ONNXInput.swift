import AerieCore
import AerieData
import COnnxRuntime

/// One input's elements in the model's own type, in memory that the library reads from. Immutable once made.
final class ONNXInput {
    private let spec: TensorSpec
    private let dimensions: [Int64]
    private let storage: UnsafeMutableRawBufferPointer
    /// For texts: one after the other, each ended by a zero byte, and where each begins.
    private let starts: [Int]

    /// The inputs in the model's order.
    static func match(_ tensors: [Tensor], to specs: [TensorSpec]) throws(AerieError) -> [ONNXInput] {
        for (index, tensor) in tensors.enumerated() {
            guard specs.contains(where: { $0.name == tensor.name }) else {
                throw .invalid("inputs[\(index)]", "the model has no input '\(tensor.name)'; it has \(names(specs))")
            }
            if tensors[..<index].contains(where: { $0.name == tensor.name }) {
                throw .invalid("inputs[\(index)]", "the input '\(tensor.name)' is given twice")
            }
        }
        var inputs: [ONNXInput] = []
        for spec in specs {
            guard let tensor = tensors.first(where: { $0.name == spec.name }) else {
                throw .invalid("inputs", "the input '\(spec.name)' is missing; the model has \(names(specs))")
            }
            inputs.append(try ONNXInput(tensor, spec))
        }
        return inputs
    }

    init(_ tensor: Tensor, _ spec: TensorSpec) throws(AerieError) {
        let field = "inputs.\(tensor.name)"
        let fits = spec.shape.isEmpty
            || spec.shape.count == tensor.shape.count
                && zip(spec.shape, tensor.shape).allSatisfy { $0 < 0 || $0 == $1 }
        if !fits { throw .invalid(field, "the shape is \(tensor.shape), but the model takes \(spec.shape)") }
        guard let count = tensor.elementCount else { throw .invalid(field, "\(tensor.shape) is not a shape") }
        self.spec = spec
        dimensions = tensor.shape.map(Int64.init)
        if spec.dataType == .bytes || tensor.dataType == .bytes {
            guard spec.dataType == tensor.dataType else { throw Self.wrongType(field, tensor, spec) }
            (storage, starts) = try Self.texts(tensor, count: count, field)
            return
        }
        starts = []
        guard let size = tensor.dataType.byteCount, let wanted = spec.dataType.byteCount else {
            throw Self.wrongType(field, tensor, spec)
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        if overflow || bytes != tensor.bytes.count {
            let type = tensor.dataType.rawValue
            throw .invalid(field, "\(tensor.bytes.count) bytes are not \(count) elements of \(type)")
        }
        // Never empty, as the library wants an address even for no elements.
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: max(16, count * wanted), alignment: 64)
        do throws(AerieError) {
            try Self.convert(tensor, count: count, to: spec, into: target, field)
        } catch {
            target.deallocate()
            throw error
        }
        storage = target
    }

    deinit { storage.deallocate() }

    /// The tensor as the library's value, over this object's memory; to be released before it ends.
    func makeValue() throws(AerieError) -> cort_handle {
        var value: cort_handle?
        let status: cort_status
        if spec.dataType == .bytes {
            let pointers = starts.map { start in
                storage.baseAddress.map { UnsafePointer(($0 + start).assumingMemoryBound(to: CChar.self)) }
            }
            status = cort_string_tensor(pointers, pointers.count, dimensions, dimensions.count, &value)
        } else {
            let count = Tensor.elementCount(of: dimensions.map { Int($0) }) ?? 0
            status = cort_tensor(
                storage.baseAddress, count * (spec.dataType.byteCount ?? 1), dimensions, dimensions.count,
                spec.dataType.onnxElement, &value)
        }
        try ONNXFailure.check(status)
        guard let value else { throw AerieError(.internal, "ONNX Runtime makes no tensor for '\(spec.name)'") }
        return value
    }

    private static func names(_ specs: [TensorSpec]) -> String { specs.map { "'\($0.name)'" }.joined(separator: ", ") }

    private static func wrongType(_ field: String, _ tensor: Tensor, _ spec: TensorSpec) -> AerieError {
        .invalid(field, "the type is \(tensor.dataType.rawValue), but the model takes \(spec.dataType.rawValue)")
    }

    /// Copies, or converts between number types: integers among each other if every value fits, integers to floating
    /// point, and FP32 and FP64 to each other. Nothing else keeps its meaning.
    private static func convert(
        _ tensor: Tensor, count: Int, to spec: TensorSpec, into target: UnsafeMutableRawBufferPointer, _ field: String
    ) throws(AerieError) {
        if tensor.dataType == spec.dataType {
            tensor.bytes.withUnsafeBytes { target.copyMemory(from: $0) }
            if spec.dataType == .bool {
                // The library reads booleans as such: any byte but 0 is true.
                for index in 0..<count where target[index] > 1 { target[index] = 1 }
            }
            return
        }
        let source = tensor.bytes
        switch tensor.dataType {
        case .fp32: try floats(source.read(Float.self, count), spec, target, wrongType(field, tensor, spec))
        case .fp64: try floats(source.read(Double.self, count), spec, target, wrongType(field, tensor, spec))
        case .int8: try integers(source.read(Int8.self, count), tensor, spec, target, field)
        case .int16: try integers(source.read(Int16.self, count), tensor, spec, target, field)
        case .int32: try integers(source.read(Int32.self, count), tensor, spec, target, field)
        case .int64: try integers(source.read(Int64.self, count), tensor, spec, target, field)
        case .uint8: try integers(source.read(UInt8.self, count), tensor, spec, target, field)
        case .uint16: try integers(source.read(UInt16.self, count), tensor, spec, target, field)
        case .uint32: try integers(source.read(UInt32.self, count), tensor, spec, target, field)
        case .uint64: try integers(source.read(UInt64.self, count), tensor, spec, target, field)
        case .bool, .fp16, .bf16, .bytes: throw wrongType(field, tensor, spec)
        }
    }

    private static func floats<T: BinaryFloatingPoint>(
        _ source: [T], _ spec: TensorSpec, _ target: UnsafeMutableRawBufferPointer, _ error: AerieError
    ) throws(AerieError) {
        switch spec.dataType {
        case .fp32: source.map { Float($0) }.write(to: target)
        case .fp64: source.map { Double($0) }.write(to: target)
        default: throw error
        }
    }

    private static func integers<T: FixedWidthInteger>(
        _ source: [T], _ tensor: Tensor, _ spec: TensorSpec, _ target: UnsafeMutableRawBufferPointer, _ field: String
    ) throws(AerieError) {
        func exact<U: FixedWidthInteger & BitwiseCopyable>(_: U.Type) throws(AerieError) {
            let values = source.compactMap { U(exactly: $0) }
            if values.count != source.count {
                let wrong = source.first { U(exactly: $0) == nil } ?? 0
                throw .invalid(field, "\(wrong) does not fit into the model's \(spec.dataType.rawValue)")
            }
            values.write(to: target)
        }
        switch spec.dataType {
        case .fp32: source.map { Float($0) }.write(to: target)
        case .fp64: source.map { Double($0) }.write(to: target)
        case .int8: try exact(Int8.self)
        case .int16: try exact(Int16.self)
        case .int32: try exact(Int32.self)
        case .int64: try exact(Int64.self)
        case .uint8: try exact(UInt8.self)
        case .uint16: try exact(UInt16.self)
        case .uint32: try exact(UInt32.self)
        case .uint64: try exact(UInt64.self)
        case .bool, .fp16, .bf16, .bytes: throw wrongType(field, tensor, spec)
        }
    }

    /// The protocol's texts (a length, then the bytes) as C strings.
    private static func texts(
        _ tensor: Tensor, count: Int, _ field: String
    ) throws(AerieError) -> (UnsafeMutableRawBufferPointer, [Int]) {
        var out: [UInt8] = []
        var starts: [Int] = []
        var offset = 0
        let bytes = tensor.bytes
        while offset < bytes.count {
            guard bytes.count - offset >= 4 else { throw .invalid(field, "a length is cut off", offset: offset) }
            let length = bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
            offset += 4
            guard length <= bytes.count - offset else {
                throw .invalid(field, "an element of \(length) bytes goes beyond the end", offset: offset - 4)
            }
            let text = bytes[offset..<offset + length]
            if text.contains(0) {
                throw .invalid(field, "an element holds a zero byte, which texts may not", offset: offset)
            }
            starts.append(out.count)
            out.append(contentsOf: text)
            out.append(0)
            offset += length
        }
        if starts.count != count {
            throw .invalid(field, "\(starts.count) elements are given for the shape \(tensor.shape)")
        }
        let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, out.count), alignment: 16)
        storage.copyBytes(from: out)
        return (storage, starts)
    }
}

extension [UInt8] {
    fileprivate func read<T: BitwiseCopyable>(_: T.Type, _ count: Int) -> [T] {
        withUnsafeBytes { raw in
            (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.stride, as: T.self) }
        }
    }
}

extension Array where Element: BitwiseCopyable {
    fileprivate func write(to target: UnsafeMutableRawBufferPointer) {
        withUnsafeBytes { target.copyMemory(from: $0) }
    }
}
