import AerieCore
import AerieJSON
import Datasets

/// What one expectation asks of the engine: aggregates that join the one scan, and how to find examples.
struct ExpectationQuery {
    enum Rule {
        /// Rows are looked at one by one. `eligible` says which count, `unexpected` which of these are wrong.
        case rows(eligible: String, unexpected: String, example: String, isNullRule: Bool)
        /// One value of the column and whether it is as it should be.
        case aggregate(value: String, holds: String)
        /// Decided from the table's columns alone.
        case decided(success: Bool, result: JSONObject)
    }

    var rule: Rule
    /// Every column that must exist.
    var columns: [String]
}

struct TableShape {
    var relation: String
    var columns: [(name: String, type: String)]

    func type(of column: String) -> String? { columns.first { $0.name == column }?.type }
}

extension ExpectationQuery {
    /// - Precondition: the arguments have been checked against the signature.
    init(_ expectation: Expectation, _ shape: TableShape) {
        let kwargs = expectation.kwargs
        let column = kwargs["column"]?.string ?? ""
        let quoted = sqlIdentifier(column)
        columns = expectation.type == "expect_column_to_exist" || column.isEmpty ? [] : [column]
        let name = expectation.type.dropFirst("expect_".count)
        if let rule = Self.table(String(name), kwargs, shape) {
            self.rule = rule
        } else if name.hasPrefix("column_pair_") {
            let (a, b) = (kwargs["column_A"]?.string ?? "", kwargs["column_B"]?.string ?? "")
            columns = [a, b]
            let (x, y) = (sqlIdentifier(a), sqlIdentifier(b))
            let comparison = name.hasSuffix("be_equal") ? "=" : kwargs["or_equal"]?.bool == true ? ">=" : ">"
            rule = .rows(
                eligible: "(\(x) IS NOT NULL OR \(y) IS NOT NULL)", unexpected: "(\(x) \(comparison) \(y)) IS NOT TRUE",
                example: "'[' || coalesce(\(x)::VARCHAR, 'null') || ', ' || coalesce(\(y)::VARCHAR, 'null') || ']'",
                isNullRule: false)
        } else if name == "compound_columns_to_be_unique" {
            columns = kwargs["column_list"]?.array?.compactMap(\.string) ?? []
            let list = columns.map(sqlIdentifier)
            let some = list.map { "\($0) IS NOT NULL" }.joined(separator: " OR ")
            rule = .rows(
                eligible: list.isEmpty ? "false" : "(\(some))",
                unexpected: "count(*) OVER (PARTITION BY \(list.joined(separator: ", "))) > 1",
                example: "'[' || " + list.map { "coalesce(\($0)::VARCHAR, 'null')" }.joined(separator: " || ', ' || ")
                    + " || ']'",
                isNullRule: false)
        } else if let rule = Self.aggregate(String(name), kwargs, quoted) {
            self.rule = rule
        } else {
            rule = Self.rows(String(name), kwargs, quoted, shape.type(of: column) ?? "")
        }
    }

    private static func table(_ name: String, _ kwargs: JSONObject, _ shape: TableShape) -> Rule? {
        let names = shape.columns.map(\.name)
        switch name {
        case "column_to_exist":
            let at = names.firstIndex(of: kwargs["column"]?.string ?? "")
            let wanted = kwargs["column_index"]?.int
            return .decided(success: at != nil && (wanted == nil || wanted == at.map(Int64.init)), result: [:])
        case "table_columns_to_match_set":
            let wanted = kwargs["column_set"]?.array?.compactMap(\.string) ?? []
            let missing = wanted.filter { !names.contains($0) }.sorted()
            let unexpected = names.filter { !wanted.contains($0) }.sorted()
            var result: JSONObject = ["observed_value": .array(names.sorted().map(JSONValue.string))]
            var mismatch = JSONObject()
            if !missing.isEmpty { mismatch["missing"] = .array(missing.map(JSONValue.string)) }
            if !unexpected.isEmpty { mismatch["unexpected"] = .array(unexpected.map(JSONValue.string)) }
            if !mismatch.isEmpty { result["details"] = ["mismatched": .object(mismatch)] }
            let isExact = kwargs["exact_match"]?.bool ?? true
            return .decided(success: missing.isEmpty && (unexpected.isEmpty || !isExact), result: result)
        case "table_columns_to_match_ordered_list":
            let wanted = kwargs["column_list"]?.array?.compactMap(\.string) ?? []
            return .decided(success: wanted == names, result: orderedResult(wanted, names))
        case "table_column_count_to_equal":
            return .decided(
                success: kwargs["value"]?.double == Double(names.count),
                result: ["observed_value": .int(Int64(names.count))])
        case "table_row_count_to_equal":
            return .aggregate(value: "count(*)", holds: "count(*) = \(literal(kwargs["value"] ?? .null))")
        case "table_row_count_to_be_between":
            return .aggregate(value: "count(*)", holds: within("count(*)", kwargs))
        default: return nil
        }
    }

    private static func orderedResult(_ wanted: [String], _ names: [String]) -> JSONObject {
        var result: JSONObject = ["observed_value": .array(names.map(JSONValue.string))]
        let mismatched = (0..<max(wanted.count, names.count)).compactMap { at -> JSONValue? in
            let (expected, found) = (
                wanted.indices.contains(at) ? wanted[at] : nil, names.indices.contains(at) ? names[at] : nil
            )
            guard expected != found else { return nil }
            return [
                "Expected Column Position": .int(Int64(at)), "Expected": expected.map(JSONValue.string) ?? .null,
                "Found": found.map(JSONValue.string) ?? .null,
            ]
        }
        if !mismatched.isEmpty { result["details"] = ["mismatched": .array(mismatched)] }
        return result
    }

    private static func aggregate(_ name: String, _ kwargs: JSONObject, _ column: String) -> Rule? {
        let value: String
        switch name {
        case "column_min_to_be_between": value = "min(\(column))"
        case "column_max_to_be_between": value = "max(\(column))"
        case "column_mean_to_be_between": value = "avg(\(column))::DOUBLE"
        case "column_median_to_be_between": value = "median(\(column))::DOUBLE"
        case "column_stdev_to_be_between": value = "stddev_samp(\(column))::DOUBLE"
        case "column_sum_to_be_between": value = "sum(\(column))::DOUBLE"
        case "column_unique_value_count_to_be_between": value = "count(DISTINCT \(column))"
        case "column_proportion_of_unique_values_to_be_between":
            value = "(count(DISTINCT \(column))::DOUBLE / nullif(count(\(column)), 0))"
        default: return nil
        }
        return .aggregate(value: value, holds: within(value, kwargs))
    }

    private static func rows(_ name: String, _ kwargs: JSONObject, _ column: String, _ type: String) -> Rule {
        func map(_ unexpected: String) -> Rule {
            .rows(eligible: "\(column) IS NOT NULL", unexpected: unexpected, example: column, isNullRule: false)
        }
        switch name {
        case "column_values_to_not_be_null":
            return .rows(eligible: "true", unexpected: "\(column) IS NULL", example: column, isNullRule: true)
        case "column_values_to_be_null":
            return .rows(eligible: "true", unexpected: "\(column) IS NOT NULL", example: column, isNullRule: true)
        case "column_values_to_be_unique": return map("count(*) OVER (PARTITION BY \(column)) > 1")
        case "column_values_to_be_between": return map("NOT (\(within(column, kwargs)))")
        case "column_value_lengths_to_be_between": return map("NOT (\(within("length(\(column)::VARCHAR)", kwargs)))")
        case "column_values_to_be_in_set", "column_values_to_not_be_in_set":
            let set = (kwargs["value_set"]?.array ?? []).filter { !$0.isNull }.map(literal).joined(separator: ", ")
            let isIn = set.isEmpty ? "false" : "\(column) IN (\(set))"
            return map(name.contains("_not_") ? isIn : "NOT (\(isIn))")
        case "column_values_to_match_regex", "column_values_to_not_match_regex":
            let matches = "regexp_matches(\(column)::VARCHAR, \(sqlString(kwargs["regex"]?.string ?? "")))"
            return map(name.contains("_not_") ? matches : "NOT \(matches)")
        default:
            let wanted = kwargs["type_"]?.string.map { [$0] } ?? kwargs["type_list"]?.array?.compactMap(\.string) ?? []
            return .decided(
                success: wanted.contains { ColumnType.names(of: type).contains($0.lowercased()) },
                result: ["observed_value": .string(type)])
        }
    }

    // MARK: Pieces of SQL

    static func within(_ value: String, _ kwargs: JSONObject) -> String {
        var parts: [String] = []
        if let low = kwargs["min_value"], !low.isNull {
            parts.append("\(value) \(kwargs["strict_min"]?.bool == true ? ">" : ">=") \(literal(low))")
        }
        if let high = kwargs["max_value"], !high.isNull {
            parts.append("\(value) \(kwargs["strict_max"]?.bool == true ? "<" : "<=") \(literal(high))")
        }
        return parts.isEmpty ? "true" : parts.joined(separator: " AND ")
    }

    static func literal(_ value: JSONValue) -> String {
        switch value {
        case .null: "NULL"
        case .bool(let flag): flag ? "true" : "false"
        case .int(let number): "\(number)"
        case .double(let number): number.isFinite ? "\(number)::DOUBLE" : "'\(number)'::DOUBLE"
        case .string(let text): sqlString(text)
        case .array, .object: sqlString(value.text())
        }
    }
}

/// The names under which a column's type may be expected: the engine's own and those of pandas.
enum ColumnType {
    static func names(of engineType: String) -> Set<String> {
        let base = engineType.prefix { $0 != "(" }.lowercased()
        let families: [Set<String>] = [
            ["bigint", "int64", "int", "integer", "long", "hugeint"], ["integer", "int32", "int", "int4"],
            ["smallint", "int16", "int"], ["tinyint", "int8", "int"], ["double", "float64", "float", "number"],
            ["float", "float32", "real"], ["varchar", "str", "string", "text", "object"], ["boolean", "bool"],
            ["timestamp", "datetime64[us]", "datetime64[ns]", "datetime64", "datetime"], ["date", "datetime.date"],
            ["decimal", "numeric"], ["timestamp with time zone", "timestamptz", "datetime64[us, utc]"],
            ["timestamp_ns", "datetime64[ns]", "timestamp"],
        ]
        let leading = [
            "bigint", "integer", "smallint", "tinyint", "double", "float", "varchar", "boolean", "timestamp",
            "date", "decimal", "timestamp with time zone", "timestamp_ns",
        ]
        guard let at = leading.firstIndex(of: base) else { return [base, engineType.lowercased()] }
        return families[at].union([engineType.lowercased()])
    }
}
