import NIOCore

/// Writes protobuf fields. Fields with proto3's default value are left out where `text` and `flag` write them.
struct ProtobufWriter {
    var buffer: ByteBuffer

    init(_ buffer: ByteBuffer = ByteBuffer()) { self.buffer = buffer }

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        buffer.writeInteger(UInt8(rest))
    }

    private mutating func tag(_ number: Int, _ wire: Int) { varint(UInt64(number << 3 | wire)) }

    mutating func number(_ number: Int, _ value: UInt64) {
        guard value != 0 else { return }
        tag(number, 0)
        varint(value)
    }

    mutating func flag(_ number: Int, _ value: Bool) { self.number(number, value ? 1 : 0) }

    mutating func text(_ number: Int, _ value: some Collection<UInt8>) {
        guard !value.isEmpty else { return }
        tag(number, 2)
        varint(UInt64(value.count))
        buffer.writeBytes(value)
    }

    /// Written even if empty: an element of a repeated field.
    mutating func bytes(_ number: Int, _ value: UnsafeRawBufferPointer) {
        tag(number, 2)
        varint(UInt64(value.count))
        buffer.writeBytes(value)
    }

    mutating func packed(_ number: Int, _ values: [Int]) {
        guard !values.isEmpty else { return }
        message(number) { writer in
            for value in values { writer.varint(UInt64(bitPattern: Int64(value))) }
        }
    }

    /// A message within the message. One byte is kept for its length; a longer one moves it.
    mutating func message(_ number: Int, _ body: (inout ProtobufWriter) -> Void) {
        tag(number, 2)
        let lengthAt = buffer.writerIndex
        buffer.writeInteger(UInt8(0))
        body(&self)
        let length = buffer.writerIndex - lengthAt - 1
        if length < 0x80 {
            buffer.setInteger(UInt8(length), at: lengthAt)
            return
        }
        // In place: a slice of the buffer would have it copied at the next write.
        let lengthSize = (Int.bitWidth - length.leadingZeroBitCount + 6) / 7
        buffer.writeRepeatingByte(0, count: lengthSize - 1)
        let start = lengthAt - buffer.readerIndex
        buffer.withUnsafeMutableReadableBytes { bytes in
            guard let base = bytes.baseAddress.map({ $0 + start }) else { return }
            (base + lengthSize).copyMemory(from: base + 1, byteCount: length)
            for index in 0..<lengthSize {
                let group = UInt8(truncatingIfNeeded: length >> (7 * index)) & 0x7f
                bytes[start + index] = index < lengthSize - 1 ? group | 0x80 : group
            }
        }
    }
}
