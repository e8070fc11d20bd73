import AerieCore
import Datasets
import Testing

@testable import Features

/// Words of texts, and how well they match.
@Suite struct WordRankingTests {
    private static func words(_ text: String) -> [String] { words(Array(text.utf8)) }

    private static func words(_ text: [UInt8]) -> [String] {
        var reading = WordReading()
        var words: [String] = []
        let count = text.withUnsafeBytes { bytes in
            reading.read(bytes, isWanted: Array(repeating: true, count: 256)) {
                words.append(String(decoding: $0, as: UTF8.self))
            }
        }
        #expect(count == words.count)
        return words
    }

    /// Examples of Porter's paper, and of his later changes.
    @Test(arguments: [
        ("caresses", "caress"), ("ponies", "poni"), ("cats", "cat"), ("feed", "feed"), ("agreed", "agre"),
        ("plastered", "plaster"), ("bled", "bled"), ("motoring", "motor"), ("sing", "sing"), ("conflated", "conflat"),
        ("troubled", "troubl"), ("sized", "size"), ("hopping", "hop"), ("falling", "fall"), ("hissing", "hiss"),
        ("failing", "fail"), ("filing", "file"), ("happy", "happi"), ("sky", "sky"), ("relational", "relat"),
        ("conditional", "condit"), ("digitizer", "digit"), ("radically", "radic"), ("vietnamization", "vietnam"),
        ("operator", "oper"), ("hopefulness", "hope"), ("sensibility", "sensibl"), ("triplicate", "triplic"),
        ("electrical", "electr"), ("goodness", "good"), ("revival", "reviv"), ("adjustment", "adjust"),
        ("adoption", "adopt"), ("probate", "probat"), ("rate", "rate"), ("cease", "ceas"), ("controlling", "control"),
        ("roll", "roll"), ("syzygies", "syzygi"), ("is", "is"), ("by", "by"),
    ])
    func endingsAreTakenOff(_ word: String, _ stem: String) {
        #expect(Self.words(word) == [stem])
    }

    @Test func textsAreTakenApart() {
        #expect(Self.words("The CAR's 2 wheels, re-paired!") == ["the", "car", "s", "2", "wheel", "re", "pair"])
        #expect(Self.words("Café CAFE\u{301} naïve Ångström") == ["cafe", "cafe", "naiv", "angstrom"])
        #expect(Self.words("Привет, мир—日本語") == ["привет", "мир", "日本語"])
        #expect(Self.words(" \t…").isEmpty && Self.words("").isEmpty)
    }

    /// Bytes of any kind part words and do no harm; of those that are UTF-8 nothing is lost.
    @Test func anyBytesAreRead() {
        var generator = SeededGenerator(seed: 3)
        let pieces: [[UInt8]] = [
            [0x61], [0x42], [0x20], [0xff], [0xe2, 0x82], [0x80], [0xed, 0xa0, 0x80], [0xc3, 0xa9], [0xe6, 0x97, 0xa5],
            [0xf0, 0x9f, 0x92, 0xa9], [0xcc, 0x81],
        ]
        for length in 0..<300 {
            let bytes = (0..<length % 12).flatMap { _ in pieces.randomElement(using: &generator) ?? [] }
            let text = String(decoding: bytes, as: UTF8.self)
            guard String(validating: bytes, as: UTF8.self) != nil else {
                _ = Self.words(bytes)
                continue
            }
            // A digit too can come of the pieces: U+2080.
            let properties = text.unicodeScalars.map(\.properties)
            let letters = properties.filter { $0.isAlphabetic || $0.numericType != nil }.count
            #expect(Self.words(bytes).joined().unicodeScalars.count == letters, "\(text)")
        }
    }

    /// The ranks of rows of texts, counted first.
    private static func ranks(_ question: String, _ rows: [[String]]) throws -> [Double?] {
        var ranking = try WordRanking(question)
        // One value behind the other in memory, as the slices of which rows are read.
        let values = rows.map { $0.map { FeatureValue.string($0).protobuf } }
        func withValues<Result>(
            of row: [[UInt8]], _ body: (ArraySlice<UnsafeRawBufferPointer>) throws -> Result
        ) rethrows -> Result {
            try row.flatMap { $0 }.withUnsafeBytes { bytes in
                var start = 0
                let slices = row.map { value in
                    defer { start += value.count }
                    return UnsafeRawBufferPointer(rebasing: bytes[start..<(start + value.count)])
                }
                return try body(slices[...])
            }
        }
        for row in values { try withValues(of: row) { try ranking.count($0) } }
        return try values.map { row in try withValues(of: row) { try ranking.rank($0) } }
    }

    /// Three rows of 3, 1 and 2 words, so 2 in the mean; `apple` is in one of them, twice.
    /// By hand: idf = ln((3 − 1 + 0.5) / (1 + 0.5)) = ln(5/3) = 0.510826; norm = 1.2 · (0.25 + 0.75 · 3/2) = 1.65;
    /// 0.510826 · 2 · 2.2 / (2 + 1.65) = 0.615790.
    @Test func ranksAreThoseOfTheFormula() throws {
        let ranks = try Self.ranks("apples", [["apple pie", "apple"], ["pie"], ["plum", "tree"]])
        #expect(abs((ranks[0] ?? 0) - 0.615790) < 1e-6 && ranks[1] == nil && ranks[2] == nil)
    }

    /// A word of more than half of the rows has the least weight: 10⁻⁶ · 2.2 / (1 + 1.2) in rows of the mean length.
    @Test func wordsOfMostRowsWeighLittle() throws {
        let ranks = try Self.ranks("x", [["x"], ["x"], ["y"]])
        #expect(ranks[0].map { abs($0 - 1e-6) < 1e-12 } == true && ranks[2] == nil)
    }

    @Test func allWordsOfAnAlternativeMustBeThere() throws {
        let rows = [["red apple"], ["red"], ["green", "car"], ["apple", "red"], [""]]
        func found(_ question: String) throws -> [Bool] { try Self.ranks(question, rows).map { $0 != nil } }
        #expect(try found("red apple") == [true, false, false, true, false])
        #expect(try found("red AND apple") == [true, false, false, true, false])
        #expect(try found("red-apple OR cars") == [true, false, true, true, false])
        #expect(try found("or") == [false, false, false, false, false])
    }

    /// As in FTS5: `red` says nothing of a row without `apple`.
    @Test func wordsOfOtherAlternativesDoNotCount() throws {
        let rows = [["red car"], ["red apple"], ["plum"], ["pie"], ["tree"]]
        let (both, one) = (try Self.ranks("red apple OR car", rows), try Self.ranks("car", rows))
        #expect(both[0] != nil && both[0] == one[0] && both[1] != nil)
    }

    @Test(arguments: [
        "", " ?! ", "OR", "a NOT b", String(repeating: "a ", count: 65), String(repeating: "a", count: 17_000),
    ])
    func questionsThatAreNone(_ question: String) {
        #expect(throws: AerieError.self) { try WordRanking(question) }
    }
}
