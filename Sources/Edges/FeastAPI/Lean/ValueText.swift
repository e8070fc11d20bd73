import AerieCore
import AerieJSON
import Features

extension ByteCursor {
    /// The most bytes that a value's text may take.
    static func room(for value: UnsafeRawBufferPointer) -> Int { 8 * value.count + 40 }

    /// A stored `feast.types.Value` as JSON. Numbers, flags and plain texts go as they lie, without an allocation; the
    /// rest by way of `FeatureValue`.
    /// - Returns: false if the bytes are no such message.
    mutating func put(value bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 1 else {
            put("null")
            return bytes.isEmpty
        }
        switch bytes[0] {
        case 0x29 where bytes.count == 9:
            let bits = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
            put(number: Double(bitPattern: bits))
            return true
        case 0x35 where bytes.count == 5:
            let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
            put(number: Double(Float(bitPattern: bits)))
            return true
        case 0x18, 0x20, 0x38, 0x40:
            guard let (number, end) = Self.varint(bytes, 1), end == bytes.count else { break }
            switch bytes[0] {
            case 0x18: put(decimal: Int64(Int32(truncatingIfNeeded: number)))
            case 0x38: number != 0 ? put("true") : put("false")
            default: put(decimal: Int64(bitPattern: number))
            }
            return true
        case 0x12:
            guard let (length, start) = Self.varint(bytes, 1), length == UInt64(bytes.count - start) else { break }
            let text = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard text.allSatisfy({ $0 < 0x80 }) else { break }
            put(quoted: text)
            return true
        case 0x6a, 0x72, 0x7a: return putList(bytes, member: Int(bytes[0] >> 3), at: 1)
        case 0x82 where bytes[1] == 1: return putList(bytes, member: 16, at: 2)
        default: break
        }
        return putGeneral(bytes)
    }

    /// A packed list of numbers.
    private mutating func putList(_ bytes: UnsafeRawBufferPointer, member: Int, at start: Int) -> Bool {
        guard let (length, at) = Self.varint(bytes, start), length == UInt64(bytes.count - at), length > 1,
            bytes[at] == 0x0a, let (packed, first) = Self.varint(bytes, at + 1), packed == UInt64(bytes.count - first)
        else { return putGeneral(bytes) }
        let before = count
        put(byte: UInt8(ascii: "["))
        var next = first
        while next < bytes.count {
            if next > first { put(byte: UInt8(ascii: ",")) }
            switch member {
            case 15 where bytes.count - next >= 8:
                let bits = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: next, as: UInt64.self))
                put(number: Double(bitPattern: bits))
                next += 8
            case 16 where bytes.count - next >= 4:
                let bits = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: next, as: UInt32.self))
                put(number: Double(Float(bitPattern: bits)))
                next += 4
            case 13, 14:
                guard let (number, end) = Self.varint(bytes, next) else { return rewind(before, bytes) }
                put(decimal: member == 13 ? Int64(Int32(truncatingIfNeeded: number)) : Int64(bitPattern: number))
                next = end
            default: return rewind(before, bytes)
            }
        }
        put(byte: UInt8(ascii: "]"))
        return true
    }

    private mutating func rewind(_ place: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        back(to: place)
        return putGeneral(bytes)
    }

    private mutating func putGeneral(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let value = try? FeatureValue(protobuf: bytes) else { return false }
        put(value.json.utf8())
        return true
    }

    private static func varint(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> (UInt64, Int)? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        var at = start
        while at < bytes.count, shift < 64 {
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return (value, at) }
            shift += 7
        }
        return nil
    }

    /// The most bytes that `put(moment:)` writes.
    static let momentRoom = 34

    /// A moment as `FeatureTime.text` writes it, in quotes. Microseconds since 1970.
    mutating func put(moment micros: Int64) {
        guard micros >= 0, micros < 253_402_300_800_000_000 else {
            put(byte: UInt8(ascii: "\""))
            put(Array(FeatureTime.text(micros).utf8))
            put(byte: UInt8(ascii: "\""))
            return
        }
        let (seconds, fraction) = (Int(micros / 1_000_000), Int(micros % 1_000_000))
        let date = CivilDate(daysSince1970: Int64(seconds / 86_400))
        let second = seconds % 86_400
        put(byte: UInt8(ascii: "\""))
        put(Int(date.year), digits: 4)
        put(byte: UInt8(ascii: "-"))
        put(Int(date.month), digits: 2)
        put(byte: UInt8(ascii: "-"))
        put(Int(date.day), digits: 2)
        put(byte: UInt8(ascii: "T"))
        put(second / 3600, digits: 2)
        put(byte: UInt8(ascii: ":"))
        put(second / 60 % 60, digits: 2)
        put(byte: UInt8(ascii: ":"))
        put(second % 60, digits: 2)
        if fraction != 0 {
            put(byte: UInt8(ascii: "."))
            if fraction % 1000 == 0 { put(fraction / 1000, digits: 3) } else { put(fraction, digits: 6) }
        }
        put("Z\"")
    }
}
