import AerieCore

/// Cuts a filter into words. Positions are counted in characters from 1.
struct SearchLexer {
    enum Token: Equatable {
        /// A bare word, with points in it; quoted parts after a point are part of it.
        case word(String)
        /// Text in single quotes, a value.
        case text(String)
        /// Text in double quotes or backticks: a key or a value, by where it stands.
        case quoted(String)
        case number(Double)
        case symbol(String)
        case end
    }

    struct Placed {
        var token: Token
        var column: Int
    }

    private let characters: [Character]
    private var at = 0
    private let field: String

    /// - Parameter field: names the input in errors.
    init(_ text: String, field: String) {
        characters = Array(text)
        self.field = field
    }

    static func tokens(_ text: String, field: String) throws(AerieError) -> [Placed] {
        guard text.utf8.count <= 65_536 else { throw .invalid(field, "is longer than 65536 bytes") }
        var lexer = SearchLexer(text, field: field)
        var tokens: [Placed] = []
        repeat { tokens.append(try lexer.next()) } while tokens.last?.token != .end
        return tokens
    }

    private mutating func next() throws(AerieError) -> Placed {
        while at < characters.count, characters[at].isWhitespace { at += 1 }
        let start = at
        func placed(_ token: Token) -> Placed { Placed(token: token, column: start + 1) }
        guard at < characters.count else { return placed(.end) }
        let character = characters[at]
        switch character {
        case "'": return placed(.text(try quotedText()))
        case "\"", "`":
            let text = try quotedText()
            return placed(.quoted(text))
        case "(", ")", ",", "=":
            at += 1
            if character == "=", at < characters.count, characters[at] == "=" { at += 1 }
            return placed(.symbol(String(character)))
        case "<", ">", "!":
            at += 1
            if at < characters.count, characters[at] == "=" {
                at += 1
                return placed(.symbol("\(character)="))
            }
            if character == "<", at < characters.count, characters[at] == ">" {
                at += 1
                return placed(.symbol("!="))
            }
            guard character != "!" else { throw failure(start, "\"!\" is no comparison; \"!=\" is") }
            return placed(.symbol(String(character)))
        case "-", "+", ".", "0"..."9":
            var end = at + 1
            while end < characters.count,
                Self.isWordPart(characters[end]) || "+-".contains(characters[end]) { end += 1 }
            let text = String(characters[at..<end])
            at = end
            if let number = Double(text) { return placed(.number(number)) }
            return placed(.word(text))
        default: return placed(.word(try word(start)))
        }
    }

    private mutating func word(_ start: Int) throws(AerieError) -> String {
        guard Self.isWordPart(characters[at]) else {
            throw failure(at, "unexpected \"\(characters[at])\"")
        }
        var text = ""
        while at < characters.count {
            if Self.isWordPart(characters[at]) {
                text.append(characters[at])
                at += 1
            } else if text.hasSuffix("."), characters[at] == "`" || characters[at] == "\"" {
                text += try quotedText()
                break
            } else {
                break
            }
        }
        return text
    }

    private static func isWordPart(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || "._-/:@".contains(character)
    }

    /// From one quote to the next of its kind; the quote itself may be written twice.
    private mutating func quotedText() throws(AerieError) -> String {
        let start = at
        let quote = characters[at]
        var text = ""
        at += 1
        while at < characters.count {
            if characters[at] == quote {
                at += 1
                guard at < characters.count, characters[at] == quote else { return text }
            }
            text.append(characters[at])
            at += 1
        }
        throw failure(start, "the \(quote) is never closed")
    }

    func failure(_ index: Int, _ problem: String) -> AerieError { Self.failure(field, column: index + 1, problem) }

    static func failure(_ field: String, column: Int, _ problem: String) -> AerieError {
        AerieError(
            .invalidArgument, "Invalid \(field): \(problem) (character \(column))", reason: "search.syntax",
            details: [.init(field: field, problem: problem, column: column)])
    }
}
