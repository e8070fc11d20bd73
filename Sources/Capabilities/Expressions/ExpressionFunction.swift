#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The functions of expressions, by their names in DuckDB.
enum ExpressionFunction: String, Sendable, Hashable, CaseIterable {
    case abs, floor, ceil, round, sqrt, ln, log10, exp, pow, isnan, isfinite
    case least, greatest, coalesce, nullif
    case length, contains
    case startsWith = "starts_with"
    case endsWith = "ends_with"

    /// Of so many arguments; `nil` for one or more.
    var count: Int? {
        switch self {
        case .least, .greatest, .coalesce: nil
        case .pow, .nullif, .contains, .startsWith, .endsWith: 2
        default: 1
        }
    }

    /// The type of every argument; `nil` for arguments that have one in common.
    var argument: ExpressionType? {
        switch self {
        case .floor, .ceil, .round, .sqrt, .ln, .log10, .exp, .pow, .isnan, .isfinite: .double
        case .length, .contains, .startsWith, .endsWith: .text
        case .abs, .least, .greatest, .coalesce, .nullif: nil
        }
    }

    /// The type of the answer, where the arguments have `type` in common.
    func result(_ type: ExpressionType) -> ExpressionType {
        switch self {
        case .isnan, .isfinite, .contains, .startsWith, .endsWith: .flag
        case .length: .integer
        default: type
        }
    }

    /// The answer for arguments of the right types.
    func call(_ values: [ExpressionValue]) -> ExpressionValue {
        switch self {
        case .coalesce: return values.first { !$0.isNull } ?? .null
        case .least, .greatest:
            let there = values.filter { !$0.isNull }
            guard var best = there.first else { return .null }
            for value in there.dropFirst() {
                let order = Expression.order(value, best)
                if self == .least ? order < 0 : order > 0 { best = value }
            }
            return best
        case .nullif:
            if values[0].isNull || values[1].isNull { return values[0] }
            return Expression.order(values[0], values[1]) == 0 ? .null : values[0]
        default: break
        }
        switch (values[0], values.count > 1 ? values[1] : .null) {
        case (.integer(let value), _) where self == .abs: return value == .min ? .null : .integer(Swift.abs(value))
        case (.double(let first), .double(let second)) where self == .pow: return .double(Self.power(first, second))
        case (.double(let value), _): return number(value)
        case (.text(let text), _) where self == .length: return .integer(Int64(text.unicodeScalars.count))
        case (.text(let text), .text(let part)): return search(Array(text.utf8), Array(part.utf8))
        default: return .null
        }
    }

    private static func power(_ base: Double, _ exponent: Double) -> Double {
        #if canImport(Glibc)
            Glibc.pow(base, exponent)
        #else
            Darwin.pow(base, exponent)
        #endif
    }

    private func number(_ value: Double) -> ExpressionValue {
        switch self {
        case .abs: .double(Swift.abs(value))
        case .floor: .double(value.rounded(.down))
        case .ceil: .double(value.rounded(.up))
        case .round: .double(value.rounded(.toNearestOrAwayFromZero))
        case .sqrt: .double(value.squareRoot())
        #if canImport(Glibc)
            case .ln: .double(Glibc.log(value))
            case .log10: .double(Glibc.log10(value))
            case .exp: .double(Glibc.exp(value))
        #else
            case .ln: .double(Darwin.log(value))
            case .log10: .double(Darwin.log10(value))
            case .exp: .double(Darwin.exp(value))
        #endif
        case .isnan: .flag(value.isNaN)
        case .isfinite: .flag(value.isFinite)
        default: .null
        }
    }

    private func search(_ text: [UInt8], _ part: [UInt8]) -> ExpressionValue {
        switch self {
        case .startsWith: return .flag(text.starts(with: part))
        case .endsWith: return .flag(text.reversed().starts(with: part.reversed()))
        default:
            guard part.count <= text.count else { return .flag(false) }
            return .flag((0...(text.count - part.count)).contains { text[$0...].starts(with: part) })
        }
    }
}
