extension Expression {
    /// The answer for one row.
    /// - Parameter values: by place, of the types that were declared; those that are not in `inputs` are not looked at.
    public func evaluate(_ values: [ExpressionValue]) -> ExpressionValue { Self.run(root, values) }

    private static func run(_ node: Node, _ inputs: [ExpressionValue]) -> ExpressionValue {
        switch node {
        case .constant(let value, _): return value
        case .input(let place): return inputs[place]
        case .widened(let inner):
            guard case .integer(let value) = run(inner, inputs) else { return .null }
            return .double(Double(value))
        case .arithmetic(let operation, _, let left, let right):
            switch (run(left, inputs), run(right, inputs)) {
            case (.integer(let a), .integer(let b)): return integer(operation, a, b)
            case (.double(let a), .double(let b)): return double(operation, a, b)
            default: return .null
            }
        case .comparison(let comparison, let left, let right):
            let (a, b) = (run(left, inputs), run(right, inputs))
            return a.isNull || b.isNull ? .null : .flag(holds(comparison, order(a, b)))
        case .and(let left, let right): return both(run(left, inputs), run(right, inputs), deciding: false)
        case .or(let left, let right): return both(run(left, inputs), run(right, inputs), deciding: true)
        case .not(let inner):
            guard case .flag(let flag) = run(inner, inputs) else { return .null }
            return .flag(!flag)
        case .isNull(let inner): return .flag(run(inner, inputs).isNull)
        case .joined(let left, let right):
            guard case .text(let a) = run(left, inputs), case .text(let b) = run(right, inputs) else { return .null }
            return .text(a + b)
        case .among(let inner, let list): return among(run(inner, inputs), list.map { run($0, inputs) })
        case .choice(let branches, let otherwise):
            for branch in branches where run(branch.condition, inputs) == .flag(true) {
                return run(branch.value, inputs)
            }
            return run(otherwise, inputs)
        case .cast(let inner, let type): return cast(run(inner, inputs), type)
        case .call(let function, let arguments, _): return function.call(arguments.map { run($0, inputs) })
        }
    }

    private static func integer(_ operation: Arithmetic, _ a: Int64, _ b: Int64) -> ExpressionValue {
        let (value, overflow) =
            switch operation {
            case .plus: a.addingReportingOverflow(b)
            case .minus: a.subtractingReportingOverflow(b)
            case .times: a.multipliedReportingOverflow(by: b)
            case .quotient, .over: a.dividedReportingOverflow(by: b)
            case .remainder: a.remainderReportingOverflow(dividingBy: b)
            }
        return overflow ? .null : .integer(value)
    }

    private static func double(_ operation: Arithmetic, _ a: Double, _ b: Double) -> ExpressionValue {
        switch operation {
        case .plus: .double(a + b)
        case .minus: .double(a - b)
        case .times: .double(a * b)
        case .over, .quotient: .double(a / b)
        case .remainder: .double(a.truncatingRemainder(dividingBy: b))
        }
    }

    /// Less than, equal to or greater than zero, for two values of one type that are not null.
    static func order(_ a: ExpressionValue, _ b: ExpressionValue) -> Int {
        switch (a, b) {
        case (.integer(let a), .integer(let b)): return a < b ? -1 : a > b ? 1 : 0
        case (.double(let a), .double(let b)):
            if a.isNaN || b.isNaN { return (a.isNaN ? 1 : 0) - (b.isNaN ? 1 : 0) }
            return a < b ? -1 : a > b ? 1 : 0
        case (.flag(let a), .flag(let b)): return (a ? 1 : 0) - (b ? 1 : 0)
        case (.text(let a), .text(let b)):
            // By bytes: Swift's own order takes different spellings of a character for one.
            if a.utf8.elementsEqual(b.utf8) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        default: return 0
        }
    }

    private static func holds(_ comparison: Comparison, _ order: Int) -> Bool {
        switch comparison {
        case .equal: order == 0
        case .unequal: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }

    /// AND and OR: one value decides whatever the other is; without it a null leaves it open.
    private static func both(_ a: ExpressionValue, _ b: ExpressionValue, deciding: Bool) -> ExpressionValue {
        if a == .flag(deciding) || b == .flag(deciding) { return .flag(deciding) }
        return a.isNull || b.isNull ? .null : .flag(!deciding)
    }

    private static func among(_ value: ExpressionValue, _ list: [ExpressionValue]) -> ExpressionValue {
        if value.isNull { return .null }
        if list.contains(where: { !$0.isNull && order(value, $0) == 0 }) { return .flag(true) }
        return list.contains(where: \.isNull) ? .null : .flag(false)
    }

    private static func cast(_ value: ExpressionValue, _ type: ExpressionType) -> ExpressionValue {
        switch (value, type) {
        case (.double(let number), .integer):
            Int64(exactly: number.rounded(.toNearestOrEven)).map(ExpressionValue.integer) ?? .null
        case (.integer(let number), .text): .text(String(number))
        case (.integer(let number), .flag): .flag(number != 0)
        case (.flag(let flag), .integer): .integer(flag ? 1 : 0)
        default: .null
        }
    }
}
