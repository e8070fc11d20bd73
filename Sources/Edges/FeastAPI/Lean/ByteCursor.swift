import AerieHTTP

/// Appends text to memory that has been reserved for it. No check of the room: whoever makes one has counted.
struct ByteCursor {
    private let base: UnsafeMutableRawPointer
    private(set) var count = 0

    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always)
    mutating func put(_ text: StaticString) {
        (base + count).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    @inline(__always)
    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func put(_ bytes: [UInt8]) { bytes.withUnsafeBytes { put($0) } }

    /// What stands at a place that has been written, once more.
    mutating func put(again place: Range<Int>) {
        (base + count).copyMemory(from: base + place.lowerBound, byteCount: place.count)
        count += place.count
    }

    @inline(__always)
    mutating func put(byte: UInt8) {
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    mutating func put(decimal value: Int64) {
        if value < 0 { put(byte: UInt8(ascii: "-")) }
        var rest = value.magnitude
        var digits = 1
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        rest = value.magnitude
        var at = count + digits
        count = at
        repeat {
            at -= 1
            base.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: at, as: UInt8.self)
            rest /= 10
        } while rest > 0
    }

    /// Forgets what was put after a place.
    mutating func back(to place: Int) { count = place }

    /// Decimal digits, zeros in front.
    mutating func put(_ value: Int, digits: Int) {
        var rest = value
        for place in stride(from: digits - 1, through: 0, by: -1) {
            base.storeBytes(of: UInt8(ascii: "0") + UInt8(rest % 10), toByteOffset: count + place, as: UInt8.self)
            rest /= 10
        }
        count += digits
    }

    /// As Feast writes numbers that JSON lacks.
    mutating func put(number value: Double) {
        if value.isFinite {
            count += UnsafeMutableRawBufferPointer(start: base + count, count: 32).writeShortest(value)
        } else if value.isNaN {
            put("\"NaN\"")
        } else if value < 0 {
            put("\"-Infinity\"")
        } else {
            put("\"Infinity\"")
        }
    }

    /// Text in quotes. What needs an escape is escaped as `AerieJSON` does it.
    mutating func put(quoted text: UnsafeRawBufferPointer) {
        put(byte: UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""): put("\\\"")
            case UInt8(ascii: "\\"): put("\\\\")
            case UInt8(ascii: "\n"): put("\\n")
            case UInt8(ascii: "\r"): put("\\r")
            case UInt8(ascii: "\t"): put("\\t")
            case 0..<0x20:
                put("\\u00")
                put(byte: Self.hexadecimal(byte >> 4))
                put(byte: Self.hexadecimal(byte & 15))
            default: put(byte: byte)
            }
        }
        put(byte: UInt8(ascii: "\""))
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8 {
        digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
}
