import AerieCore
import AerieJSON
import AerieWire

/// What is declared of a feature whose values are vectors that rows are found by.
public struct VectorIndex: Sendable, Hashable {
    /// `nil` where each search says its own.
    public var metric: VectorMetric?
    /// How many numbers each vector has; `nil` where that is not said.
    public var length: Int?

    public init(metric: VectorMetric? = nil, length: Int? = nil) {
        self.metric = metric
        self.length = length
    }

    /// The greatest length that can be declared or asked with.
    static let lengthLimit = 65_536

    /// Whether values of a type are vectors.
    public static func takes(_ type: FeatureType) -> Bool { type == .floatList || type == .doubleList }

    /// Reads `vectorIndex`, `vectorLength` and `vectorSearchMetric` of a feature.
    /// - Returns: `nil` for a feature that rows are not found by.
    static func read(
        _ feature: JSONValue, type: FeatureType, _ place: String, _ problems: inout [AerieError.Detail]
    ) -> VectorIndex? {
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(place).\(field)", problem: problem))
        }
        guard feature["vectorIndex"]?.bool == true else {
            for field in ["vectorLength", "vectorSearchMetric"] where feature[field] != nil {
                wrong(field, "belongs to a feature with vectorIndex: true")
            }
            return nil
        }
        if !takes(type) { wrong("vectorIndex", "needs vectors, of dtype FLOAT_LIST or DOUBLE_LIST, not \(type.rawValue)") }
        var index = VectorIndex()
        if let length = feature["vectorLength"], !length.isNull {
            index.length = length.int.flatMap { Int(exactly: $0) }
            if !(1...lengthLimit).contains(index.length ?? 0) {
                wrong("vectorLength", "\(length.text()) is not from 1 to \(lengthLimit)")
            }
        }
        if let name = feature["vectorSearchMetric"]?.string {
            index.metric = VectorMetric(name: name)
            if index.metric == nil {
                wrong("vectorSearchMetric", "'\(name)' is no metric; there are \(VectorMetric.names.joined(separator: ", "))")
            }
        }
        return index
    }
}

/// Lends the numbers of vectors as they lie in a protobuf value, where they are of 32 bits and packed, as all writers
/// that are known write them; else as a copy.
struct VectorReading {
    private var copy: [Float] = []

    /// - Returns: `nil` for what is no list of numbers with a point.
    /// - Throws: `invalidArgument` if the bytes are no such message.
    mutating func withNumbers<Result>(
        protobuf bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(AerieError) -> Result? {
        if let packed = try Self.packed(bytes) { return body(packed) }
        guard case .list(let type, let values) = try FeatureValue(protobuf: bytes), type == .float || type == .double
        else { return nil }
        copy.removeAll(keepingCapacity: true)
        for value in values {
            switch value {
            case .float(let number): copy.append(number)
            case .double(let number): copy.append(Float(number))
            default: break
            }
        }
        return copy.withUnsafeBytes { body($0) }
    }

    /// `Value {16: FloatList {1: packed}}` with nothing else in it.
    private static func packed(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> UnsafeRawBufferPointer? {
        var value = ProtobufReader(bytes)
        guard let outer = try value.next(), outer.number == 16, outer.wire == 2 else { return nil }
        var list = ProtobufReader(try value.delimited())
        guard value.isAtEnd, let inner = try list.next(), inner.number == 1, inner.wire == 2 else { return nil }
        let numbers = try list.delimited()
        return list.isAtEnd && numbers.count % MemoryLayout<Float>.size == 0 ? numbers : nil
    }
}
