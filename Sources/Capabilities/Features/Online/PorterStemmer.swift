/// Takes the endings off English words, so that `connected` and `connections` are one word: M. F. Porter, "An algorithm
/// for suffix stripping", Program 14(3), 1980, with its author's later changes (`logi`, `bli`). As in SQLite's FTS5, of
/// which Feast's users know it, words of less than 3 or more than 64 bytes stay as they are, and no ending is a whole
/// word.
enum PorterStemmer {
    private typealias Rule = (ending: StaticString, by: StaticString)

    /// - Parameter word: in lower case; what is no ASCII letter counts as a consonant.
    static func stem(_ word: inout [UInt8]) {
        guard (3...64).contains(word.count) else { return }
        takePlural(&word)
        takePast(&word)
        if word.last == y, hasVowel(word, word.count - 1) { word[word.count - 1] = UInt8(ascii: "i") }
        apply(compounds, &word) { measure($0, $1) > 0 }
        apply(derived, &word) { measure($0, $1) > 0 }
        apply(residues, &word) { measure($0, $1) > 1 && (!ends($0, "ion") || ends($0, "sion") || ends($0, "tion")) }
        takeFinalE(&word)
    }

    // MARK: The steps

    private static func takePlural(_ word: inout [UInt8]) {
        guard word.last == UInt8(ascii: "s") else { return }
        if ends(word, "sses") || ends(word, "ies") {
            word.removeLast(2)
        } else if word[word.count - 2] != UInt8(ascii: "s") {
            word.removeLast()
        }
    }

    private static func takePast(_ word: inout [UInt8]) {
        if ends(word, "eed") {
            if measure(word, word.count - 3) > 0 { word.removeLast() }
            return
        }
        let length = ends(word, "ed") ? 2 : ends(word, "ing") ? 3 : 0
        guard length > 0, hasVowel(word, word.count - length) else { return }
        word.removeLast(length)
        if ends(word, "at") || ends(word, "bl") || ends(word, "iz") {
            word.append(e)
        } else if endsInDoubleConsonant(word), !"lsz".utf8.contains(word[word.count - 1]) {
            word.removeLast()
        } else if measure(word, word.count) == 1, isShort(word, word.count) {
            word.append(e)
        }
    }

    private static func takeFinalE(_ word: inout [UInt8]) {
        if word.last == e {
            let rest = word.count - 1
            let measure = measure(word, rest)
            if measure > 1 || measure == 1 && !isShort(word, rest) { word.removeLast() }
        }
        if word.last == UInt8(ascii: "l"), endsInDoubleConsonant(word), measure(word, word.count - 1) > 1 {
            word.removeLast()
        }
    }

    /// The first rule whose ending the word has decides, whether `isMet` of the bytes before it or not.
    private static func apply(_ rules: [Rule], _ word: inout [UInt8], if isMet: ([UInt8], Int) -> Bool) {
        for rule in rules where ends(word, rule.ending) {
            let rest = word.count - rule.ending.utf8CodeUnitCount
            guard isMet(word, rest) else { return }
            word.removeLast(word.count - rest)
            word.append(contentsOf: UnsafeBufferPointer(start: rule.by.utf8Start, count: rule.by.utf8CodeUnitCount))
            return
        }
    }

    // MARK: The endings, the longer before those that they end in

    private static let compounds: [Rule] = [
        ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("logi", "log"),
        ("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"),
        ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"),
        ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"),
    ]
    private static let derived: [Rule] = [
        ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
    ]
    private static let residues: [Rule] = [
        ("al", ""), ("ance", ""), ("ence", ""), ("er", ""), ("ic", ""), ("able", ""), ("ible", ""), ("ant", ""),
        ("ement", ""), ("ment", ""), ("ent", ""), ("ion", ""), ("ou", ""), ("ism", ""), ("ate", ""), ("iti", ""),
        ("ous", ""), ("ive", ""), ("ize", ""),
    ]

    // MARK: What a word is made of

    private static let e = UInt8(ascii: "e"), y = UInt8(ascii: "y")

    private static func ends(_ word: [UInt8], _ ending: StaticString) -> Bool {
        let rest = word.count - ending.utf8CodeUnitCount
        guard rest > 0 else { return false }
        for place in (rest..<word.count).reversed() where word[place] != ending.utf8Start[place - rest] { return false }
        return true
    }

    private static func isVowel(_ word: [UInt8], _ place: Int) -> Bool {
        switch word[place] {
        case UInt8(ascii: "a"), e, UInt8(ascii: "i"), UInt8(ascii: "o"), UInt8(ascii: "u"): true
        case y: place > 0 && !isVowel(word, place - 1)
        default: false
        }
    }

    private static func hasVowel(_ word: [UInt8], _ count: Int) -> Bool { (0..<count).contains { isVowel(word, $0) } }

    /// Of the first bytes: how many times consonants follow on vowels.
    private static func measure(_ word: [UInt8], _ count: Int) -> Int {
        var measure = 0
        var wasVowel = false
        for place in 0..<count {
            let isVowel = word[place] == y ? place > 0 && !wasVowel : isVowel(word, place)
            if wasVowel, !isVowel { measure += 1 }
            wasVowel = isVowel
        }
        return measure
    }

    private static func endsInDoubleConsonant(_ word: [UInt8]) -> Bool {
        let last = word.count - 1
        return last > 0 && word[last] == word[last - 1] && !isVowel(word, last)
    }

    /// Whether the first bytes end in consonant, vowel and consonant, the last of which is not w, x or y.
    private static func isShort(_ word: [UInt8], _ count: Int) -> Bool {
        count > 2 && !isVowel(word, count - 3) && isVowel(word, count - 2) && !isVowel(word, count - 1)
            && !"wxy".utf8.contains(word[count - 1])
    }
}
