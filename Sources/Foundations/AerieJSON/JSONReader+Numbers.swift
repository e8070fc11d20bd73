#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

extension JSONReader {
    static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]
    static let floatPowers: [Float] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]

    /// Reads a number's characters by the grammar of RFC 8259, and gives back where they stand.
    mutating func readNumberRange() throws(JSONError) -> Range<Int> {
        let kind = try peek()
        guard kind == .number else {
            throw JSONError(offset: offset, problem: "a number was expected")
        }
        let start = offset
        var at = start
        func digit(_ index: Int) -> Bool {
            index < bytes.count && bytes[index] &- UInt8(ascii: "0") < 10
        }
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: "N") || bytes[at] == UInt8(ascii: "I") {
            return try readNonFinite(start: start, word: at)
        }
        guard digit(at) else { throw JSONError(offset: at, problem: "a digit was expected") }
        if bytes[at] == UInt8(ascii: "0"), digit(at + 1) {
            throw JSONError(offset: at, problem: "a number may not begin with 0")
        }
        while digit(at) { at += 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            guard digit(at) else { throw JSONError(offset: at, problem: "a digit was expected after the point") }
            while digit(at) { at += 1 }
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            guard digit(at) else { throw JSONError(offset: at, problem: "a digit was expected in the exponent") }
            while digit(at) { at += 1 }
        }
        move(to: at)
        return start..<at
    }

    private mutating func readNonFinite(start: Int, word: Int) throws(JSONError) -> Range<Int> {
        guard allowsNonFinite else { throw JSONError(offset: word, problem: "a digit was expected") }
        for literal: StaticString in ["NaN", "Infinity"] {
            let end = word + literal.utf8CodeUnitCount
            if end <= bytes.count, memcmp(bytes.baseAddress! + word, literal.utf8Start, end - word) == 0 {
                move(to: end)
                return start..<end
            }
        }
        throw JSONError(offset: start, problem: "a number was expected")
    }

    /// A number written with digits only that fits in 64 bits.
    func wholeNumber(_ range: Range<Int>) -> Int64? {
        var at = range.lowerBound
        let negative = bytes[at] == UInt8(ascii: "-")
        if negative { at += 1 }
        var value: Int64 = 0
        while at < range.upperBound {
            let digit = bytes[at] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = negative
                ? shifted.subtractingReportingOverflow(Int64(digit)) : shifted.addingReportingOverflow(Int64(digit))
            if overflow || overflow2 { return nil }
            value = sum
            at += 1
        }
        return value
    }

    /// The digits without their point, and the power of ten to multiply with; `nil` past 18 digits.
    func decimal(_ range: Range<Int>) -> (mantissa: Int64, exponent: Int)? {
        var mantissa: Int64 = 0
        var exponent = 0
        var digits = 0
        var at = range.lowerBound
        var afterPoint = false
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        while at < range.upperBound {
            let byte = bytes[at]
            let digit = byte &- UInt8(ascii: "0")
            if digit < 10 {
                digits += 1
                guard digits <= 18 else { return nil }
                mantissa = mantissa &* 10 &+ Int64(digit)
                if afterPoint { exponent -= 1 }
            } else if byte == UInt8(ascii: ".") {
                afterPoint = true
            } else {
                guard byte | 0x20 == UInt8(ascii: "e") else { return nil }
                var written = 0
                var negative = false
                for index in (at + 1)..<range.upperBound {
                    let byte = bytes[index]
                    if byte == UInt8(ascii: "-") { negative = true }
                    if byte &- UInt8(ascii: "0") < 10 {
                        written = min(written &* 10 &+ Int(byte &- UInt8(ascii: "0")), 99999)
                    }
                }
                return (mantissa, exponent + (negative ? -written : written))
            }
            at += 1
        }
        return (mantissa, exponent)
    }

    /// Correctly rounded. A mantissa below 2^53 and a power of ten up to 22 are both exact in a Double, and one
    /// operation rounds once (Clinger's fast path); the C library reads the rest.
    func parseDouble(_ range: Range<Int>) -> Double {
        if let (mantissa, exponent) = decimal(range), mantissa <= 1 << 53, exponent >= -22, exponent <= 22 {
            let value = Double(mantissa)
            let scaled = exponent < 0 ? value / Self.powers[-exponent] : value * Self.powers[exponent]
            return bytes[range.lowerBound] == UInt8(ascii: "-") ? -scaled : scaled
        }
        return withText(range) { strtod($0, nil) }
    }

    /// The number's characters with a zero behind them, on the stack.
    func withText<Result>(_ range: Range<Int>, _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: range.count + 1) { buffer in
            memcpy(buffer.baseAddress!, bytes.baseAddress! + range.lowerBound, range.count)
            buffer[range.count] = 0
            return body(UnsafePointer(buffer.baseAddress!))
        }
    }

    func shown(_ range: Range<Int>) -> String {
        String(decoding: bytes[range.lowerBound..<min(range.upperBound, range.lowerBound + 40)], as: UTF8.self)
    }
}
