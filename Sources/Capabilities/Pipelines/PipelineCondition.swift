public import AerieCore
public import AerieJSON

/// A step's `when:`, such as `${steps.evaluate.auc} > 0.9 && ${parameters.deploy}`.
///
/// Operands are references, numbers, quoted strings, `true`, `false` and `null`; operators are
/// `== != < <= > >= && || !` and parentheses. Numbers compare as numbers, strings by their characters.
public struct PipelineCondition: Hashable, Sendable {
    indirect enum Node: Hashable, Sendable {
        case value(JSONValue)
        case reference(PipelineReference)
        case not(Node)
        case both(Node, Node)
        case either(Node, Node)
        case compare(Node, String, Node)
    }

    /// As it was written.
    public let text: String
    public let references: [PipelineReference]
    private let root: Node

    /// - Throws: `invalidArgument` naming what was expected and the position in the text, counted from 1.
    public init(_ text: String) throws(AerieError) {
        var parser = ConditionParser(text)
        root = try parser.parse()
        references = parser.references
        self.text = text
    }

    /// - Throws: `invalidArgument` if values of different types are ordered, or the result is not true or false.
    public func evaluate(_ lookup: (PipelineReference) throws(AerieError) -> JSONValue) throws(AerieError) -> Bool {
        try truth(root, lookup)
    }

    private func truth(
        _ node: Node, _ lookup: (PipelineReference) throws(AerieError) -> JSONValue
    ) throws(AerieError) -> Bool {
        switch node {
        case .not(let inner): return try !truth(inner, lookup)
        case .both(let a, let b):
            guard try truth(a, lookup) else { return false }
            return try truth(b, lookup)
        case .either(let a, let b):
            if try truth(a, lookup) { return true }
            return try truth(b, lookup)
        case .compare(let a, let operation, let b):
            return try Self.compare(try value(a, lookup), operation, try value(b, lookup), text)
        case .value, .reference:
            let value = try value(node, lookup)
            guard let truth = value.bool else {
                throw .invalid("when", "'\(text)': \(value.text()) is neither true nor false")
            }
            return truth
        }
    }

    private func value(
        _ node: Node, _ lookup: (PipelineReference) throws(AerieError) -> JSONValue
    ) throws(AerieError) -> JSONValue {
        switch node {
        case .value(let value): value
        case .reference(let reference): try lookup(reference)
        default: .bool(try truth(node, lookup))
        }
    }

    private static func compare(
        _ a: JSONValue, _ operation: String, _ b: JSONValue, _ text: String
    ) throws(AerieError) -> Bool {
        if let x = a.double, let y = b.double { return order(x, operation, y) }
        if let x = a.string, let y = b.string { return order(x, operation, y) }
        switch operation {
        case "==": return a == b
        case "!=": return a != b
        default: throw .invalid("when", "'\(text)': \(a.text()) and \(b.text()) have no order")
        }
    }

    private static func order<Value: Comparable>(_ a: Value, _ operation: String, _ b: Value) -> Bool {
        switch operation {
        case "==": a == b
        case "!=": a != b
        case "<": a < b
        case "<=": a <= b
        case ">": a > b
        default: a >= b
        }
    }
}

/// Recursive descent; nesting is limited so that hostile text cannot exhaust the stack.
private struct ConditionParser {
    private let text: [Character]
    private var at = 0
    private var depth = 0
    var references: [PipelineReference] = []

    init(_ text: String) { self.text = Array(text) }

    mutating func parse() throws(AerieError) -> PipelineCondition.Node {
        let node = try either()
        skipSpaces()
        guard at == text.count else { throw expected("an operator or the end") }
        return node
    }

    private mutating func either() throws(AerieError) -> PipelineCondition.Node {
        depth += 1
        defer { depth -= 1 }
        guard depth < 50 else { throw expected("less than 50 levels of nesting") }
        var node = try both()
        while take("||") { node = .either(node, try both()) }
        return node
    }

    private mutating func both() throws(AerieError) -> PipelineCondition.Node {
        var node = try comparison()
        while take("&&") { node = .both(node, try comparison()) }
        return node
    }

    private mutating func comparison() throws(AerieError) -> PipelineCondition.Node {
        let left = try operand()
        for operation in ["==", "!=", "<=", ">=", "<", ">"] where take(operation) {
            return .compare(left, operation, try operand())
        }
        return left
    }

    private mutating func operand() throws(AerieError) -> PipelineCondition.Node {
        skipSpaces()
        if take("(") {
            let node = try either()
            guard take(")") else { throw expected("')'") }
            return node
        }
        if take("!") {
            depth += 1
            defer { depth -= 1 }
            guard depth < 50 else { throw expected("less than 50 levels of nesting") }
            return .not(try operand())
        }
        if take("${") {
            guard let end = text[at...].firstIndex(of: "}") else { throw expected("'}'") }
            let reference = try PipelineReference(String(text[at..<end]))
            at = end + 1
            references.append(reference)
            return .reference(reference)
        }
        return .value(try literal())
    }

    private mutating func literal() throws(AerieError) -> JSONValue {
        guard at < text.count else { throw expected("a value") }
        if text[at] == "'" || text[at] == "\"" {
            let quote = text[at]
            guard let end = text[(at + 1)...].firstIndex(of: quote) else { throw expected("a closing \(quote)") }
            defer { at = end + 1 }
            return .string(String(text[(at + 1)..<end]))
        }
        let start = at
        while at < text.count, text[at].isLetter || text[at].isNumber || "+-._".contains(text[at]) { at += 1 }
        let word = String(text[start..<at])
        switch word {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        default:
            if let value = Int64(word) { return .int(value) }
            if let value = Double(word), value.isFinite { return .double(value) }
            at = start
            throw expected("a reference, a number, a quoted string, true, false or null")
        }
    }

    private mutating func take(_ symbol: String) -> Bool {
        skipSpaces()
        guard text[at...].starts(with: symbol) else { return false }
        at += symbol.count
        return true
    }

    private mutating func skipSpaces() { while at < text.count, text[at].isWhitespace { at += 1 } }

    private func expected(_ what: String) -> AerieError {
        .invalid("", "'\(String(text.prefix(80)))': expected \(what) at character \(at + 1)")
    }
}
