public import AerieCore

/// Reads the fields of one protobuf message in place, for the control plane. Never reads past the bytes; fields that
/// the caller does not know are passed over with `skip`. Format: protobuf.dev, "Encoding".
public struct ProtobufReader: ~Copyable {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    public struct Field: Equatable, Sendable {
        public var number: Int
        /// 0 varint, 1 eight bytes, 2 delimited, 5 four bytes.
        public var wire: Int
    }

    /// - Parameter bytes: must outlive the reader.
    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    public var isAtEnd: Bool { at >= bytes.count }

    private var cutShort: AerieError { .invalid("", "the message is cut short", offset: at) }

    /// The next field's number and wire type; `nil` at the end.
    public mutating func next() throws(AerieError) -> Field? {
        guard at < bytes.count else { return nil }
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
            throw .invalid("", "the message has a field of number \(tag >> 3)", offset: at)
        }
        return Field(number: Int(tag >> 3), wire: Int(tag & 7))
    }

    public mutating func varint() throws(AerieError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            guard at < bytes.count else { throw cutShort }
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw .invalid("", "a number is longer than ten bytes", offset: at)
    }

    public mutating func fixed32() throws(AerieError) -> UInt32 {
        guard bytes.count - at >= 4 else { throw cutShort }
        defer { at += 4 }
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    public mutating func fixed64() throws(AerieError) -> UInt64 {
        guard bytes.count - at >= 8 else { throw cutShort }
        defer { at += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// The bytes of a length-delimited field.
    public mutating func delimited() throws(AerieError) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(bytes.count - at) else { throw cutShort }
        defer { at += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[at..<(at + Int(length))])
    }

    /// A length-delimited field as text; broken UTF-8 is mended.
    public mutating func text() throws(AerieError) -> String { String(decoding: try delimited(), as: UTF8.self) }

    /// Passes over the field's value. Groups, which proto3 does not have, are refused.
    public mutating func skip(_ field: Field) throws(AerieError) {
        switch field.wire {
        case 0: _ = try varint()
        case 1: _ = try fixed64()
        case 2: _ = try delimited()
        case 5: _ = try fixed32()
        default: throw .invalid("", "field \(field.number) has wire type \(field.wire)", offset: at)
        }
    }
}
