extension JSONReader {
    /// Reads as many elements of the present array as are short decimals, such as `-12.5`, in one pass over their
    /// bytes; what else follows (a longer number, an exponent, another kind of value, the end, an error) is left where
    /// it is for the general calls. Each is rounded once, as `readFloat` does.
    ///
    /// About a third of the time of reading them one by one.
    /// - Parameter out: uninitialized memory for `limit` numbers.
    /// - Returns: how many were read.
    public mutating func readShortFloats(into out: UnsafeMutablePointer<Float>, atMost limit: Int) -> Int {
        Self.floatPowers.withUnsafeBufferPointer { powers in
            readShortNumbers(into: out, atMost: limit, powers, mantissaBelow: 1 << 24)
        }
    }

    /// The same for 64 bits, rounded as `readDouble` does.
    public mutating func readShortDoubles(into out: UnsafeMutablePointer<Double>, atMost limit: Int) -> Int {
        Self.powers.withUnsafeBufferPointer { powers in
            readShortNumbers(into: out, atMost: limit, powers, mantissaBelow: 1 << 53)
        }
    }

    /// A mantissa below the bound and its power of ten are both exact, and one division rounds once.
    @inline(__always)
    private mutating func readShortNumbers<Scalar: BinaryFloatingPoint>(
        into out: UnsafeMutablePointer<Scalar>, atMost limit: Int, _ powers: UnsafeBufferPointer<Scalar>,
        mantissaBelow bound: UInt64
    ) -> Int {
        var cursor = ShortNumberCursor(bytes: bytes, offset: offset)
        var (count, comma) = (0, isCommaNeeded)
        while count < limit {
            guard let number = cursor.next(afterComma: comma), number.mantissa < bound, number.decimals < powers.count
            else { break }
            let value = Scalar(number.mantissa) / powers[number.decimals]
            out[count] = number.isNegative ? -value : value
            count += 1
            comma = true
            move(to: cursor.offset)
        }
        if count > 0 { finishValue() }
        return count
    }
}

/// Walks over an array's elements as long as they are short decimals.
private struct ShortNumberCursor {
    struct Number {
        var mantissa: UInt64 = 0
        /// Digits behind the point.
        var decimals = 0
        var isNegative = false
    }

    let bytes: UnsafeRawBufferPointer
    /// Behind the last number.
    var offset: Int
    /// As many digits as fit into the mantissa whatever they are.
    private static let mostDigits = 18

    init(bytes: UnsafeRawBufferPointer, offset: Int) {
        self.bytes = bytes
        self.offset = offset
    }

    /// The next element, and the comma before it; `nil`, and nothing is passed, where it is no short decimal.
    @inline(__always)
    mutating func next(afterComma: Bool) -> Number? {
        var at = offset
        skipSpace(&at)
        if afterComma {
            guard at < bytes.count, bytes[at] == UInt8(ascii: ",") else { return nil }
            at += 1
            skipSpace(&at)
        }
        var number = Number()
        if at < bytes.count, bytes[at] == UInt8(ascii: "-") {
            number.isNegative = true
            at += 1
        }
        let first = at
        readDigits(&at, &number.mantissa)
        var digits = at - first
        // Nothing before the point, or a zero before other digits, is an error that the general call tells.
        guard digits > 0, digits == 1 || bytes[first] != UInt8(ascii: "0") else { return nil }
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            let start = at
            readDigits(&at, &number.mantissa)
            number.decimals = at - start
            guard number.decimals > 0 else { return nil }
            digits += number.decimals
        }
        // A number at the text's end may go on where more of it comes; one with an exponent does.
        guard digits <= Self.mostDigits, at < bytes.count, bytes[at] | 0x20 != UInt8(ascii: "e") else { return nil }
        offset = at
        return number
    }

    @inline(__always)
    private func readDigits(_ at: inout Int, _ mantissa: inout UInt64) {
        while at < bytes.count {
            let digit = bytes[at] &- UInt8(ascii: "0")
            guard digit < 10 else { return }
            mantissa = mantissa &* 10 &+ UInt64(digit)
            at += 1
        }
    }

    @inline(__always)
    private func skipSpace(_ at: inout Int) {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0a || bytes[at] == 0x0d || bytes[at] == 0x09 {
            at += 1
        }
    }
}
