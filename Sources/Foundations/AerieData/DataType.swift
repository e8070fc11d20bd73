/// The element types of the Open Inference Protocol v2, by its names.
public enum DataType: String, Hashable, Sendable, CaseIterable, Codable {
    case bool = "BOOL"
    case uint8 = "UINT8", uint16 = "UINT16", uint32 = "UINT32", uint64 = "UINT64"
    case int8 = "INT8", int16 = "INT16", int32 = "INT32", int64 = "INT64"
    case fp16 = "FP16", bf16 = "BF16", fp32 = "FP32", fp64 = "FP64"
    case bytes = "BYTES"

    /// Bytes per element; `nil` for `BYTES`, whose elements carry their own length.
    public var byteCount: Int? {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .fp16, .bf16: 2
        case .uint32, .int32, .fp32: 4
        case .uint64, .int64, .fp64: 8
        case .bytes: nil
        }
    }
}

/// The name, element type and shape of one input or output. A dimension of -1 is decided by the request.
public struct TensorSpec: Hashable, Sendable, Codable {
    public var name: String
    public var dataType: DataType
    public var shape: [Int]

    public init(name: String, dataType: DataType, shape: [Int]) {
        self.name = name
        self.dataType = dataType
        self.shape = shape
    }
}

/// A named tensor: little-endian, row-major, without padding.
///
/// `BYTES` elements are stored as the protocol writes them: a little-endian UInt32 length, then that many bytes.
public struct Tensor: Hashable, Sendable {
    public var name: String
    public var dataType: DataType
    public var shape: [Int]
    public var bytes: [UInt8]

    /// No check is made that `bytes` fits `shape`; `elementCount` and `validate()` do that.
    public init(name: String, dataType: DataType, shape: [Int], bytes: [UInt8]) {
        self.name = name
        self.dataType = dataType
        self.shape = shape
        self.bytes = bytes
    }

    /// A tensor from Swift values, copied. The element type must be the one of `dataType`.
    public init<Element: BitwiseCopyable>(name: String, dataType: DataType, shape: [Int], elements: [Element]) {
        precondition(dataType.byteCount == MemoryLayout<Element>.stride, "\(Element.self) is not \(dataType.rawValue)")
        self.init(name: name, dataType: dataType, shape: shape, bytes: elements.withUnsafeBytes { Array($0) })
    }

    /// The product of the dimensions; `nil` if one is negative or the product overflows.
    public var elementCount: Int? { Tensor.elementCount(of: shape) }

    public static func elementCount(of shape: [Int]) -> Int? {
        var count = 1
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if dimension < 0 || overflow { return nil }
            count = product
        }
        return count
    }

    /// The elements as Swift values, copied. The element type must be the one of `dataType`.
    public func elements<Element: BitwiseCopyable>(as type: Element.Type) -> [Element] {
        precondition(dataType.byteCount == MemoryLayout<Element>.stride, "\(Element.self) is not \(dataType.rawValue)")
        let count = bytes.count / MemoryLayout<Element>.stride
        return bytes.withUnsafeBytes { raw in
            (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self) }
        }
    }
}
