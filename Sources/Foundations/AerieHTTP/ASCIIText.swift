#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Digits only; `nil` for anything else, for nothing, and for what does not fit.
public func decimalNumber(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard !bytes.isEmpty else { return nil }
    var value = 0
    for byte in bytes {
        let digit = byte &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflow2) = shifted.addingReportingOverflow(Int(digit))
        if overflow || overflow2 { return nil }
        value = sum
    }
    return value
}

/// True if the bytes are that word, letters of either case. The word is given in lower case.
public func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ lowercase: StaticString) -> Bool {
    guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count {
        var byte = bytes[index]
        if byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") { byte |= 0x20 }
        if byte != lowercase.utf8Start[index] { return false }
    }
    return true
}

/// True if the bytes are exactly that word.
public func equals(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
    equals(bytes, UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
}

/// True if both are the same bytes.
public func equals(_ bytes: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count == other.count else { return false }
    guard let first = bytes.baseAddress, let second = other.baseAddress else { return true }
    return memcmp(first, second, bytes.count) == 0
}

/// The path with `%2F` and its like resolved; `nil` where a percent sign is not followed by two hexadecimal digits.
public func percentDecoded(_ path: UnsafeRawBufferPointer) -> [UInt8]? {
    var result: [UInt8] = []
    var at = 0
    while at < path.count {
        guard path[at] == UInt8(ascii: "%") else {
            result.append(path[at])
            at += 1
            continue
        }
        guard at + 2 < path.count,
            let high = Character(UnicodeScalar(path[at + 1])).hexDigitValue,
            let low = Character(UnicodeScalar(path[at + 2])).hexDigitValue
        else { return nil }
        result.append(UInt8(high << 4 | low))
        at += 3
    }
    return result
}
