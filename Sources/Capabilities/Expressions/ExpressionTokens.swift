/// The words of an expression.
struct ExpressionToken: Hashable {
    enum Kind: Hashable {
        /// A name or a keyword, as it was written.
        case word(String)
        /// A name in double quotes.
        case quoted(String)
        case integer(Int64)
        case double(Double)
        case text(String)
        case symbol(String)
        case end
    }

    var kind: Kind
    /// In characters from 1.
    var position: Int

    /// - Throws: for a character that begins nothing, a text without end, a number that is none.
    static func all(of text: String) throws(ExpressionProblem) -> [ExpressionToken] {
        var scanner = Scanner(characters: Array(text))
        var tokens: [ExpressionToken] = []
        repeat { tokens.append(try scanner.next()) } while tokens.last?.kind != .end
        return tokens
    }

    private struct Scanner {
        let characters: [Character]
        var at = 0

        private static let symbols = [
            "<=", ">=", "<>", "!=", "||", "//", "(", ")", ",", "+", "-", "*", "/", "%", "=", "<", ">",
        ]

        private func isNameStart(_ character: Character) -> Bool { character.isLetter || character == "_" }

        mutating func next() throws(ExpressionProblem) -> ExpressionToken {
            while at < characters.count, characters[at].isWhitespace { at += 1 }
            let start = at
            func token(_ kind: Kind) -> ExpressionToken { ExpressionToken(kind: kind, position: start + 1) }
            guard at < characters.count else { return token(.end) }
            let first = characters[at]
            if isNameStart(first) {
                while at < characters.count, isNameStart(characters[at]) || characters[at].isNumber { at += 1 }
                return token(.word(String(characters[start..<at])))
            }
            if first.isASCII, first.isNumber || first == "." { return token(try number(start)) }
            if first == "'" { return token(.text(try quoted("'", start))) }
            if first == "\"" { return token(.quoted(try quoted("\"", start))) }
            for symbol in Self.symbols where characters[at...].starts(with: symbol) {
                at += symbol.count
                return token(.symbol(symbol))
            }
            throw ExpressionProblem(message: "'\(first)' is not expected here", position: start + 1)
        }

        private mutating func number(_ start: Int) throws(ExpressionProblem) -> Kind {
            var isWhole = true
            while at < characters.count, characters[at].isASCII {
                let character = characters[at]
                let isSign = (character == "-" || character == "+") && "eE".contains(characters[at - 1]) && at > start
                guard character.isNumber || character == "." || isSign || "eE".contains(character) else { break }
                if !character.isNumber { isWhole = false }
                at += 1
            }
            let text = String(characters[start..<at])
            if isWhole, let value = Int64(text) { return .integer(value) }
            if !isWhole, let value = Double(text), value.isFinite { return .double(value) }
            throw ExpressionProblem(message: "'\(text)' is no number that fits", position: start + 1)
        }

        /// A doubled quotation mark stands for itself.
        private mutating func quoted(_ mark: Character, _ start: Int) throws(ExpressionProblem) -> String {
            var text = ""
            at += 1
            while at < characters.count {
                if characters[at] == mark {
                    at += 1
                    guard at < characters.count, characters[at] == mark else { return text }
                }
                text.append(characters[at])
                at += 1
            }
            throw ExpressionProblem(message: "the text that begins here has no end", position: start + 1)
        }
    }
}
