import AerieCore
import AerieJSON
import Foundation
import Testing

/// The same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

func withReader<Value>(
    _ text: String, depth: Int = 64, nonFinite: Bool = false, _ body: (inout JSONReader) throws -> Value
) throws -> Value {
    try Array(text.utf8).withUnsafeBytes { bytes in
        var reader = JSONReader(bytes, maximumDepth: depth, allowsNonFinite: nonFinite)
        return try body(&reader)
    }
}

@Suite struct JSONReaderTests {
    @Test("numbers of every shape are rounded as the C library rounds them")
    func numbersAreCorrectlyRounded() throws {
        var random = SeededGenerator(7)
        for _ in 0..<60_000 {
            let text = Self.numberText(&random)
            let double = try withReader(text) { try $0.readDouble() }
            #expect(double.bitPattern == strtod(text, nil).bitPattern, "\(text)")
            let float = try withReader(text) { try $0.readFloat() }
            #expect(float.bitPattern == strtof(text, nil).bitPattern, "\(text)")
        }
    }

    static func numberText(_ random: inout SeededGenerator) -> String {
        if random.next() % 4 == 0 {
            let value = Double(bitPattern: random.next())
            if value.isFinite { return "\(value)" }
        }
        var text = random.next() % 2 == 0 ? "-" : ""
        func digits(_ count: UInt64) -> String {
            (0..<count).map { _ in String(random.next() % 10) }.joined()
        }
        let whole = digits(random.next() % 22 + 1).drop { $0 == "0" }
        text += whole.isEmpty ? "0" : whole
        if random.next() % 2 == 0 { text += "." + digits(random.next() % 25 + 1) }
        if random.next() % 3 == 0 { text += "e\(Int(random.next() % 700) - 350)" }
        return text
    }

    @Test("a string ends at its first quote, whatever bytes stand before it and wherever the text ends")
    func stringsEndAtTheirQuote() throws {
        for length in 0...18 {
            for place in 0..<max(1, length) {
                for byte: UInt8 in [0, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    var content = [UInt8](repeating: 0x61, count: length)
                    if length > 0 { content[place] = byte }
                    // The text of the string as a reader of single bytes finds it; `nil` for an error.
                    var (end, isWrong): (Int?, Bool) = (nil, false)
                    let bytes = [0x22] + content + [0x22]
                    var at = 1
                    while at < bytes.count, end == nil, !isWrong {
                        if bytes[at] == 0x22 { end = at }
                        if bytes[at] == 0x5c { at += 1 }
                        isWrong = at < bytes.count && bytes[at] < 0x20
                        at += 1
                    }
                    let found = bytes.withUnsafeBytes { text -> Range<Int>? in
                        var reader = JSONReader(text)
                        return (try? reader.readText()).map { $0.start..<$0.end }
                    }
                    #expect(found == (isWrong ? nil : end.map { 1..<$0 }), "\(bytes)")
                }
            }
        }
    }

    @Test("lists of numbers are read the same in one go and one by one, whatever stands between them")
    func shortNumbersAreReadInOneGo() throws {
        var random = SeededGenerator(11)
        for _ in 0..<4_000 {
            let texts = (0..<Int.random(in: 0...9, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? Self.numberText(&random)
                    : "\(Double(Int.random(in: -9_999...9_999, using: &random)) / 100)"
            }
            let spaces = ["", " ", "\n\t"]
            let list = texts.joined(separator: "\(spaces.randomElement(using: &random)!),\(spaces.randomElement(using: &random)!)")
            let text = "[\(list)]"
            #expect(try Self.floats(text).map(\.bitPattern) == texts.map { strtof($0, nil).bitPattern }, "\(text)")
            #expect(try Self.doubles(text).map(\.bitPattern) == texts.map { strtod($0, nil).bitPattern }, "\(text)")
        }
    }

    @Test("what is no number in a list is told where it stands", arguments: [
        ("[1,2,]", 5), ("[01]", 1), ("[1.]", 3), ("[1 2]", 3), ("[.5]", 1), ("[-]", 2), ("[1,,2]", 3), ("[1,2", 4),
        ("[1,2.5", 6), ("[1e]", 3),
    ])
    func badListsAreRefused(_ text: String, _ offset: Int) {
        #expect(throws: JSONError.self) { try Self.floats(text) }
        do { _ = try Self.floats(text) } catch let error as JSONError { #expect(error.offset == offset, "\(text)") } catch {
            Issue.record("\(error)")
        }
    }

    private static func floats(_ text: String) throws -> [Float] {
        try elements(text, { $0.readShortFloats(into: $1, atMost: 3) }) { try $0.readFloat() }
    }

    private static func doubles(_ text: String) throws -> [Double] {
        try elements(text, { $0.readShortDoubles(into: $1, atMost: 3) }) { try $0.readDouble() }
    }

    private static func elements<Scalar>(
        _ text: String, _ short: (inout JSONReader, UnsafeMutablePointer<Scalar>) -> Int,
        _ one: (inout JSONReader) throws -> Scalar
    ) throws -> [Scalar] {
        let room = UnsafeMutablePointer<Scalar>.allocate(capacity: 3)
        defer { room.deallocate() }
        return try withReader(text) { reader in
            var values: [Scalar] = []
            try reader.beginArray()
            while true {
                let count = short(&reader, room)
                values += UnsafeBufferPointer(start: room, count: count)
                if count == 3 { continue }
                guard try reader.nextElement() else { break }
                values.append(try one(&reader))
            }
            try reader.end()
            return values
        }
    }

    @Test("a double comes back from its own text bit for bit")
    func doublesRoundTrip() throws {
        var random = SeededGenerator(11)
        for _ in 0..<30_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let read = try JSONValue.parse(JSONValue.double(value).text())
            guard case .double(let back) = read else { Issue.record("\(value) came back as \(read)"); continue }
            #expect(back.bitPattern == value.bitPattern)
        }
    }

    @Test("whole numbers are read to the last of 64 bits, and refused past them", arguments: [
        ("9223372036854775807", Int64.max), ("-9223372036854775808", .min), ("-0", 0), ("1e3", 1000), ("12.0", 12),
        ("9223372036854775808", nil), ("1.5", nil), ("1e19", nil), ("1e400", nil),
    ] as [(String, Int64?)])
    func integers(_ text: String, _ value: Int64?) throws {
        if let value { #expect(try withReader(text) { try $0.readInt() } == value) }
        else { #expect(throws: JSONError.self) { try withReader(text) { try $0.readInt() } } }
    }

    @Test("escapes mean what they should", arguments: [
        (#""a\n\t\r\b\f\/\\\"""#, "a\n\t\r\u{8}\u{c}/\\\""), (#""é""#, "é"), (#""😀""#, "😀"),
        (#""\ud83d""#, "\u{fffd}"), (#""\ude00x""#, "\u{fffd}x"), (#""\ud83dA""#, "\u{fffd}A"),
        ("\"😀é\"", "😀é"), (#""\u0000""#, "\0"),
    ])
    func escapes(_ text: String, _ meaning: String) throws {
        #expect(try JSONValue.parse(text) == .string(meaning))
    }

    @Test("what is not JSON is an error at its place", arguments: [
        ("", 0), ("{", 1), ("[1,", 3), ("[1,]", 3), ("{\"a\":1,}", 7), ("[1 2]", 3), ("{\"a\" 1}", 5), ("{a:1}", 1),
        ("[}", 1), ("{]", 1), ("[1}", 2), ("{\"a\":1]", 6), ("tru", 0), ("nul", 0), ("01", 0), ("-", 1), ("1.", 2),
        ("1e", 2), ("1e+", 3), (".5", 0), ("+1", 0), ("NaN", 0), ("-Infinity", 1), ("1 2", 2), ("\"a", 0),
        ("\"\\x\"", 1), ("\"\\u12g4\"", 5), ("\"\\u12\"", 3), ("\"a\nb\"", 2), ("[,1]", 1), ("{,}", 1), ("'a'", 0),
        ("{\"a\":}", 5), ("[[1]", 4), ("]", 0), ("{\"a\":1 \"b\":2}", 7), ("\u{feff}1", 0),
    ])
    func malformed(_ text: String, _ offset: Int) throws {
        let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
        #expect(error?.offset == offset, "\(error?.problem ?? "")")
    }

    @Test("skipping is as strict as reading", arguments: [
        "[}", "{]", "[1}", "{\"a\":1]", "{1}", "{\"a\"}", "[\"a\":1]", "[1,]", "{\"a\":1,}", "[1 2]", "[,]", "{,}",
        "{\"a\":{\"b\":[1,2}}", "[[[]]", "{\"a\":\"\u{1}\"}", "[01]", "[\"\\\n\"]", "[-Infinity]",
    ])
    func skippingIsStrict(_ text: String) throws {
        #expect(throws: JSONError.self) {
            try withReader(text) { reader in
                try reader.skipValue()
                try reader.end()
            }
        }
    }

    @Test("skipping leaves the reader behind the value, at any depth")
    func skippingIsExact() throws {
        let deep = String(repeating: "[{\"k\":", count: 100) + "1" + String(repeating: "}]", count: 100)
        let text = "{\"skip\": \(deep), \"x\": {\"y\": [1, {\"z\": []}]}, \"keep\": 42}"
        let value = try withReader(text, depth: 300) { reader -> Int64? in
            var kept: Int64?
            try reader.beginObject()
            while let key = try reader.nextKey() {
                if reader.matches(key, "keep") { kept = try reader.readInt() } else { try reader.skipValue() }
            }
            try reader.end()
            return kept
        }
        #expect(value == 42)
    }

    @Test("nesting past the limit is an error, not a crash")
    func depthIsLimited() throws {
        let deep = String(repeating: "[", count: 200_000)
        #expect(throws: JSONError.self) { try JSONValue.parse(deep) }
        #expect(throws: JSONError.self) { try withReader(deep) { try $0.skipValue() } }
        let fits = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try JSONValue.parse(fits) }
    }

    @Test("a text cut anywhere is an error inside it")
    func truncation() throws {
        let text = #"{"a": [1, -2.5e3, true, null, "x\u00e9\n"], "b": {"c": {}}, "d": "ü"}"#
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count {
            let error = #expect(throws: JSONError.self) { try JSONValue.parse(Array(bytes[..<length])) }
            #expect((0...length).contains(error?.offset ?? -1))
        }
        #expect(throws: Never.self) { try JSONValue.parse(bytes) }
    }

    @Test("random damage never crashes, and skipping refuses whatever reading refuses for its structure")
    func damage() throws {
        var random = SeededGenerator(13)
        let seed = Array(#"{"a":[1,2.5,{"b":"c\u0041"},[]],"d":{"e":null,"f":[true,false]},"g":-0.1e-5}"#.utf8)
        let alphabet = Array(#"{}[],:"\u0e1-.tfnN 9"#.utf8) + [0, 0x80, 0xff]
        var refused = 0
        for _ in 0..<40_000 {
            var bytes = seed
            for _ in 0...(random.next() % 3) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = alphabet[Int(random.next() % UInt64(alphabet.count))]
                case 1: bytes.remove(at: at)
                default: bytes.insert(alphabet[Int(random.next() % UInt64(alphabet.count))], at: at)
                }
            }
            let reads = (try? JSONValue.parse(bytes)) != nil
            let skips = (try? bytes.withUnsafeBytes { raw throws -> Bool in
                var reader = JSONReader(raw)
                try reader.skipValue()
                try reader.end()
                return true
            }) != nil
            if reads { #expect(skips) } else { refused += 1 }
            if skips, !reads { #expect(bytes.contains(UInt8(ascii: "\\")) || bytes.contains { $0 >= 0x80 }) }
        }
        #expect(refused > 10_000)
    }

    @Test("values come back from their text, whatever the indent")
    func valuesRoundTrip() throws {
        var random = SeededGenerator(17)
        for _ in 0..<2_000 {
            let value = Self.value(&random, depth: 4)
            #expect(try JSONValue.parse(value.text()) == value)
            #expect(try JSONValue.parse(value.text(indent: 2)) == value)
        }
    }

    static func value(_ random: inout SeededGenerator, depth: Int) -> JSONValue {
        switch random.next() % (depth > 0 ? 8 : 6) {
        case 0: return .null
        case 1: return .bool(random.next() % 2 == 0)
        case 2: return .int(Int64(bitPattern: random.next()))
        case 3: return .double(Double(Int64(bitPattern: random.next())) / 1024)
        case 4, 5:
            let scalars: [Unicode.Scalar] = [
                "a", "\"", "\\", "\n", "\u{1}", "é", "😀", " ", ":", "#", "-", "'", "\u{7f}",
            ]
            var text = ""
            for _ in 0..<(random.next() % 8) { text.unicodeScalars.append(scalars[Int(random.next() % 13)]) }
            return .string(text)
        case 6: return .array((0..<(random.next() % 4)).map { _ in value(&random, depth: depth - 1) })
        default:
            let count = random.next() % 4
            return .object(JSONObject((0..<count).map { ("k\($0)", value(&random, depth: depth - 1)) }))
        }
    }

    @Test("what JSON wants escaped is escaped, and nothing else; whole numbers are written to the last digit")
    func written() {
        let text: JSONValue = .string("a\"b\\c\n\r\n\t\u{1}\u{1f}\u{7f}ä\u{2028}😀")
        #expect(text.text() == #""a\"b\\c\n\r\n\t\u0001\u001f"# + "\u{7f}ä\u{2028}😀\"")
        let numbers: JSONValue = [.int(.min), .int(.max), 0, .int(-7), 0.1, .double(1e300)]
        #expect(numbers.text() == "[-9223372036854775808,9223372036854775807,0,-7,0.1,1e+300]")
        #expect(numbers.utf8() == Array(numbers.text().utf8))
    }

    @Test("non-finite numbers are read where they are allowed, and written as null")
    func nonFinite() throws {
        #expect(try JSONValue.parse("[NaN, Infinity, -Infinity]", allowsNonFinite: true)[1] == .double(.infinity))
        #expect(try JSONValue.parse("[-Infinity]", allowsNonFinite: true)[0] == .double(-.infinity))
        #expect(JSONValue.double(.nan).text() == "null")
    }
}
