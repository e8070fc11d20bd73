/// The types of an expression and its inputs, by their names in SQL.
public enum ExpressionType: String, Sendable, Hashable, CaseIterable {
    case integer = "BIGINT"
    case double = "DOUBLE"
    case text = "VARCHAR"
    case flag = "BOOLEAN"
}

/// A value of an expression. Two are equal if they are the same bits; use `Expression` to compare them as SQL does.
public enum ExpressionValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case double(Double)
    case text(String)
    case flag(Bool)

    public var isNull: Bool { if case .null = self { true } else { false } }
}

/// What is wrong with an expression, and where.
public struct ExpressionProblem: Error, Sendable, Hashable {
    public var message: String
    /// The place in the text, in characters from 1.
    public var position: Int
}
