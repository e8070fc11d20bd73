import AerieCore
import Experiments
import GRDB

/// What a search is ordered by, as expressions and the joins that they need.
///
/// What may lack a value gives two terms: its rank (0 with a value, 1 for NaN, 2 without one), always ascending, so that
/// what is missing comes last in both directions, and then the value itself.
struct SearchOrdering {
    /// One for each satellite that is ordered by, in that order, with one argument each.
    private(set) var satelliteJoins: [String] = []
    private(set) var joinArguments: [any DatabaseValueConvertible] = []
    private(set) var terms: [SearchTerm] = []

    init(_ order: [SearchOrder], _ tables: SearchTables) throws(AerieError) {
        for (index, part) in order.enumerated() {
            if part.field.kind == .attribute {
                guard let column = tables.attributes[part.field.key] else { throw Self.unknown(part) }
                if tables.nullable.contains(part.field.key) {
                    add("(CASE WHEN \(column) IS NULL THEN 2 ELSE 0 END)", ascending: true)
                    add("COALESCE(\(column), 0)", ascending: part.ascending)
                } else {
                    add(column, ascending: part.ascending)
                }
            } else {
                guard let satellite = tables.satellites[part.field.kind] else { throw Self.unknown(part) }
                let name = "o\(index)"
                satelliteJoins.append(
                    " LEFT JOIN \(satellite) \(name) ON \(name).owner = t.\(tables.key) AND \(name).key = ?")
                joinArguments.append(part.field.key)
                add(Self.rank(of: name, isMetric: part.field.kind == .metric), ascending: true)
                add("COALESCE(\(name).value, 0)", ascending: part.ascending)
            }
        }
        for term in tables.order { add(term.sql, ascending: term.ascending) }
    }

    var joins: String { satelliteJoins.joined() }

    private static func rank(of name: String, isMetric: Bool) -> String {
        "(CASE WHEN \(name).value IS NULL THEN 2\(isMetric ? " WHEN \(name).is_nan THEN 1" : "") ELSE 0 END)"
    }

    private static func unknown(_ part: SearchOrder) -> AerieError {
        .invalid("order_by", "cannot order by '\(part.field.key)' here")
    }

    /// A second term of the same expression would decide nothing.
    private mutating func add(_ sql: String, ascending: Bool) {
        if !terms.contains(where: { $0.sql == sql }) { terms.append(SearchTerm(sql: sql, ascending: ascending)) }
    }
}

/// A row's key and its values in the order of a search, which say where a page ends.
struct SearchRow {
    var key: Int64
    var values: [PageValue]

    init(key: Int64, values: [PageValue]) {
        self.key = key
        self.values = values
    }

    init(_ row: Row) {
        key = row[0]
        values = (1..<row.count).map { index in
            switch (row[index] as DatabaseValue).storage {
            case .int64(let number): .integer(number)
            case .double(let number): .number(number)
            case .string(let text): .text(text)
            case .null, .blob: .none
            }
        }
    }

    /// Whether this row comes before another in the order of `terms`, as SQLite compares: numbers, then text by bytes.
    func comes(before other: SearchRow, _ terms: [SearchTerm]) -> Bool {
        for (index, term) in terms.enumerated() {
            let order = Self.compare(values[index], other.values[index])
            if order != 0 { return term.ascending == (order < 0) }
        }
        return false
    }

    private static func compare(_ a: PageValue, _ b: PageValue) -> Int {
        switch (a, b) {
        case (.integer(let a), .integer(let b)): a < b ? -1 : a > b ? 1 : 0
        case (.text(let a), .text(let b)):
            a.utf8.elementsEqual(b.utf8) ? 0 : a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.text, _): 1
        case (_, .text): -1
        default: number(a) < number(b) ? -1 : number(a) > number(b) ? 1 : 0
        }
    }

    private static func number(_ value: PageValue) -> Double {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .none, .text: 0
        }
    }
}

extension PageValue {
    /// The value as an argument of a statement. No term is ever NULL, so a token that says so is none of ours.
    func argument() throws(AerieError) -> any DatabaseValueConvertible {
        switch self {
        case .none: throw PagePosition.wrong()
        case .integer(let number): return number
        case .number(let number): return number
        case .text(let text): return text
        }
    }
}
