import AerieCore
import Foundation

/// How well the texts of rows match a question in words, among all rows of a view: Okapi BM25, as SQLite's FTS5 defines
/// it (sqlite.org/fts5.html, "The bm25() function"), over all texts of a row together.
///
/// A row's rank is the sum, over the words of the alternatives that it matches, of
/// `idf · f · (k1 + 1) / (f + k1 · (1 − b + b · length / mean length))`, where f is how often the word is in the row
/// and `idf = ln((rows − n + 0.5) / (n + 0.5))`, at least 10⁻⁶, n being the rows that have it; k1 = 1.2, b = 0.75.
///
/// First each row is counted, then each is ranked; the memory is that of the question.
struct WordRanking {
    /// Words of a question.
    static let wordLimit = 64
    private static let byteLimit = 16 << 10
    private static let (k1, b) = (1.2, 0.75)

    /// The stems of the question's words. One that is there twice counts twice.
    private var words: [[UInt8]] = []
    /// Places in `words`: a row matches that has all words of one alternative.
    private var alternatives: [[Int]] = []
    private var isWanted = [Bool](repeating: false, count: 256)
    private var reading = WordReading()

    /// Of the row that was read last.
    private var frequencies: [Int] = []
    private var length = 0

    /// Of all rows that were counted.
    private var rowCount = 0
    private var wordCount = 0
    private var rowsWithWord: [Int] = []

    /// - Parameter question: words, all of which a row must have; between alternatives stands `OR`.
    /// - Throws: `invalidArgument` for a question without words, with too many, or with `NOT`.
    init(_ question: String) throws(AerieError) {
        guard question.utf8.count <= Self.byteLimit else {
            throw .invalid("query_string", "has \(question.utf8.count) bytes, at most \(Self.byteLimit)")
        }
        alternatives.append([])
        for piece in question.split(whereSeparator: \.isWhitespace) {
            switch piece {
            case "OR": alternatives.append([])
            case "AND": break
            case "NOT":
                throw .invalid("query_string", "NOT is not carried out: leave rows out by filters, or write 'not' as a word")
            default: append(piece)
            }
        }
        alternatives.removeAll(where: \.isEmpty)
        guard (1...Self.wordLimit).contains(words.count) else {
            throw .invalid("query_string", "has \(words.count) words; from 1 to \(Self.wordLimit) are searched for")
        }
        for word in words { isWanted[Int(word[0])] = true }
        frequencies = words.map { _ in 0 }
        rowsWithWord = frequencies
    }

    private mutating func append(_ piece: Substring) {
        var found: [[UInt8]] = []
        Array(piece.utf8).withUnsafeBytes {
            _ = reading.read($0, isWanted: Array(repeating: true, count: 256)) { found.append($0) }
        }
        alternatives[alternatives.count - 1] += words.count..<(words.count + found.count)
        words += found
    }

    /// Counts a row.
    /// - Parameter texts: protobuf values.
    mutating func count(_ texts: ArraySlice<UnsafeRawBufferPointer>) throws(AerieError) {
        try read(texts)
        rowCount += 1
        wordCount += length
        for place in words.indices where frequencies[place] > 0 { rowsWithWord[place] += 1 }
    }

    /// After all rows have been counted.
    /// - Returns: more than 0, the more the better; `nil` for a row that does not match.
    mutating func rank(_ texts: ArraySlice<UnsafeRawBufferPointer>) throws(AerieError) -> Double? {
        try read(texts)
        let meanLength = wordCount > 0 ? Double(wordCount) / Double(rowCount) : 1
        let norm = Self.k1 * (1 - Self.b + Self.b * Double(length) / meanLength)
        var rank = 0.0
        for alternative in alternatives where alternative.allSatisfy({ frequencies[$0] > 0 }) {
            for place in alternative {
                let (frequency, rows) = (Double(frequencies[place]), Double(rowsWithWord[place]))
                let weight = max(log((Double(rowCount) - rows + 0.5) / (rows + 0.5)), 1e-6)
                rank += weight * frequency * (Self.k1 + 1) / (frequency + norm)
            }
        }
        return rank > 0 ? rank : nil
    }

    private mutating func read(_ texts: ArraySlice<UnsafeRawBufferPointer>) throws(AerieError) {
        length = 0
        var counts: [Int] = []
        swap(&counts, &frequencies)
        defer { frequencies = counts }
        for place in counts.indices { counts[place] = 0 }
        for bytes in texts {
            let text = try WordReading.text(protobuf: bytes)
            let words = words
            length += reading.read(text, isWanted: isWanted) { stem in
                for place in words.indices where words[place] == stem { counts[place] += 1 }
            }
        }
    }
}
