/// An expression as it was written, before its names and types are known.
struct ExpressionSyntax {
    indirect enum Form {
        case constant(ExpressionValue)
        case name(String)
        case negative(ExpressionSyntax)
        case not(ExpressionSyntax)
        /// `+ - * / // % || = <> < <= > >= AND OR`
        case binary(String, ExpressionSyntax, ExpressionSyntax)
        case isNull(ExpressionSyntax, isNegated: Bool)
        case among(ExpressionSyntax, [ExpressionSyntax], isNegated: Bool)
        case between(ExpressionSyntax, ExpressionSyntax, ExpressionSyntax, isNegated: Bool)
        case choice([(condition: ExpressionSyntax, value: ExpressionSyntax)], ExpressionSyntax?)
        case cast(ExpressionSyntax, String)
        case call(String, [ExpressionSyntax])
    }

    var form: Form
    var position: Int

    /// - Throws: for what is no expression, or is too deep or too long.
    static func parse(_ text: String) throws(ExpressionProblem) -> ExpressionSyntax {
        guard text.utf8.count <= 10_000 else {
            throw ExpressionProblem(message: "the expression is longer than 10000 bytes", position: 1)
        }
        var parser = Parser(tokens: try ExpressionToken.all(of: text))
        let syntax = try parser.expression()
        guard parser.token.kind == .end else { throw parser.unexpected("an operator or the end") }
        return syntax
    }

    /// By precedence, as SQL has it: OR, AND, NOT, comparisons, ||, + -, * / // %, signs.
    private struct Parser {
        let tokens: [ExpressionToken]
        var at = 0
        var depth = 0

        init(tokens: [ExpressionToken]) { self.tokens = tokens }

        var token: ExpressionToken { tokens[at] }

        func unexpected(_ wanted: String) -> ExpressionProblem {
            let found =
                switch token.kind {
                case .word(let word): "'\(word)'"
                case .quoted(let name): "\"\(name)\""
                case .integer(let number): "\(number)"
                case .double(let number): "\(number)"
                case .text(let text): "'\(text)'"
                case .symbol(let symbol): "'\(symbol)'"
                case .end: "the end"
                }
            return ExpressionProblem(message: "\(wanted) was expected, not \(found)", position: token.position)
        }

        private func isWord(_ word: String) -> Bool {
            if case .word(let text) = token.kind { text.uppercased() == word } else { false }
        }

        private mutating func take(word: String) -> Bool {
            guard isWord(word) else { return false }
            at += 1
            return true
        }

        private mutating func take(symbol: String) -> Bool {
            guard token.kind == .symbol(symbol) else { return false }
            at += 1
            return true
        }

        private mutating func expect(word: String) throws(ExpressionProblem) {
            guard take(word: word) else { throw unexpected(word) }
        }

        private mutating func expect(symbol: String) throws(ExpressionProblem) {
            guard take(symbol: symbol) else { throw unexpected("'\(symbol)'") }
        }

        mutating func expression() throws(ExpressionProblem) -> ExpressionSyntax {
            depth += 1
            defer { depth -= 1 }
            guard depth <= 100 else {
                throw ExpressionProblem(
                    message: "the expression is nested more than 100 deep", position: token.position)
            }
            var left = try conjunction()
            while true {
                let position = token.position
                guard take(word: "OR") else { return left }
                left = ExpressionSyntax(form: .binary("OR", left, try conjunction()), position: position)
            }
        }

        private mutating func conjunction() throws(ExpressionProblem) -> ExpressionSyntax {
            var left = try negation()
            while true {
                let position = token.position
                guard take(word: "AND") else { return left }
                left = ExpressionSyntax(form: .binary("AND", left, try negation()), position: position)
            }
        }

        private mutating func negation() throws(ExpressionProblem) -> ExpressionSyntax {
            let position = token.position
            var count = 0
            while take(word: "NOT") { count += 1 }
            var inner = try comparison()
            for _ in 0..<count { inner = ExpressionSyntax(form: .not(inner), position: position) }
            return inner
        }

        private mutating func comparison() throws(ExpressionProblem) -> ExpressionSyntax {
            let left = try joined()
            let position = token.position
            for symbol in ["=", "<>", "!=", "<=", ">=", "<", ">"] where take(symbol: symbol) {
                let name = symbol == "!=" ? "<>" : symbol
                return ExpressionSyntax(form: .binary(name, left, try joined()), position: position)
            }
            if take(word: "IS") {
                let isNegated = take(word: "NOT")
                try expect(word: "NULL")
                return ExpressionSyntax(form: .isNull(left, isNegated: isNegated), position: position)
            }
            let isNegated = take(word: "NOT")
            if take(word: "IN") {
                return ExpressionSyntax(form: .among(left, try list(), isNegated: isNegated), position: position)
            }
            if take(word: "BETWEEN") {
                let low = try joined()
                try expect(word: "AND")
                return ExpressionSyntax(
                    form: .between(left, low, try joined(), isNegated: isNegated), position: position)
            }
            if isNegated { throw unexpected("IN or BETWEEN") }
            return left
        }

        /// `(a, b, …)`, at least one.
        private mutating func list() throws(ExpressionProblem) -> [ExpressionSyntax] {
            try expect(symbol: "(")
            var list = [try expression()]
            while take(symbol: ",") { list.append(try expression()) }
            try expect(symbol: ")")
            return list
        }

        private mutating func joined() throws(ExpressionProblem) -> ExpressionSyntax {
            try leftToRight(["||"]) { parser throws(ExpressionProblem) in try parser.sum() }
        }

        private mutating func sum() throws(ExpressionProblem) -> ExpressionSyntax {
            try leftToRight(["+", "-"]) { parser throws(ExpressionProblem) in try parser.product() }
        }

        private mutating func product() throws(ExpressionProblem) -> ExpressionSyntax {
            try leftToRight(["*", "//", "/", "%"]) { parser throws(ExpressionProblem) in try parser.signed() }
        }

        private mutating func leftToRight(
            _ symbols: [String], _ next: (inout Parser) throws(ExpressionProblem) -> ExpressionSyntax
        ) throws(ExpressionProblem) -> ExpressionSyntax {
            var left = try next(&self)
            while case .symbol(let symbol) = token.kind, symbols.contains(symbol) {
                let position = token.position
                at += 1
                left = ExpressionSyntax(form: .binary(symbol, left, try next(&self)), position: position)
            }
            return left
        }

        private mutating func signed() throws(ExpressionProblem) -> ExpressionSyntax {
            let position = token.position
            var count = 0
            while true {
                if take(symbol: "-") { count += 1 } else if !take(symbol: "+") { break }
            }
            var inner = try primary()
            for _ in 0..<count { inner = ExpressionSyntax(form: .negative(inner), position: position) }
            return inner
        }

        private mutating func primary() throws(ExpressionProblem) -> ExpressionSyntax {
            let start = token
            func made(_ form: Form) -> ExpressionSyntax { ExpressionSyntax(form: form, position: start.position) }
            switch start.kind {
            case .integer(let number):
                at += 1
                return made(.constant(.integer(number)))
            case .double(let number):
                at += 1
                return made(.constant(.double(number)))
            case .text(let text):
                at += 1
                return made(.constant(.text(text)))
            case .quoted(let name):
                at += 1
                return made(.name(name))
            case .symbol("("):
                at += 1
                let inner = try expression()
                try expect(symbol: ")")
                return inner
            case .word(let word):
                at += 1
                return made(try self.word(word))
            default: throw unexpected("a value")
            }
        }

        private static let reserved: Set<String> = [
            "AND", "OR", "NOT", "IS", "IN", "BETWEEN", "THEN", "ELSE", "END", "WHEN", "AS", "FROM", "SELECT", "LIKE",
        ]

        private mutating func word(_ word: String) throws(ExpressionProblem) -> Form {
            switch word.uppercased() {
            case "TRUE": return .constant(.flag(true))
            case "FALSE": return .constant(.flag(false))
            case "NULL": return .constant(.null)
            case "CASE": return try choice()
            case "CAST", "TRY_CAST":
                try expect(symbol: "(")
                let inner = try expression()
                try expect(word: "AS")
                guard case .word(let type) = token.kind else { throw unexpected("a type") }
                at += 1
                try expect(symbol: ")")
                return .cast(inner, type)
            case let upper where Self.reserved.contains(upper):
                at -= 1
                throw unexpected("a value")
            default:
                guard token.kind == .symbol("(") else { return .name(word) }
                if tokens[at + 1].kind == .symbol(")") {
                    at += 2
                    return .call(word.lowercased(), [])
                }
                return .call(word.lowercased(), try list())
            }
        }

        private mutating func choice() throws(ExpressionProblem) -> Form {
            let subject = isWord("WHEN") ? nil : try expression()
            var cases: [(condition: ExpressionSyntax, value: ExpressionSyntax)] = []
            while take(word: "WHEN") {
                var condition = try expression()
                if let subject {
                    condition = ExpressionSyntax(
                        form: .binary("=", subject, condition), position: condition.position)
                }
                try expect(word: "THEN")
                cases.append((condition, try expression()))
            }
            if cases.isEmpty { throw unexpected("WHEN") }
            let otherwise = take(word: "ELSE") ? try expression() : nil
            try expect(word: "END")
            return .choice(cases, otherwise)
        }
    }
}
