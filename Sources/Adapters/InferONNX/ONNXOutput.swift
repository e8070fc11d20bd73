import AerieCore
import AerieData
import COnnxRuntime

/// Copies the library's values into tensors.
enum ONNXOutput {
    static func read(_ value: cort_handle, as spec: TensorSpec) throws(AerieError) -> Tensor {
        var kind: Int32 = 0
        try ONNXFailure.check(cort_value_kind(value, &kind))
        if kind == CORT_KIND_SEQUENCE.int32 { return try probabilities(value, name: spec.name) }
        var type = cort_type()
        var count = 0
        try ONNXFailure.check(cort_value_shape(value, &type, &count))
        guard let dataType = DataType(onnxElement: type.element) else {
            throw AerieError(.internal, "the output '\(spec.name)' has the element type \(type.element)")
        }
        let bytes = dataType == .bytes ? try texts(value, count: count) : try numbers(value, dataType, count: count)
        return Tensor(name: spec.name, dataType: dataType, shape: type.shape, bytes: bytes)
    }

    private static func numbers(_ value: cort_handle, _ type: DataType, count: Int) throws(AerieError) -> [UInt8] {
        var data: UnsafeMutableRawPointer?
        try ONNXFailure.check(cort_value_data(value, &data))
        return Array(UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : count * (type.byteCount ?? 0)))
    }

    private static func texts(_ value: cort_handle, count: Int) throws(AerieError) -> [UInt8] {
        if count == 0 { return [] }
        var size = 0
        try ONNXFailure.check(cort_value_text_size(value, &size))
        var text = [UInt8](repeating: 0, count: max(1, size))
        var starts = [Int](repeating: 0, count: count)
        try ONNXFailure.check(cort_value_text(value, &text, size, &starts, count))
        var out: [UInt8] = []
        out.reserveCapacity(size + 4 * count)
        for (index, start) in starts.enumerated() {
            let end = index + 1 < count ? starts[index + 1] : size
            withUnsafeBytes(of: UInt32(clamping: end - start).littleEndian) { out.append(contentsOf: $0) }
            out.append(contentsOf: text[start..<end])
        }
        return out
    }

    /// A sequence of maps from class to probability, as rows and classes.
    private static func probabilities(_ value: cort_handle, name: String) throws(AerieError) -> Tensor {
        var rows = 0
        try ONNXFailure.check(cort_value_count(value, &rows))
        var bytes: [UInt8] = []
        var columns = 0
        for row in 0..<rows {
            let map = try element(value, row)
            defer { cort_value_release(map) }
            let values = try element(map, 1)
            defer { cort_value_release(values) }
            var type = cort_type()
            var count = 0
            try ONNXFailure.check(cort_value_shape(values, &type, &count))
            if type.element != DataType.fp32.onnxElement || (row > 0 && count != columns) {
                throw AerieError(.internal, "the output '\(name)' has rows of different classes")
            }
            columns = count
            bytes += try numbers(values, .fp32, count: count)
        }
        return Tensor(name: name, dataType: .fp32, shape: [rows, columns], bytes: bytes)
    }

    private static func element(_ value: cort_handle, _ index: Int) throws(AerieError) -> cort_handle {
        var element: cort_handle?
        try ONNXFailure.check(cort_value_element(value, Int32(clamping: index), &element))
        guard let element else { throw AerieError(.internal, "ONNX Runtime gives no element \(index)") }
        return element
    }
}

extension Int {
    /// Anonymous C enumerations come over as `Int`.
    var int32: Int32 { Int32(truncatingIfNeeded: self) }
}
