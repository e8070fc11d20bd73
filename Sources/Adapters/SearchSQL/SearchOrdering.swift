import AerieCore
import Experiments

/// What a search is ordered by, as expressions and the joins that they need.
///
/// What may lack a value gives two terms: its rank (0 with a value, 1 for NaN, 2 without one), always ascending, so
/// that what is missing comes last in both directions, and then the value itself.
struct SearchOrdering {
    /// One for each satellite that is ordered by, in that order, with one argument each.
    private(set) var satelliteJoins: [String] = []
    private(set) var joinArguments: [SQLArgument] = []
    private(set) var terms: [SearchTerm] = []

    init(_ order: [SearchOrder], _ tables: SearchTables) throws(AerieError) {
        for (index, part) in order.enumerated() {
            if part.field.kind == .attribute {
                guard let column = tables.attributes[part.field.key] else { throw Self.unknown(part) }
                if let filler = tables.nullable[part.field.key] {
                    add("(CASE WHEN \(column) IS NULL THEN 2 ELSE 0 END)", ascending: true)
                    add("COALESCE(\(column), \(filler.rawValue))", ascending: part.ascending)
                } else {
                    add(column, ascending: part.ascending)
                }
            } else {
                guard var satellite = tables.satellites[part.field.kind] else { throw Self.unknown(part) }
                let name = "o\(index)"
                let named = [("dataset_name = ?", part.datasetName), ("dataset_digest = ?", part.datasetDigest)]
                    .compactMap { sql, value in value.map { (sql, SQLArgument.text($0)) } }
                if !named.isEmpty, let measured = tables.measured {
                    satellite = measured(named.map(\.0).joined(separator: " AND "))
                    joinArguments += named.map(\.1)
                }
                satelliteJoins.append(
                    " LEFT JOIN \(satellite) \(name) ON \(name).owner = t.\(tables.key) AND \(name).key = ?")
                joinArguments.append(.text(part.field.key))
                add(Self.rank(of: name, isMetric: part.field.kind == .metric), ascending: true)
                let filler = part.field.kind == .metric ? "0" : "''"
                add("COALESCE(\(name).value, \(filler))", ascending: part.ascending)
            }
        }
        for term in tables.order { add(term.sql, ascending: term.ascending) }
    }

    var joins: String { satelliteJoins.joined() }

    private static func rank(of name: String, isMetric: Bool) -> String {
        "(CASE WHEN \(name).value IS NULL THEN 2\(isMetric ? " WHEN \(name).is_nan = 1 THEN 1" : "") ELSE 0 END)"
    }

    private static func unknown(_ part: SearchOrder) -> AerieError {
        .invalid("order_by", "cannot order by '\(part.field.key)' here")
    }

    /// A second term of the same expression would decide nothing.
    private mutating func add(_ sql: String, ascending: Bool) {
        if !terms.contains(where: { $0.sql == sql }) { terms.append(SearchTerm(sql: sql, ascending: ascending)) }
    }
}

extension PageValue {
    var isText: Bool { if case .text = self { true } else { false } }

    /// The value as an argument of a statement. No term is ever NULL, so a token that says so is none of ours.
    func argument() throws(AerieError) -> SQLArgument {
        switch self {
        case .none: throw PagePosition.wrong()
        case .integer(let number): return .integer(number)
        case .number(let number): return .number(number)
        case .text(let text): return .text(text)
        }
    }
}
