#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Reads JSON by asking for what should come next: nothing is built, nothing is allocated but what the caller keeps.
///
///     var reader = JSONReader(bytes)
///     try reader.beginObject()
///     while let key = try reader.nextKey() {
///         if reader.matches(key, "rows") { rows = try reader.readInt() } else { try reader.skipValue() }
///     }
///     try reader.end()
///
/// The reader borrows the bytes: they must stay in place while it is used. It never reads past them, and nests at most
/// `maximumDepth` deep, so hostile text costs an error and no stack. About 1 ns a byte.
public struct JSONReader {
    /// What the next value is.
    public enum Kind: Sendable { case object, array, string, number, bool, null, end }

    /// A string as it stands in the text, between its quotes. It is only meaningful to the reader that gave it out.
    public struct Text: Sendable {
        public let start: Int
        public let end: Int
        /// Whether escapes stand in it, so that its bytes are not what it says.
        public let hasEscapes: Bool
    }

    let bytes: UnsafeRawBufferPointer
    /// The place of the next byte, from the beginning of the text.
    public private(set) var offset = 0
    private var depth = 0
    private var needsComma = false
    private let maximumDepth: Int
    let allowsNonFinite: Bool

    /// - Parameter allowsNonFinite: also reads `NaN`, `Infinity` and `-Infinity`, which Python and XGBoost write.
    public init(_ bytes: UnsafeRawBufferPointer, maximumDepth: Int = 64, allowsNonFinite: Bool = false) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        self.allowsNonFinite = allowsNonFinite
    }

    // MARK: Structure

    /// The kind of the next value, without reading it.
    public mutating func peek() throws(JSONError) -> Kind {
        skipSpace()
        guard offset < bytes.count else { return .end }
        switch bytes[offset] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "N"), UInt8(ascii: "I"): if allowsNonFinite { return .number }
        default: break
        }
        throw failure("unexpected \(shown(at: offset)), a value was expected")
    }

    public mutating func beginObject() throws(JSONError) { try open(UInt8(ascii: "{"), "an object") }
    public mutating func beginArray() throws(JSONError) { try open(UInt8(ascii: "["), "an array") }

    /// The next key of the object, its colon read; `nil` at the object's end, which is read too.
    public mutating func nextKey() throws(JSONError) -> Text? {
        guard try advance(to: UInt8(ascii: "}")) else { return nil }
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
            throw failure("unexpected \(shown(at: offset)), a key in quotes was expected")
        }
        let key = try readText()
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: ":") else {
            throw failure("unexpected \(shown(at: offset)), a colon was expected")
        }
        offset += 1
        return key
    }

    /// True if another element follows, which is then the next value; false at the array's end, which is read too.
    public mutating func nextElement() throws(JSONError) -> Bool { try advance(to: UInt8(ascii: "]")) }

    /// Makes sure that nothing but white space is left.
    public mutating func end() throws(JSONError) {
        skipSpace()
        if offset < bytes.count { throw failure("unexpected \(shown(at: offset)) after the end of the value") }
    }

    /// Reads a value of any kind and forgets it. As strict about brackets, commas and keys as reading it would be;
    /// uses no stack, and allocates only past 64 levels.
    public mutating func skipValue() throws(JSONError) {
        var open = Nesting()
        while true {
            switch try peek() {
            case .object:
                try beginObject()
                open.push(isObject: true)
            case .array:
                try beginArray()
                open.push(isObject: false)
            case .string: _ = try readText()
            case .number:
                _ = try readNumberRange()
                needsComma = true
            case .bool: _ = try readBool()
            case .null: try readNull()
            case .end: throw failure("the text ends where a value was expected")
            }
            while let isObject = open.innermostIsObject {
                if isObject ? try nextKey() != nil : try nextElement() { break }
                open.pop()
            }
            if open.count == 0 { return }
        }
    }

    /// Which of the containers that a skipped value has opened are objects: one bit each, an array past the 64th.
    private struct Nesting {
        private(set) var count = 0
        private var bits: UInt64 = 0
        private var beyond: [Bool] = []

        var innermostIsObject: Bool? {
            guard count > 0 else { return nil }
            return beyond.last ?? (bits & 1 == 1)
        }

        mutating func push(isObject: Bool) {
            if count >= 64 { beyond.append(isObject) } else { bits = bits << 1 | (isObject ? 1 : 0) }
            count += 1
        }

        mutating func pop() {
            if beyond.isEmpty { bits >>= 1 } else { beyond.removeLast() }
            count -= 1
        }
    }

    // MARK: Scalars

    public mutating func readNull() throws(JSONError) { try literal("null") }

    public mutating func readBool() throws(JSONError) -> Bool {
        skipSpace()
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "t") {
            try literal("true")
            return true
        }
        try literal("false")
        return false
    }

    /// A whole number that fits in 64 bits; `1.0` and `1e3` are whole numbers too.
    public mutating func readInt() throws(JSONError) -> Int64 {
        skipSpace()
        let start = offset
        let range = try readNumberRange()
        needsComma = true
        if let value = wholeNumber(range) { return value }
        if let value = Int64(exactly: parseDouble(range)) { return value }
        throw JSONError(offset: start, problem: "\(shown(range)) is not a whole number of 64 bits")
    }

    /// A number, correctly rounded. With `allowsNonFinite` also `NaN` and the infinities.
    public mutating func readDouble() throws(JSONError) -> Double {
        let range = try readNumberRange()
        needsComma = true
        return parseDouble(range)
    }

    /// A number rounded once, to 32 bits: what a program reads that parses the text as a float.
    public mutating func readFloat() throws(JSONError) -> Float {
        let range = try readNumberRange()
        needsComma = true
        if let (mantissa, exponent) = decimal(range), mantissa < 1 << 24, exponent >= -10, exponent <= 10 {
            let value = Float(abs(mantissa))
            let scaled = exponent < 0 ? value / Self.floatPowers[-exponent] : value * Self.floatPowers[exponent]
            return bytes[range.lowerBound] == UInt8(ascii: "-") ? -scaled : scaled
        }
        return withText(range) { strtof($0, nil) }
    }

    /// A string with its escapes resolved.
    public mutating func readString() throws(JSONError) -> String {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
            throw failure("unexpected \(shown(at: offset)), a string was expected")
        }
        return try string(readText())
    }

    /// The next string, unresolved; for comparing without building a `String`.
    public mutating func readText() throws(JSONError) -> Text {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
            throw failure("unexpected \(shown(at: offset)), a string was expected")
        }
        let start = offset + 1
        var at = plainEnd(from: start)
        var hasEscapes = false
        while at < bytes.count {
            if bytes[at] == UInt8(ascii: "\"") {
                offset = at + 1
                needsComma = true
                return Text(start: start, end: at, hasEscapes: hasEscapes)
            }
            if bytes[at] == UInt8(ascii: "\\") {
                hasEscapes = true
                at += 1
            }
            if at < bytes.count, bytes[at] < 0x20 {
                throw JSONError(offset: at, problem: "a control character stands unescaped in a string")
            }
            at = plainEnd(from: at + 1)
        }
        throw JSONError(offset: start - 1, problem: "the string that begins here is not closed")
    }

    /// True if the text is exactly that, where it has no escapes. No allocation.
    public func matches(_ text: Text, _ other: StaticString) -> Bool {
        let count = text.end - text.start
        guard !text.hasEscapes, count == other.utf8CodeUnitCount else { return false }
        return count == 0 || memcmp(bytes.baseAddress! + text.start, other.utf8Start, count) == 0
    }

    /// The bytes of the text as they stand in the input. No allocation; valid as long as the input is.
    public func raw(_ text: Text) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[text.start..<text.end])
    }

    /// The text with its escapes resolved. Text that is not UTF-8 is an error.
    public func string(_ text: Text) throws(JSONError) -> String {
        if !text.hasEscapes {
            guard let string = String(validating: raw(text), as: UTF8.self) else {
                throw JSONError(offset: text.start, problem: "the string is not UTF-8")
            }
            return string
        }
        return try resolveEscapes(text)
    }

    // MARK: Inside

    mutating func move(to offset: Int) { self.offset = offset }
    mutating func finishValue() { needsComma = true }
    /// Whether a comma must stand before the next element.
    var isCommaNeeded: Bool { needsComma }

    private func failure(_ problem: String) -> JSONError { JSONError(offset: offset, problem: problem) }

    /// The first byte from there on that ends a string, begins an escape or is a control character; past the text's
    /// last byte if there is none. Eight bytes at a time: a byte of `x` below `n` (at most 128) leaves its highest bit
    /// in `(x - n) & ~x`, and only bytes above the first such one can leave it wrongly (Anderson, "Bit Twiddling
    /// Hacks").
    private func plainEnd(from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var at = start
        while at + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let quotes = word ^ (ones &* UInt64(UInt8(ascii: "\"")))
            let escapes = word ^ (ones &* UInt64(UInt8(ascii: "\\")))
            let found =
                ((quotes &- ones) & ~quotes | (escapes &- ones) & ~escapes | (word &- ones &* 0x20) & ~word)
                & (ones &* 0x80)
            if found != 0 { return at + found.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < bytes.count {
            let byte = bytes[at]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
            at += 1
        }
        return at
    }

    @inline(__always)
    private mutating func skipSpace() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x0a, 0x0d, 0x09: offset += 1
            default: return
            }
        }
    }

    private mutating func open(_ bracket: UInt8, _ what: StaticString) throws(JSONError) {
        skipSpace()
        guard offset < bytes.count, bytes[offset] == bracket else {
            throw failure("unexpected \(shown(at: offset)), \(what) was expected")
        }
        guard depth < maximumDepth else { throw failure("nested more than \(maximumDepth) deep") }
        offset += 1
        depth += 1
        needsComma = false
    }

    private mutating func advance(to bracket: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard offset < bytes.count else { throw failure("the text ends inside an object or array") }
        if bytes[offset] == bracket {
            offset += 1
            depth -= 1
            needsComma = true
            return false
        }
        if needsComma {
            guard bytes[offset] == UInt8(ascii: ",") else {
                throw failure("unexpected \(shown(at: offset)), a comma was expected")
            }
            offset += 1
            skipSpace()
            if offset < bytes.count, bytes[offset] == bracket { throw failure("a value was expected after the comma") }
        }
        needsComma = false
        return true
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        skipSpace()
        let count = word.utf8CodeUnitCount
        guard offset + count <= bytes.count, memcmp(bytes.baseAddress! + offset, word.utf8Start, count) == 0 else {
            throw failure("unexpected \(shown(at: offset)), \(word) was expected")
        }
        offset += count
        needsComma = true
    }

    private func shown(at offset: Int) -> String {
        guard offset < bytes.count else { return "end of text" }
        let byte = bytes[offset]
        return byte >= 0x20 && byte < 0x7f ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
    }
}
