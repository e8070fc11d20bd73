/// Resolves names and types. A type that is `nil` is that of a null alone, which fits everywhere.
struct ExpressionChecker {
    typealias Typed = (node: Expression.Node, type: ExpressionType?)

    let names: [(name: String, type: ExpressionType)]
    private(set) var used: Set<Int> = []
    private var depth = 0
    /// A run takes as many frames of the stack.
    private static let depthLimit = 200

    init(names: [(name: String, type: ExpressionType)]) { self.names = names }

    mutating func check(_ syntax: ExpressionSyntax) throws(ExpressionProblem) -> Typed {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else {
            throw ExpressionProblem(
                message: "the expression is more than \(Self.depthLimit) operators deep", position: syntax.position)
        }
        switch syntax.form {
        case .constant(let value): return Self.constant(value)
        case .name(let name): return try input(name, syntax.position)
        case .negative(let inner):
            // The smallest whole number has no positive counterpart, so a sign belongs to its literal.
            let (node, type) = try check(inner)
            let zero = Expression.Node.constant(type == .double ? .double(-0.0) : .integer(0), type ?? .integer)
            try Self.expect(type, [.integer, .double], "a number", inner.position)
            return (.arithmetic(.minus, type ?? .integer, zero, node), type)
        case .not(let inner): return (.not(try flag(inner)), .flag)
        case .binary(let symbol, let left, let right): return try binary(symbol, left, right)
        case .isNull(let inner, let isNegated):
            let node = Expression.Node.isNull(try check(inner).node)
            return (isNegated ? .not(node) : node, .flag)
        case .among(let value, let list, let isNegated):
            let (nodes, _) = try common([value] + list)
            let node = Expression.Node.among(nodes[0], Array(nodes.dropFirst()))
            return (isNegated ? .not(node) : node, .flag)
        case .between(let value, let low, let high, let isNegated):
            let (nodes, _) = try common([value, low, high])
            let node = Expression.Node.and(
                .comparison(.greaterOrEqual, nodes[0], nodes[1]), .comparison(.lessOrEqual, nodes[0], nodes[2]))
            return (isNegated ? .not(node) : node, .flag)
        case .choice(let cases, let otherwise):
            var conditions: [Expression.Node] = []
            for one in cases { conditions.append(try flag(one.condition)) }
            let last = otherwise ?? ExpressionSyntax(form: .constant(.null), position: syntax.position)
            let (values, type) = try common(cases.map(\.value) + [last])
            let branches = zip(conditions, values).map { Expression.Branch(condition: $0, value: $1) }
            return (.choice(branches, values[values.count - 1]), type)
        case .cast(let inner, let name): return try cast(inner, name, syntax.position)
        case .call(let name, let arguments): return try call(name, arguments, syntax.position)
        }
    }

    private static func constant(_ value: ExpressionValue) -> Typed {
        let type: ExpressionType? =
            switch value {
            case .null: nil
            case .integer: .integer
            case .double: .double
            case .text: .text
            case .flag: .flag
            }
        return (.constant(value, type ?? .integer), type)
    }

    private mutating func input(_ name: String, _ position: Int) throws(ExpressionProblem) -> Typed {
        guard let place = names.firstIndex(where: { $0.name == name }) else {
            let known = names.map(\.name).joined(separator: ", ")
            throw ExpressionProblem(message: "'\(name)' is not known; there are \(known)", position: position)
        }
        used.insert(place)
        return (.input(place), names[place].type)
    }

    private static func expect(
        _ type: ExpressionType?, _ wanted: Set<ExpressionType>, _ words: String, _ position: Int
    ) throws(ExpressionProblem) {
        guard let type, !wanted.contains(type) else { return }
        throw ExpressionProblem(message: "\(words) is needed here, not \(type.rawValue)", position: position)
    }

    private mutating func flag(_ syntax: ExpressionSyntax) throws(ExpressionProblem) -> Expression.Node {
        let (node, type) = try check(syntax)
        try Self.expect(type, [.flag], "a BOOLEAN", syntax.position)
        return Self.adapted(node, type, .flag)
    }

    /// As another type: whole numbers become floating-point ones, and a null takes any type.
    private static func adapted(
        _ node: Expression.Node, _ type: ExpressionType?, _ wanted: ExpressionType
    ) -> Expression.Node {
        if type == nil { return .constant(.null, wanted) }
        return type == .integer && wanted == .double ? .widened(node) : node
    }

    /// Values that must have one type.
    private mutating func common(
        _ list: [ExpressionSyntax]
    ) throws(ExpressionProblem) -> (nodes: [Expression.Node], type: ExpressionType?) {
        var typed: [Typed] = []
        var type: ExpressionType?
        for syntax in list {
            let one = try check(syntax)
            typed.append(one)
            guard let next = one.type else { continue }
            if let known = type, known != next {
                guard Set([known, next]) == [.integer, .double] else {
                    throw ExpressionProblem(
                        message: "\(next.rawValue) does not go with \(known.rawValue)", position: syntax.position)
                }
                type = .double
            } else {
                type = next
            }
        }
        return (typed.map { Self.adapted($0.node, $0.type, type ?? .integer) }, type)
    }

    private mutating func binary(
        _ symbol: String, _ left: ExpressionSyntax, _ right: ExpressionSyntax
    ) throws(ExpressionProblem) -> Typed {
        switch symbol {
        case "AND": return (.and(try flag(left), try flag(right)), .flag)
        case "OR": return (.or(try flag(left), try flag(right)), .flag)
        default: break
        }
        let (nodes, type) = try common([left, right])
        if let comparison = Expression.Comparison(rawValue: symbol) {
            return (.comparison(comparison, nodes[0], nodes[1]), .flag)
        }
        if symbol == "||" {
            try Self.expect(type, [.text], "a VARCHAR", left.position)
            return (type == nil ? .constant(.null, .text) : .joined(nodes[0], nodes[1]), .text)
        }
        try Self.expect(type, [.integer, .double], "a number", left.position)
        let operation = Expression.Arithmetic(rawValue: symbol) ?? .plus
        if operation == .over {
            let doubles = nodes.map { Self.adapted($0, type, .double) }
            return (.arithmetic(.over, .double, doubles[0], doubles[1]), .double)
        }
        if operation == .quotient { try Self.expect(type, [.integer], "a BIGINT", left.position) }
        return (.arithmetic(operation, type ?? .integer, nodes[0], nodes[1]), type)
    }

    private static let types: [String: ExpressionType] = [
        "BIGINT": .integer, "INT64": .integer, "INTEGER": .integer, "INT": .integer, "DOUBLE": .double,
        "FLOAT64": .double,
        "VARCHAR": .text, "TEXT": .text, "STRING": .text, "BOOLEAN": .flag, "BOOL": .flag,
    ]

    private mutating func cast(
        _ inner: ExpressionSyntax, _ name: String, _ position: Int
    ) throws(ExpressionProblem) -> Typed {
        guard let wanted = Self.types[name.uppercased()] else {
            throw ExpressionProblem(
                message: "'\(name)' is no type; there are BIGINT, DOUBLE, VARCHAR and BOOLEAN", position: position)
        }
        let (node, type) = try check(inner)
        switch (type, wanted) {
        case (nil, _): return (.constant(.null, wanted), wanted)
        case (wanted, _): return (node, wanted)
        case (.integer, .double): return (.widened(node), .double)
        case (.double, .integer), (.integer, .text), (.integer, .flag), (.flag, .integer):
            return (.cast(node, wanted), wanted)
        case (.flag, .double): return (.widened(.cast(node, .integer)), .double)
        default:
            throw ExpressionProblem(
                message: "\(type?.rawValue ?? "") cannot be cast to \(wanted.rawValue) the same way everywhere",
                position: position)
        }
    }

    private mutating func call(
        _ name: String, _ arguments: [ExpressionSyntax], _ position: Int
    ) throws(ExpressionProblem) -> Typed {
        let synonyms = ["ceiling": "ceil", "power": "pow", "len": "length", "ifnull": "coalesce"]
        guard let function = ExpressionFunction(rawValue: synonyms[name] ?? name) else {
            let known = ExpressionFunction.allCases.map(\.rawValue).joined(separator: ", ")
            throw ExpressionProblem(
                message: "the function '\(name)' is not known; there are \(known)", position: position)
        }
        if let count = function.count, count != arguments.count {
            throw ExpressionProblem(
                message: "\(name) takes \(count == 1 ? "one argument" : "\(count) arguments"), not \(arguments.count)",
                position: position)
        }
        if arguments.isEmpty { throw ExpressionProblem(message: "\(name) takes arguments", position: position) }
        if let wanted = function.argument {
            var nodes: [Expression.Node] = []
            for argument in arguments {
                let (node, type) = try check(argument)
                let accepted: Set<ExpressionType> = wanted == .double ? [.double, .integer] : [wanted]
                try Self.expect(
                    type, accepted, wanted == .double ? "a number" : "a \(wanted.rawValue)", argument.position)
                nodes.append(Self.adapted(node, type, wanted))
            }
            return (.call(function, nodes, wanted), function.result(wanted))
        }
        let (nodes, type) = try common(arguments)
        if function == .abs { try Self.expect(type, [.integer, .double], "a number", arguments[0].position) }
        return (.call(function, nodes, type ?? .integer), type.map(function.result))
    }
}
