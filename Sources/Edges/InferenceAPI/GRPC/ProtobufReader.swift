import AerieCore

/// Reads the fields of one protobuf message in place. Never reads past the bytes; unknown fields are passed over.
struct ProtobufReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var at = 0

    struct Field: Equatable {
        var number: Int
        var wire: Int
    }

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var cutShort: AerieError { .invalid("", "the message is cut short", offset: at) }

    /// The next field's number and wire type; `nil` at the end.
    mutating func next() throws(AerieError) -> Field? {
        guard at < bytes.count else { return nil }
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
            throw .invalid("", "the message has a field of number \(tag >> 3)", offset: at)
        }
        return Field(number: Int(tag >> 3), wire: Int(tag & 7))
    }

    mutating func varint() throws(AerieError) -> UInt64 {
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

    mutating func fixed32() throws(AerieError) -> UInt32 {
        guard bytes.count - at >= 4 else { throw cutShort }
        defer { at += 4 }
        return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    mutating func fixed64() throws(AerieError) -> UInt64 {
        guard bytes.count - at >= 8 else { throw cutShort }
        defer { at += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// The bytes of a length-delimited field.
    mutating func delimited() throws(AerieError) -> UnsafeRawBufferPointer {
        let length = try varint()
        guard length <= UInt64(bytes.count - at) else { throw cutShort }
        defer { at += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[at..<(at + Int(length))])
    }

    /// The bytes of a field that must be length-delimited.
    mutating func delimited(_ field: Field) throws(AerieError) -> UnsafeRawBufferPointer {
        guard field.wire == 2 else {
            throw .invalid("", "field \(field.number) has wire type \(field.wire), not 2", offset: at)
        }
        return try delimited()
    }

    /// Passes over the field's value. Groups, which proto3 does not have, are refused.
    mutating func skip(_ field: Field) throws(AerieError) {
        switch field.wire {
        case 0: _ = try varint()
        case 1: _ = try fixed64()
        case 2: _ = try delimited()
        case 5: _ = try fixed32()
        default: throw .invalid("", "field \(field.number) has wire type \(field.wire)", offset: at)
        }
    }

    /// Calls `body` for each value of a repeated whole number, packed or not.
    mutating func eachVarint(
        _ field: Field, _ body: (UInt64) throws(AerieError) -> Void
    ) throws(AerieError) {
        if field.wire == 0 { return try body(try varint()) }
        var inner = ProtobufReader(try delimited(field))
        while inner.at < inner.bytes.count { try body(try inner.varint()) }
    }
}
