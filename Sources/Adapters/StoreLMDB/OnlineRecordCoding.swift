import AerieCore
import Features

/// How a row is laid out in the file, little-endian: a version (1), the time and the time of writing (microseconds, 8
/// bytes each), the number of features (2), then for each its field (4), its length (4) and its protobuf value. Behind
/// these stands the entity's key where the row's own name is only its hash.
struct OnlineRecordCoding {
    static let version: UInt8 = 1
    static let head = 1 + 8 + 8 + 2

    let bytes: UnsafeRawBufferPointer

    /// - Throws: `dataLoss` if the bytes are no such row.
    init(_ bytes: UnsafeRawBufferPointer) throws(AerieError) {
        guard bytes.count >= Self.head, bytes[0] == Self.version else { throw Self.damaged }
        self.bytes = bytes
    }

    private static let damaged = AerieError(.dataLoss, "a row of the online feature store is not what was written")

    var time: Int64 { Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: Int64.self)) }
    var created: Int64 { Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 9, as: Int64.self)) }
    private var count: Int { Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 17, as: UInt16.self))) }

    /// - Returns: where the last value ends.
    @discardableResult
    func forEach(
        _ body: (_ field: UInt32, _ value: UnsafeRawBufferPointer) throws(AerieError) -> Void
    ) throws(AerieError) -> Int {
        var at = Self.head
        for _ in 0..<count {
            guard bytes.count - at >= 8 else { throw Self.damaged }
            let field = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)))
            at += 8
            guard length <= bytes.count - at else { throw Self.damaged }
            try body(field, UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)]))
            at += length
        }
        return at
    }

    /// The values of some fields, in their order; null where there is none. A row has few fields, so each is looked
    /// for among those that are wanted.
    func record(_ wanted: [UInt32]) throws(AerieError) -> OnlineRecord {
        var values = [FeatureValue](repeating: .null, count: wanted.count)
        try forEach(of: wanted) { place, value throws(AerieError) in
            values[place] = try FeatureValue(protobuf: value)
        }
        return OnlineRecord(time: time, values: values)
    }

    /// Shows the values of some fields, each with its place among them.
    /// - Returns: where the last value of the row ends.
    @discardableResult
    func forEach(
        of wanted: [UInt32], _ body: (_ place: Int, _ value: UnsafeRawBufferPointer) throws(AerieError) -> Void
    ) throws(AerieError) -> Int {
        // Most often the fields stand in the order in which they are wanted.
        var next = 0
        return try forEach { field, value throws(AerieError) in
            if next < wanted.count, wanted[next] == field {
                try body(next, value)
                next += 1
                return
            }
            for (index, candidate) in wanted.enumerated() where candidate == field {
                try body(index, value)
                next = index + 1
            }
        }
    }
}
