extension Expression {
    /// The expression in DuckDB's dialect, with every type and every bracket said.
    /// - Parameter column: what stands for an input, which must have the declared type.
    public func sql(_ column: (Int) -> String) -> String { Self.say(root, column) }

    private static func say(_ node: Node, _ column: (Int) -> String) -> String {
        func say(_ node: Node) -> String { Self.say(node, column) }
        switch node {
        case .constant(let value, let type): return constant(value, type)
        case .input(let place): return column(place)
        case .widened(let inner): return "CAST(\(say(inner)) AS DOUBLE)"
        case .arithmetic(let operation, let type, let left, let right):
            let text = "(\(say(left)) \(operation.rawValue) \(say(right)))"
            // What does not fit is an error there.
            return type == .integer ? "TRY(\(text))" : text
        case .comparison(let comparison, let left, let right):
            return "(\(say(left)) \(comparison.rawValue) \(say(right)))"
        case .and(let left, let right): return "(\(say(left)) AND \(say(right)))"
        case .or(let left, let right): return "(\(say(left)) OR \(say(right)))"
        case .not(let inner): return "(NOT \(say(inner)))"
        case .isNull(let inner): return "(\(say(inner)) IS NULL)"
        case .joined(let left, let right): return "(\(say(left)) || \(say(right)))"
        case .among(let inner, let list): return "(\(say(inner)) IN (\(list.map(say).joined(separator: ", "))))"
        case .choice(let branches, let otherwise):
            let cases = branches.map { "WHEN \(say($0.condition)) THEN \(say($0.value))" }
            return "(CASE \(cases.joined(separator: " ")) ELSE \(say(otherwise)) END)"
        case .cast(let inner, let type): return "TRY_CAST(\(say(inner)) AS \(type.rawValue))"
        case .call(let function, let arguments, let type):
            let text = "\(function.rawValue)(\(arguments.map(say).joined(separator: ", ")))"
            return function == .abs && type == .integer ? "TRY(\(text))" : text
        }
    }

    private static func constant(_ value: ExpressionValue, _ type: ExpressionType) -> String {
        switch value {
        case .null: "CAST(NULL AS \(type.rawValue))"
        case .integer(let number): "CAST('\(number)' AS BIGINT)"
        case .double(let number): "CAST('\(number)' AS DOUBLE)"
        case .flag(let flag): flag ? "TRUE" : "FALSE"
        case .text(let text):
            "CAST('" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
                + "' AS VARCHAR)"
        }
    }
}
