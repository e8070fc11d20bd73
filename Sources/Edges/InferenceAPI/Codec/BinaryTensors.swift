import AerieCore
import AerieData

/// Gives each input with `binary_data_size` its bytes behind the JSON, in the order of the inputs.
struct BinaryTensors {
    /// What follows the JSON in the body.
    let tail: UnsafeRawBufferPointer

    func attach(to scratch: InferScratch) throws(AerieError) {
        var at = 0
        for index in scratch.inputs.indices {
            guard let size = scratch.inputs[index].binarySize else { continue }
            if scratch.inputs[index].hasData {
                throw .invalid("inputs[\(index)]", "has both data and binary_data_size")
            }
            guard size <= tail.count - at else {
                throw .invalid(
                    "inputs[\(index)].parameters.binary_data_size",
                    "\(size) bytes are promised, \(tail.count - at) are left")
            }
            scratch.inputs[index].raw = UnsafeRawBufferPointer(rebasing: tail[at..<(at + size)])
            scratch.inputs[index].hasData = true
            at += size
        }
        guard at == tail.count else {
            throw .invalid("", "unexpected additional input data: \(tail.count - at) bytes after the last tensor")
        }
    }

    /// Checks raw inputs against their shapes and, for a tabular model, appends their numbers to the elements.
    static func readRaw(in scratch: InferScratch, rowType: DataType?) throws(AerieError) {
        for index in scratch.inputs.indices where scratch.inputs[index].raw.baseAddress != nil
            || scratch.inputs[index].binarySize != nil
        {
            let part = scratch.inputs[index]
            guard let type = part.dataType else { throw .invalid("inputs[\(index)].datatype", "missing") }
            guard let count = scratch.elementCount(part.dims) else {
                throw .invalid(
                    "inputs[\(index)].shape", "\(scratch.shape(part.dims)) has a negative dimension or is too large")
            }
            if let width = type.byteCount {
                let (bytes, overflow) = count.multipliedReportingOverflow(by: width)
                guard !overflow, bytes == part.raw.count else {
                    throw .invalid(
                        "inputs[\(index)]",
                        "\(part.raw.count) bytes do not match \(type.rawValue) of shape \(scratch.shape(part.dims))")
                }
            } else {
                try checkBytes(part.raw, count: count, index)
            }
            guard let rowType else { continue }
            scratch.inputs[index].list.count = count
            let isNumeric: Bool
            if rowType == .fp64 {
                scratch.inputs[index].firstElement = scratch.elements.count / 8
                isNumeric = appendElements(part.raw, of: type, as: Double.self, into: scratch.elements)
            } else {
                scratch.inputs[index].firstElement = scratch.elements.count / 4
                isNumeric = appendElements(part.raw, of: type, as: Float.self, into: scratch.elements)
            }
            if !isNumeric { throw .invalid("inputs[\(index)].datatype", "BYTES are no numbers") }
        }
    }

    /// `BYTES` elements: a little-endian length, then that many bytes, `count` times.
    private static func checkBytes(_ raw: UnsafeRawBufferPointer, count: Int, _ index: Int) throws(AerieError) {
        var at = 0
        var seen = 0
        while at < raw.count {
            guard raw.count - at >= 4 else { throw .invalid("inputs[\(index)]", "a BYTES element is cut short") }
            let length = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            at += 4
            guard raw.count - at >= length else { throw .invalid("inputs[\(index)]", "a BYTES element is cut short") }
            at += length
            seen += 1
        }
        guard seen == count else { throw .invalid("inputs[\(index)]", "\(seen) BYTES elements, shape needs \(count)") }
    }
}
