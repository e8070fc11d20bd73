import AerieCore
import AerieWire

extension FeatureValue {
    /// `FeatureValue(protobuf:).number`, without the value between them: nothing is allocated.
    /// - Throws: `invalidArgument` if the bytes are no such message.
    static func number(protobuf bytes: UnsafeRawBufferPointer) throws(AerieError) -> Double? {
        // A number with a point, which most features are, in its only form.
        if bytes.count == 9, bytes[0] == 5 << 3 | 1 {
            return Double(bitPattern: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)))
        }
        if bytes.count == 5, bytes[0] == 6 << 3 | 5 {
            let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            return Double(Float(bitPattern: bits))
        }
        var number: Double?
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (3, 0): number = Double(Int32(truncatingIfNeeded: try reader.varint()))
            case (4, 0), (8, 0): number = Double(Int64(bitPattern: try reader.varint()))
            case (5, 1): number = Double(bitPattern: try reader.fixed64())
            case (6, 5): number = Double(Float(bitPattern: try reader.fixed32()))
            case (7, 0): number = try reader.varint() != 0 ? 1 : 0
            case (1, 2), (2, 2), (11...18, 2):
                // A text, bytes or a list, which is no number.
                _ = try reader.delimited()
                number = nil
            default: try reader.skip(field)
            }
        }
        return number
    }
}
