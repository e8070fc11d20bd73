import AerieJSON
import NIOCore

/// The string in quotes, escaped.
func quoted(_ string: String) -> String {
    var out = ""
    JSONValue.quote(string, to: &out)
    return out
}

extension ByteBuffer {
    /// Digits without building a string.
    mutating func writeDecimal(_ value: Int) {
        if value >= 0, value < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(value))
            return
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var rest = value.magnitude
            var at = 20
            repeat {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                at -= 1
                digits[at] = UInt8(ascii: "-")
            }
            _ = writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[at...]))
        }
    }

    /// The shortest digits that read back as the same number; `null` for what JSON cannot say. Up to 15 characters,
    /// which is every `Float`, the text lives in registers and nothing is allocated.
    mutating func writeNumber(_ value: Float) {
        guard value.isFinite else {
            writeStaticString("null")
            return
        }
        var text = value.description
        _ = text.withUTF8 { writeBytes(UnsafeRawBufferPointer($0)) }
    }

    mutating func writeNumber(_ value: Double) {
        guard value.isFinite else {
            writeStaticString("null")
            return
        }
        var text = value.description
        _ = text.withUTF8 { writeBytes(UnsafeRawBufferPointer($0)) }
    }

    /// Text in quotes, escaped.
    mutating func writeQuoted(_ bytes: some Collection<UInt8>) {
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
