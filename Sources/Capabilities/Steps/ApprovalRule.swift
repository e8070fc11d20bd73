public import AerieCore

/// A condition on numbers, such as `auc > 0.90 and f1 > 0.85`.
///
/// Operands are numbers and names; operators are `> >= < <= == !=`, `and`, `or`, `not` (also `&& || !`) and
/// parentheses; `and` binds tighter than `or`.
public struct ApprovalRule: Sendable {
    indirect enum Node: Sendable {
        case compare(Operand, String, Operand)
        case both(Node, Node)
        case either(Node, Node)
        case not(Node)
    }

    enum Operand: Sendable {
        case number(Double)
        case name(String)
    }

    public let text: String
    let root: Node

    /// - Throws: `invalidArgument` with what was expected and at which character, counted from 1.
    public init(_ text: String) throws(AerieError) {
        self.text = text
        var parser = RuleParser(text)
        root = try parser.parse()
    }

    /// Every name in the rule, in order, once.
    public var names: [String] {
        var names: [String] = []
        visit(root) { operand in
            if case .name(let name) = operand, !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// Whether it holds.
    /// - Throws: `invalidArgument` naming the values that are not given.
    public func evaluate(_ values: [String: Double]) throws(AerieError) -> Bool {
        let missing = names.filter { values[$0] == nil }
        guard missing.isEmpty else {
            let known = values.keys.sorted().joined(separator: ", ")
            throw .invalid(
                "rule",
                "'\(text)' needs \(missing.joined(separator: ", ")), which is not given; "
                    + (known.isEmpty ? "no value is" : "there are \(known)"))
        }
        return Self.holds(root, values)
    }

    private static func holds(_ node: Node, _ values: [String: Double]) -> Bool {
        switch node {
        case .both(let a, let b): return holds(a, values) && holds(b, values)
        case .either(let a, let b): return holds(a, values) || holds(b, values)
        case .not(let a): return !holds(a, values)
        case .compare(let left, let operation, let right):
            func value(_ operand: Operand) -> Double {
                switch operand {
                case .number(let number): number
                case .name(let name): values[name] ?? .nan
                }
            }
            let (a, b) = (value(left), value(right))
            return switch operation {
            case ">": a > b
            case ">=": a >= b
            case "<": a < b
            case "<=": a <= b
            case "==": a == b
            default: a != b
            }
        }
    }

    private func visit(_ node: Node, _ body: (Operand) -> Void) {
        switch node {
        case .compare(let a, _, let b):
            body(a)
            body(b)
        case .both(let a, let b), .either(let a, let b):
            visit(a, body)
            visit(b, body)
        case .not(let a): visit(a, body)
        }
    }
}

/// Recursive descent over the rule's characters, at most 50 levels deep.
private struct RuleParser {
    private let text: [Character]
    private var at = 0
    private var depth = 0

    init(_ text: String) { self.text = Array(text) }

    mutating func parse() throws(AerieError) -> ApprovalRule.Node {
        guard text.count <= 2000 else { throw .invalid("rule", "is longer than 2,000 characters") }
        let node = try either()
        skipSpaces()
        guard at == text.count else { throw expected("'and', 'or' or the end") }
        return node
    }

    private mutating func either() throws(AerieError) -> ApprovalRule.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth < 50 else { throw expected("at most 50 levels of nesting") }
        var node = try both()
        while takeWord("or") || take("||") { node = .either(node, try both()) }
        return node
    }

    private mutating func both() throws(AerieError) -> ApprovalRule.Node {
        var node = try term()
        while takeWord("and") || take("&&") { node = .both(node, try term()) }
        return node
    }

    private mutating func term() throws(AerieError) -> ApprovalRule.Node {
        if takeWord("not") || take("!") {
            depth += 1
            defer { depth -= 1 }
            guard depth < 50 else { throw expected("at most 50 levels of nesting") }
            return .not(try term())
        }
        if take("(") {
            let node = try either()
            guard take(")") else { throw expected("')'") }
            return node
        }
        let left = try operand()
        for operation in [">=", "<=", "==", "!=", ">", "<"] where take(operation) {
            return .compare(left, operation, try operand())
        }
        throw expected("a comparison (> >= < <= == !=)")
    }

    private mutating func operand() throws(AerieError) -> ApprovalRule.Operand {
        skipSpaces()
        let start = at
        while at < text.count, text[at].isLetter || text[at].isNumber || "_.-+".contains(text[at]) { at += 1 }
        let word = String(text[start..<at])
        if let number = Double(word), number.isFinite { return .number(number) }
        if let first = word.first, first.isLetter || first == "_", !["and", "or", "not"].contains(word.lowercased()) {
            return .name(word)
        }
        at = start
        throw expected("a number or a name")
    }

    private mutating func take(_ symbol: String) -> Bool {
        skipSpaces()
        guard text[at...].starts(with: symbol), !(symbol == "!" && at + 1 < text.count && text[at + 1] == "=") else {
            return false
        }
        at += symbol.count
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool {
        skipSpaces()
        guard text[at...].prefix(word.count).map({ $0.lowercased() }).joined() == word else { return false }
        let end = at + word.count
        if end < text.count, text[end].isLetter || text[end].isNumber || text[end] == "_" { return false }
        at = end
        return true
    }

    private mutating func skipSpaces() { while at < text.count, text[at].isWhitespace { at += 1 } }

    private func expected(_ what: String) -> AerieError {
        .invalid("rule", "'\(String(text.prefix(80)))': expected \(what) at character \(at + 1)")
    }
}
