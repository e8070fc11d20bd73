/// A computation over named values, written in SQL, checked once, and then run for one row at a time or said in
/// DuckDB's dialect for many: both give the same answers.
///
/// Types are 64-bit whole and floating-point numbers, texts and flags. Nulls spread as in SQL: AND, OR and NOT know
/// three
/// values, `coalesce`, `least` and `greatest` look past nulls. Floating-point numbers follow IEEE 754, with one NaN
/// that is
/// equal to itself and greater than all else, as DuckDB orders them. A whole number that does not fit, or is divided by
/// zero, is null. Immutable; a run allocates only for texts it makes.
public struct Expression: Sendable, Hashable {
    /// What an expression is made of, with types known. Inputs are numbered.
    indirect enum Node: Sendable, Hashable {
        case constant(ExpressionValue, ExpressionType)
        case input(Int)
        case widened(Node)
        case arithmetic(Arithmetic, ExpressionType, Node, Node)
        case comparison(Comparison, Node, Node)
        case and(Node, Node)
        case or(Node, Node)
        case not(Node)
        case isNull(Node)
        case joined(Node, Node)
        case among(Node, [Node])
        case choice([Branch], Node)
        case cast(Node, ExpressionType)
        case call(ExpressionFunction, [Node], ExpressionType)
    }

    struct Branch: Sendable, Hashable {
        var condition: Node
        var value: Node
    }

    enum Arithmetic: String, Sendable, Hashable {
        case plus = "+"
        case minus = "-"
        case times = "*"
        case over = "/"
        case quotient = "//"
        case remainder = "%"
    }

    enum Comparison: String, Sendable, Hashable {
        case equal = "="
        case unequal = "<>"
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    public let text: String
    public let type: ExpressionType
    /// The places of the inputs that it reads, ascending.
    public let inputs: [Int]
    let root: Node

    /// What is wrong with a text whatever its names and types are; `nil` if nothing is.
    public static func problem(in text: String) -> ExpressionProblem? {
        do throws(ExpressionProblem) { _ = try ExpressionSyntax.parse(text) } catch { return error }
        return nil
    }

    /// - Parameter names: what may be read, by place.
    /// - Throws: for a text that is no expression, names and functions that are not known, and types that do not fit.
    public init(
        _ text: String, _ names: [(name: String, type: ExpressionType)]
    ) throws(ExpressionProblem) {
        var checker = ExpressionChecker(names: names)
        let (root, type) = try checker.check(try ExpressionSyntax.parse(text))
        guard let type else { throw ExpressionProblem(message: "the expression is always null", position: 1) }
        self.text = text
        self.root = root
        self.type = type
        inputs = checker.used.sorted()
    }
}
