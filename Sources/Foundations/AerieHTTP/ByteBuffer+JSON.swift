public import NIOCore

extension ByteBuffer {
    /// Digits without building a string.
    public mutating func writeDecimal(_ value: Int) { writeDecimal(value.magnitude, isNegative: value < 0) }

    public mutating func writeDecimal(_ magnitude: UInt, isNegative: Bool = false) {
        if !isNegative, magnitude < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(magnitude))
            return
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 21) { digits in
            var rest = magnitude
            var at = 21
            repeat {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if isNegative {
                at -= 1
                digits[at] = UInt8(ascii: "-")
            }
            _ = writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[at...]))
        }
    }

    /// The shortest digits that read back as the same number; `null` for what JSON cannot say. No allocation.
    public mutating func writeNumber(_ value: Float) {
        if value.isFinite { writeShortest(value) } else { writeStaticString("null") }
    }

    public mutating func writeNumber(_ value: Double) {
        if value.isFinite { writeShortest(value) } else { writeStaticString("null") }
    }

    private mutating func writeShortest(_ value: some TextOutputStreamable) {
        withUnsafeTemporaryAllocation(byteCount: NumberText.longest, alignment: 1) { room in
            _ = writeBytes(UnsafeRawBufferPointer(rebasing: room[..<NumberText.characters(of: value, to: room)]))
        }
    }

    /// Text in quotes, escaped.
    public mutating func writeQuoted(_ bytes: some Collection<UInt8>) {
        writeInteger(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""): writeStaticString("\\\"")
            case UInt8(ascii: "\\"): writeStaticString("\\\\")
            case 0..<0x20:
                writeStaticString(byte < 16 ? "\\u000" : "\\u00")
                writeString(String(byte, radix: 16))
            default: writeInteger(byte)
            }
        }
        writeInteger(UInt8(ascii: "\""))
    }
}

extension UnsafeMutableRawBufferPointer {
    /// The shortest digits that read back as the same number, at the beginning of the memory. No allocation.
    /// - Precondition: the number is finite, and there is room for 32 bytes.
    /// - Returns: how many bytes they are.
    public func writeShortest(_ value: Double) -> Int { NumberText.characters(of: value, to: self) }
}

/// Takes a number's characters on the stack.
///
/// The standard library hands them over as bytes where a stream takes bytes, and as a string, which above 15 characters
/// is allocated, where it does not. Both ways give the same text.
private struct NumberText: TextOutputStream {
    /// More than the longest number: a sign, 17 digits, a point and `e-308`.
    static let longest = 32
    let room: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(room: UnsafeMutableRawBufferPointer) { self.room = room }

    @inline(__always)
    static func characters(of value: some TextOutputStreamable, to room: UnsafeMutableRawBufferPointer) -> Int {
        var text = NumberText(room: room)
        value.write(to: &text)
        return text.count
    }

    mutating func _writeASCII(_ characters: UnsafeBufferPointer<UInt8>) { take(UnsafeRawBufferPointer(characters)) }

    mutating func write(_ string: String) {
        var string = string
        string.withUTF8 { take(UnsafeRawBufferPointer($0)) }
    }

    private mutating func take(_ characters: UnsafeRawBufferPointer) {
        for character in characters where count < room.count {
            room[count] = character
            count += 1
        }
    }
}
