import AerieData
import AerieHTTP
import NIOCore
import Serving

/// Writes the body of an Open Inference Protocol answer.
struct InferAnswer {
    let plan: PredictorPlan

    /// - Parameters:
    ///   - id: the request's `id` as it stood in its JSON, escapes and all.
    ///   - parameters: of the answer; an `assembly` of features writes its own.
    ///   - tail: takes the binary tensors, which come behind the JSON.
    func writeJSON(
        _ prediction: Prediction, id: ArraySlice<UInt8>?, selection: [SelectedOutput],
        parameters: [(name: String, value: FeatureReport.Value)], assembly: FeatureAssembly? = nil,
        results: UnsafeRawBufferPointer, to out: inout ByteBuffer, tail: inout ByteBuffer
    ) {
        out.writeBytes(plan.jsonStart)
        if let id {
            out.writeStaticString(",\"id\":\"")
            out.writeBytes(id)
            out.writeStaticString("\"")
        }
        if !parameters.isEmpty { write(parameters, to: &out) }
        assembly?.writeParameters(to: &out)
        out.writeStaticString(",\"outputs\":[")
        for (place, output) in selection.enumerated() {
            if place > 0 { out.writeStaticString(",") }
            switch prediction {
            case .rows(let count):
                out.writeBytes(plan.jsonOutputStarts[output.index])
                out.writeDecimal(count)
                if plan.outputs[output.index].shape.count >= 2 || plan.outputCount > 1 {
                    out.writeStaticString(",")
                    out.writeDecimal(plan.outputCount)
                }
                write(results, plan.outputs[output.index].dataType, output.isBinary, to: &out, tail: &tail)
            case .tensors(let tensors):
                let tensor = tensors[output.index]
                out.writeStaticString("{\"name\":")
                out.writeQuoted(tensor.name.utf8)
                out.writeStaticString(",\"datatype\":\"")
                out.writeString(tensor.dataType.rawValue)
                out.writeStaticString("\",\"shape\":[")
                for (axis, dimension) in tensor.shape.enumerated() {
                    if axis > 0 { out.writeStaticString(",") }
                    out.writeDecimal(dimension)
                }
                tensor.bytes.withUnsafeBytes { write($0, tensor.dataType, output.isBinary, to: &out, tail: &tail) }
            }
        }
        out.writeStaticString("]}")
    }

    private func write(_ parameters: [(name: String, value: FeatureReport.Value)], to out: inout ByteBuffer) {
        out.writeStaticString(",\"parameters\":{")
        for (place, parameter) in parameters.enumerated() {
            if place > 0 { out.writeStaticString(",") }
            out.writeQuoted(parameter.name.utf8)
            out.writeStaticString(":")
            switch parameter.value {
            case .text(let text): out.writeQuoted(text.utf8)
            case .number(let number): out.writeDecimal(Int(number))
            }
        }
        out.writeStaticString("}")
    }

    private func write(
        _ bytes: UnsafeRawBufferPointer, _ type: DataType, _ isBinary: Bool, to out: inout ByteBuffer,
        tail: inout ByteBuffer
    ) {
        if isBinary {
            out.writeStaticString("],\"parameters\":{\"binary_data_size\":")
            out.writeDecimal(bytes.count)
            out.writeStaticString("}}")
            tail.writeBytes(bytes)
            return
        }
        out.writeStaticString("],\"data\":[")
        writeElements(bytes, type, to: &out)
        out.writeStaticString("]}")
    }
}

/// Elements of any type as JSON, separated by commas.
func writeElements(_ bytes: UnsafeRawBufferPointer, _ type: DataType, to out: inout ByteBuffer) {
    func each<Element: BitwiseCopyable>(_: Element.Type, _ write: (Element, inout ByteBuffer) -> Void) {
        let stride = MemoryLayout<Element>.stride
        for index in 0..<(bytes.count / stride) {
            if index > 0 { out.writeStaticString(",") }
            write(bytes.loadUnaligned(fromByteOffset: index * stride, as: Element.self), &out)
        }
    }
    switch type {
    case .fp32: each(Float.self) { $1.writeNumber($0) }
    case .fp64: each(Double.self) { $1.writeNumber($0) }
    case .fp16: each(UInt16.self) { $1.writeNumber(floatFromHalf($0)) }
    case .bf16: each(UInt16.self) { $1.writeNumber(Float(bitPattern: UInt32($0) << 16)) }
    case .bool: each(UInt8.self) { $1.writeStaticString($0 == 0 ? "false" : "true") }
    case .uint8: each(UInt8.self) { $1.writeDecimal(Int($0)) }
    case .uint16: each(UInt16.self) { $1.writeDecimal(Int($0)) }
    case .uint32: each(UInt32.self) { $1.writeDecimal(Int($0)) }
    case .uint64: each(UInt64.self) { $1.writeDecimal(UInt($0)) }
    case .int8: each(Int8.self) { $1.writeDecimal(Int($0)) }
    case .int16: each(Int16.self) { $1.writeDecimal(Int($0)) }
    case .int32: each(Int32.self) { $1.writeDecimal(Int($0)) }
    case .int64: each(Int64.self) { $1.writeDecimal(Int($0)) }
    case .bytes:
        var at = 0
        while at + 4 <= bytes.count {
            if at > 0 { out.writeStaticString(",") }
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            at += 4
            guard length <= bytes.count - at else { return }
            let text = String(decoding: bytes[at..<(at + length)], as: UTF8.self)
            out.writeQuoted(text.utf8)
            at += length
        }
    }
}
