import AerieCore
public import AerieJSON

/// Which rows of a view count: comparisons of their features and keys, all or any of which must hold.
///
/// A value that is null or not there holds in no comparison, as in SQL. Numbers are compared as numbers, texts by their
/// UTF-8, flags as 0 and 1, moments as moments.
public indirect enum RowFilter: Sendable {
    public enum Operator: String, Sendable, CaseIterable {
        case equal = "eq"
        case notEqual = "ne"
        case greater = "gt"
        case atLeast = "gte"
        case less = "lt"
        case atMost = "lte"
        case isIn = "in"
        case isNotIn = "nin"
    }

    /// `values`: the one to compare with; any number of them for `isIn` and `isNotIn`.
    case comparison(column: String, Operator, values: [JSONValue])
    case all([RowFilter])
    case any([RowFilter])

    /// How many comparisons a filter may have.
    static let comparisonLimit = 100

    var columns: [String] {
        switch self {
        case .comparison(let column, _, _): [column]
        case .all(let filters), .any(let filters): filters.flatMap(\.columns)
        }
    }
}

/// A filter whose columns have been found in a view: a row is looked at without its names.
struct ResolvedFilter: Sendable {
    enum Operand: Sendable {
        case int(Int64)
        case number(Double)
        case text(String)
    }

    private indirect enum Node: Sendable {
        case comparison(Int, RowFilter.Operator, [Operand])
        case all([Node])
        case any([Node])
    }

    /// The features and keys that are looked at. A row's values are given in this order.
    private(set) var columns: [(name: String, type: FeatureType?)] = []
    private var root = Node.all([])

    /// - Parameter typed: the features and keys that there are, each with its type.
    /// - Throws: `invalidArgument` for a column that is not there or cannot be compared, or a value of another type.
    init(_ filter: RowFilter?, _ typed: [(name: String, type: FeatureType?)]) throws(AerieError) {
        guard let filter else { return }
        let count = filter.columns.count
        guard count <= RowFilter.comparisonLimit else {
            throw .invalid("filters", "has \(count) comparisons; at most \(RowFilter.comparisonLimit) are made")
        }
        root = try resolve(filter, typed)
    }

    func isMet(_ values: [FeatureValue]) -> Bool { Self.isMet(root, values) }

    private mutating func resolve(
        _ filter: RowFilter, _ typed: [(name: String, type: FeatureType?)]
    ) throws(AerieError) -> Node {
        switch filter {
        case .all(let filters): return .all(try resolve(filters, typed))
        case .any(let filters): return .any(try resolve(filters, typed))
        case .comparison(let name, let comparison, let values):
            guard let column = typed.first(where: { $0.name == name }) else {
                let names = typed.map(\.name).joined(separator: ", ")
                throw .invalid(
                    "filters.key", "'\(name)' is neither a feature nor a key of the view; there are \(names)")
            }
            if column.type?.isComparable == false {
                throw .invalid("filters.key", "'\(name)' is \(column.type?.rawValue ?? ""), which is not compared")
            }
            let place = columns.firstIndex { $0.name == name } ?? columns.count
            if place == columns.count { columns.append(column) }
            var operands: [Operand] = []
            for value in values { operands.append(try Self.operand(value, column.name, column.type)) }
            return .comparison(place, comparison, operands)
        }
    }

    private mutating func resolve(
        _ filters: [RowFilter], _ typed: [(name: String, type: FeatureType?)]
    ) throws(AerieError) -> [Node] {
        var nodes: [Node] = []
        for filter in filters { nodes.append(try resolve(filter, typed)) }
        return nodes
    }

    private static func operand(
        _ value: JSONValue, _ name: String, _ type: FeatureType?
    ) throws(AerieError) -> Operand {
        let isText = type.map { $0 == .string } ?? (value.string != nil)
        if isText, let text = value.string { return .text(text) }
        if !isText {
            if let number = value.int { return .int(number) }
            if let number = value.double { return .number(number) }
            if let flag = value.bool { return .int(flag ? 1 : 0) }
            if type == .timestamp, let micros = value.string.flatMap(FeatureTime.parse) {
                return .int(micros / 1_000_000)
            }
        }
        let kind = type?.rawValue ?? "a key"
        throw .invalid("filters.value", "\(value.text()) is nothing that '\(name)' (\(kind)) compares with")
    }

    private static func isMet(_ node: Node, _ values: [FeatureValue]) -> Bool {
        switch node {
        case .all(let nodes): nodes.allSatisfy { isMet($0, values) }
        case .any(let nodes): nodes.isEmpty || nodes.contains { isMet($0, values) }
        case .comparison(let place, let comparison, let operands):
            isMet(comparison, operands.map { order(values[place], $0) }, isNull: values[place].isNull)
        }
    }

    /// - Parameter orders: how the value stands to each operand: less than 0, 0 or greater; `nil` for neither.
    private static func isMet(_ comparison: RowFilter.Operator, _ orders: [Int?], isNull: Bool) -> Bool {
        if isNull { return false }
        return switch comparison {
        case .equal, .isIn: orders.contains(0)
        case .notEqual, .isNotIn: !orders.contains(0)
        case .greater: orders.allSatisfy { $0.map { $0 > 0 } ?? false }
        case .atLeast: orders.allSatisfy { $0.map { $0 >= 0 } ?? false }
        case .less: orders.allSatisfy { $0.map { $0 < 0 } ?? false }
        case .atMost: orders.allSatisfy { $0.map { $0 <= 0 } ?? false }
        }
    }

    private static func order(_ value: FeatureValue, _ operand: Operand) -> Int? {
        func order<Value: Comparable>(_ one: Value, _ other: Value) -> Int? {
            one < other ? -1 : one == other ? 0 : one > other ? 1 : nil
        }
        func number(_ value: Int64) -> Int? {
            switch operand {
            case .int(let other): order(value, other)
            case .number(let other): order(Double(value), other)
            case .text: nil
            }
        }
        func number(_ value: Double) -> Int? {
            switch operand {
            case .int(let other): order(value, Double(other))
            case .number(let other): order(value, other)
            case .text: nil
            }
        }
        switch value {
        case .bool(let flag): return number(flag ? 1 : Int64(0))
        case .int32(let value): return number(Int64(value))
        case .int64(let value), .timestamp(let value): return number(value)
        // A number of 32 bits is compared with the nearest one of 32 bits, so that 0.1 is 0.1.
        case .float(let value):
            guard case .number(let other) = operand else { return number(Double(value)) }
            return order(value, Float(other))
        case .double(let value): return number(value)
        case .string(let value):
            guard case .text(let other) = operand else { return nil }
            return value == other ? 0 : value.utf8.lexicographicallyPrecedes(other.utf8) ? -1 : 1
        case .null, .bytes, .text, .list, .set, .nested: return nil
        }
    }
}
