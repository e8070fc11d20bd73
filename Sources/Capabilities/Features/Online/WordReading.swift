import AerieCore
import AerieWire
import Foundation

/// Takes texts apart into their words, as they lie in protobuf values. Nothing is allocated once it has met each letter
/// beyond ASCII and a word of each length.
///
/// A word is letters, digits and marks without a gap, in lower case, without accents and English endings: what SQLite's
/// FTS5 calls `porter unicode61`, but that marks of other scripts than the Latin belong to their words here.
struct WordReading {
    private var word: [UInt8] = []
    /// What stands for a letter beyond ASCII, in UTF-8; `nil` for what parts words.
    private var folded: [Unicode.Scalar: [UInt8]?] = [:]

    /// - Parameters:
    ///   - isWanted: by a word's first byte, which its stem has too: the words of others are counted and not made.
    ///   - body: is given each wanted word's stem.
    /// - Returns: how many words there are.
    mutating func read(_ text: UnsafeRawBufferPointer, isWanted: [Bool], _ body: ([UInt8]) -> Void) -> Int {
        var count = 0
        var place = 0
        word.removeAll(keepingCapacity: true)
        func end(_ word: inout [UInt8]) {
            guard let first = word.first else { return }
            count += 1
            if isWanted[Int(first)] {
                PorterStemmer.stem(&word)
                body(word)
            }
            word.removeAll(keepingCapacity: true)
        }
        while place < text.count {
            let byte = text[place]
            if byte < 0x80 {
                place += 1
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): word.append(byte)
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): word.append(byte | 0x20)
                default: end(&word)
                }
                continue
            }
            guard let scalar = Self.scalar(text, &place), let letters = fold(scalar) else {
                end(&word)
                continue
            }
            word += letters
        }
        end(&word)
        return count
    }

    /// The scalar that begins at a place, which is moved behind it; `nil` for broken UTF-8, of which a byte is passed.
    private static func scalar(_ text: UnsafeRawBufferPointer, _ place: inout Int) -> Unicode.Scalar? {
        let first = text[place]
        let count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
        guard first >= 0xc0, place + count <= text.count else {
            place += 1
            return nil
        }
        var value = UInt32(first) & (0x7f >> UInt32(count))
        for next in 1..<count { value = value << 6 | UInt32(text[place + next] & 0x3f) }
        place += count
        return Unicode.Scalar(value)
    }

    private mutating func fold(_ scalar: Unicode.Scalar) -> [UInt8]? {
        if let known = folded[scalar] { return known }
        let letters = Self.folded(scalar)
        folded[scalar] = .some(letters)
        return letters
    }

    private static func folded(_ scalar: Unicode.Scalar) -> [UInt8]? {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
            .letterNumber, .otherNumber, .nonspacingMark, .spacingMark, .privateUse:
            let accents: ClosedRange<UInt32> = 0x300...0x331
            var letters = String.UnicodeScalarView()
            let whole = scalar.properties.lowercaseMapping.decomposedStringWithCanonicalMapping
            letters.append(contentsOf: whole.unicodeScalars.filter { !accents.contains($0.value) })
            return Array(String(letters).utf8)
        default: return nil
        }
    }

    /// The bytes of a text in a protobuf value (`Value {2: string}`), as they lie there; empty for what is no text.
    static func text(protobuf bytes: UnsafeRawBufferPointer) throws(AerieError) -> UnsafeRawBufferPointer {
        var reader = ProtobufReader(bytes)
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        while let field = try reader.next() {
            if field.number == 2, field.wire == 2 { text = try reader.delimited() } else { try reader.skip(field) }
        }
        return text
    }
}
