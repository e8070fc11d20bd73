extension JSONReader {
    /// The text with `\n`, `\uXXXX` and their like replaced by what they mean.
    func resolveEscapes(_ text: Text) throws(JSONError) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(text.end - text.start)
        var at = text.start
        while at < text.end {
            let byte = bytes[at]
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                at += 1
                continue
            }
            guard at + 1 < text.end else { throw JSONError(offset: at, problem: "an escape is cut short") }
            let escaped = bytes[at + 1]
            if escaped == UInt8(ascii: "u") {
                let (scalar, length) = try unicodeEscape(at, end: text.end)
                result.append(contentsOf: String(Character(scalar)).utf8)
                at += length
                continue
            }
            guard let meant = Self.escape(escaped) else {
                throw JSONError(offset: at, problem: "no such escape: \\\(Character(UnicodeScalar(escaped)))")
            }
            result.append(meant)
            at += 2
        }
        guard let string = String(validating: result, as: UTF8.self) else {
            throw JSONError(offset: text.start, problem: "the string is not UTF-8")
        }
        return string
    }

    private static func escape(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "n"): 0x0a
        case UInt8(ascii: "r"): 0x0d
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0c
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
        default: nil
        }
    }

    /// One `\uXXXX`, or the two of a surrogate pair. A lone surrogate means U+FFFD, as Python's and JavaScript's
    /// writers leave them behind in cut text.
    private func unicodeEscape(_ at: Int, end: Int) throws(JSONError) -> (UnicodeScalar, Int) {
        let first = try hexDigits(at + 2, end: end)
        if first >= 0xd800, first < 0xdc00, at + 12 <= end,
            bytes[at + 6] == UInt8(ascii: "\\"), bytes[at + 7] == UInt8(ascii: "u")
        {
            let second = try hexDigits(at + 8, end: end)
            if second >= 0xdc00, second < 0xe000 {
                return (UnicodeScalar(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))!, 12)
            }
        }
        return (UnicodeScalar(first) ?? "\u{fffd}", 6)
    }

    private func hexDigits(_ start: Int, end: Int) throws(JSONError) -> UInt32 {
        guard start + 4 <= end else { throw JSONError(offset: start, problem: "an escape is cut short") }
        var value: UInt32 = 0
        for index in start..<(start + 4) {
            guard let digit = Character(UnicodeScalar(bytes[index])).hexDigitValue else {
                throw JSONError(offset: index, problem: "a hexadecimal digit was expected")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
