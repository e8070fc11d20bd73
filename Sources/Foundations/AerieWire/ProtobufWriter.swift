/// Appends the fields of a protobuf message to bytes, for the control plane. A field is written even if it has its
/// default value, as members of a `oneof` need it.
public struct ProtobufWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// Forgets what was written, and keeps its room.
    public mutating func clear() { bytes.removeAll(keepingCapacity: true) }

    public mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    private mutating func tag(_ number: Int, _ wire: UInt64) { varint(UInt64(number) << 3 | wire) }

    public mutating func field(_ number: Int, varint value: UInt64) {
        tag(number, 0)
        varint(value)
    }

    public mutating func field(_ number: Int, fixed32 value: UInt32) {
        tag(number, 5)
        append(fixed32: value)
    }

    public mutating func field(_ number: Int, fixed64 value: UInt64) {
        tag(number, 1)
        append(fixed64: value)
    }

    public mutating func field(_ number: Int, bytes value: some Collection<UInt8>) {
        tag(number, 2)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func field(_ number: Int, text: String) { field(number, bytes: text.utf8) }

    /// Without a tag, for packed lists.
    public mutating func append(fixed32 value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func append(fixed64 value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Bytes as they are, without a tag or a length.
    public mutating func append(_ content: some Collection<UInt8>) { bytes.append(contentsOf: content) }
}
