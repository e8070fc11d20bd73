public import AerieCore

/// Reads filters such as `metrics.auc > 0.9 AND params.depth = '10'` and orders such as `metrics.auc DESC`.
///
/// Conditions are joined by AND; there is no OR. Keys that hold spaces stand in backticks or double quotes after the
/// point. Every error is `invalidArgument` with the character (from 1) at which it was noticed.
public struct SearchParser {
    private let subject: SearchSubject
    private let field: String
    private var tokens: [SearchLexer.Placed] = []
    private var at = 0

    private init(_ text: String, subject: SearchSubject, field: String) throws(AerieError) {
        self.subject = subject
        self.field = field
        tokens = try SearchLexer.tokens(text, field: field)
    }

    /// The conditions of a filter; none for an empty one.
    public static func conditions(_ filter: String?, subject: SearchSubject) throws(AerieError) -> [SearchCondition] {
        guard let filter, filter.contains(where: { !$0.isWhitespace }) else { return [] }
        var parser = try SearchParser(filter, subject: subject, field: "filter")
        var conditions: [SearchCondition] = []
        repeat {
            conditions.append(try parser.condition())
            guard conditions.count <= 100 else { throw parser.failure("more than 100 conditions") }
        } while try parser.readAnd()
        return conditions
    }

    /// The orders of a list of `key [ASC|DESC]`.
    public static func orders(_ texts: [String], subject: SearchSubject) throws(AerieError) -> [SearchOrder] {
        guard texts.count <= 20 else { throw .invalid("order_by", "has more than 20 parts") }
        var orders: [SearchOrder] = []
        for text in texts {
            var parser = try SearchParser(text, subject: subject, field: "order_by")
            orders.append(try parser.order())
        }
        return orders
    }

    // MARK: Pieces

    private var current: SearchLexer.Token { tokens[at].token }

    private func failure(_ problem: String) -> AerieError {
        SearchLexer.failure(field, column: tokens[at].column, problem)
    }

    private mutating func advance() { if at + 1 < tokens.count { at += 1 } }

    private func isWord(_ word: String) -> Bool {
        if case .word(let text) = current { text.uppercased() == word } else { false }
    }

    private mutating func readAnd() throws(AerieError) -> Bool {
        if current == .end { return false }
        if isWord("OR") { throw failure("OR is not supported; conditions are joined by AND") }
        guard isWord("AND") else { throw failure("AND was expected between two conditions") }
        advance()
        return true
    }

    private mutating func condition() throws(AerieError) -> SearchCondition {
        let key = try searchField(forOrder: false)
        let place = tokens[at].column
        let comparison = try comparison()
        try check(comparison, of: key, column: place)
        if comparison == .isNull || comparison == .isNotNull { return SearchCondition(key, comparison, .none) }
        if comparison == .in || comparison == .notIn { return SearchCondition(key, comparison, .list(try list())) }
        return SearchCondition(key, comparison, try value(of: key, isNumber: isNumber(key, comparison)))
    }

    private mutating func order() throws(AerieError) -> SearchOrder {
        let key = try searchField(forOrder: true)
        var ascending = true
        if isWord("ASC") || isWord("DESC") {
            ascending = isWord("ASC")
            advance()
        }
        guard current == .end else { throw failure("ASC, DESC or nothing was expected after the key") }
        return SearchOrder(key, ascending: ascending)
    }

    private mutating func searchField(forOrder: Bool) throws(AerieError) -> SearchField {
        let text: String
        switch current {
        case .word(let word): text = word
        case .quoted(let word): text = word
        default: throw failure("a key such as metrics.auc, params.depth, tags.team or an attribute was expected")
        }
        var kind = SearchField.Kind.attribute
        var key = text
        if let point = text.firstIndex(of: ".") {
            let prefix = String(text[..<point])
            guard let named = SearchSubject.kind(prefix) else {
                throw failure("Invalid entity type '\(prefix)'; it must be metrics, params, tags, attributes or datasets")
            }
            kind = named
            key = String(text[text.index(after: point)...])
        }
        guard subject.kinds.contains(kind) else { throw failure("'\(kind.rawValue)' cannot be searched for here") }
        guard !key.isEmpty else { throw failure("the key after the point is missing") }
        if kind == .attribute { key = try attribute(key, forOrder: forOrder) }
        if kind == .attribute, key == "text" { (kind, key) = (.span, "content") }
        try checkTracePart(kind, key, forOrder: forOrder)
        if kind == .dataset, !["name", "digest", "context"].contains(key) || forOrder {
            throw failure("Invalid dataset attribute '\(key)'; name, digest and context can be searched for")
        }
        advance()
        return SearchField(kind, key)
    }

    private func checkTracePart(_ kind: SearchField.Kind, _ key: String, forOrder: Bool) throws(AerieError) {
        guard [.span, .feedback, .expectation, .issue].contains(kind) else { return }
        guard !forOrder else { throw failure("traces are not ordered by a \(kind.rawValue)") }
        if kind == .span, !["name", "type", "status", "content"].contains(key) {
            guard key.hasPrefix("attributes."), key.utf8.count > 11 else {
                throw failure(
                    "Invalid span attribute '\(key)'; name, type, status, content and attributes.<name> can be searched for")
            }
        }
        if kind == .issue, key != "id" { throw failure("Invalid issue attribute '\(key)'; issues are found by their id") }
    }

    private func attribute(_ key: String, forOrder: Bool) throws(AerieError) -> String {
        let known = forOrder ? subject.orderAliases[key.lowercased()] ?? key : subject.attributes[key.lowercased()]
        let allowed = forOrder ? subject.orderable : Set(subject.attributes.values)
        guard let known, allowed.contains(known) else {
            throw failure("Invalid attribute key '\(key)'; valid keys are \(allowed.sorted().joined(separator: ", "))")
        }
        return known
    }

    private mutating func comparison() throws(AerieError) -> SearchCondition.Operator {
        switch current {
        case .symbol(let symbol):
            guard let found = SearchCondition.Operator(rawValue: symbol) else { break }
            advance()
            return found
        case .word(let word):
            switch word.uppercased() {
            case "LIKE": advance(); return .like
            case "ILIKE": advance(); return .ilike
            case "RLIKE": advance(); return .rlike
            case "IN": advance(); return .in
            case "NOT":
                advance()
                guard isWord("IN") else { throw failure("IN was expected after NOT") }
                advance()
                return .notIn
            case "IS":
                advance()
                let isNot = isWord("NOT")
                if isNot { advance() }
                guard isWord("NULL") else { throw failure("NULL or NOT NULL was expected after IS") }
                advance()
                return isNot ? .isNotNull : .isNull
            default: break
            }
        default: break
        }
        throw failure("a comparison (=, !=, <, <=, >, >=, LIKE, ILIKE, RLIKE, IN, NOT IN, IS NULL, IS NOT NULL) was expected")
    }

    private func isNumeric(_ key: SearchField) -> Bool {
        key.kind == .metric || (key.kind == .attribute && subject.numericAttributes.contains(key.key))
    }

    private func check(_ comparison: SearchCondition.Operator, of key: SearchField, column: Int) throws(AerieError) {
        let allowed: Bool
        switch key.kind {
        case .issue: allowed = comparison == .equal
        case .attribute where key.key == "prompt": allowed = comparison == .equal
        case .span where key.key == "content": allowed = [.like, .ilike].contains(comparison)
        case .span: allowed = [.equal, .notEqual, .like, .ilike, .rlike, .in, .notIn].contains(comparison)
        case .feedback, .expectation: allowed = ![.in, .notIn].contains(comparison)
        default: allowed = isAllowed(comparison, of: key)
        }
        guard allowed else {
            throw SearchLexer.failure(
                field, column: column,
                    "Invalid comparator '\(comparison.rawValue)' for \(key.kind.rawValue) '\(key.key)'")
        }
    }

    private func isAllowed(_ comparison: SearchCondition.Operator, of key: SearchField) -> Bool {
        switch comparison {
        case .equal, .notEqual: true
        case .less, .lessOrEqual, .greater, .greaterOrEqual: isNumeric(key)
        case .like, .ilike: !isNumeric(key)
        case .rlike: !isNumeric(key) && subject.kinds.contains(.span)
        case .in, .notIn:
            key.kind == .dataset || (key.kind == .attribute && subject.listAttributes.contains(key.key))
        case .isNull, .isNotNull: [.tag, .param, .metadata].contains(key.kind)
        }
    }

    /// Assessments are compared with a number where the comparison has an order, and with text otherwise.
    private func isNumber(_ key: SearchField, _ comparison: SearchCondition.Operator) -> Bool {
        guard [.feedback, .expectation].contains(key.kind) else { return isNumeric(key) }
        return [.less, .lessOrEqual, .greater, .greaterOrEqual].contains(comparison)
    }

    private mutating func value(of key: SearchField, isNumber: Bool) throws(AerieError) -> SearchCondition.Value {
        let token = current
        if isNumber {
            // Versions are text to clients, which quote them.
            if key.key == "version_number", case .text(let text) = token, let number = Int32(text) {
                advance()
                return .number(Double(number))
            }
            guard case .number(let number) = token else {
                throw failure("Expected numeric value type for \(key.kind.rawValue) '\(key.key)'")
            }
            advance()
            return .number(number)
        }
        switch token {
        case .text(let text), .quoted(let text):
            advance()
            return .text(text)
        default:
            throw failure("Expected a quoted string value for \(key.kind.rawValue) '\(key.key)' (e.g. 'my-value')")
        }
    }

    private mutating func list() throws(AerieError) -> [String] {
        guard current == .symbol("(") else { throw failure("a list in parentheses was expected") }
        advance()
        var values: [String] = []
        while true {
            switch current {
            case .text(let text), .quoted(let text): values.append(text)
            default: throw failure("a quoted string was expected in the list")
            }
            advance()
            if current == .symbol(")") { break }
            guard current == .symbol(",") else { throw failure("a comma or the list's end was expected") }
            advance()
            guard values.count < 10_000 else { throw failure("the list has more than 10000 values") }
        }
        advance()
        return values
    }
}
