import AerieCore
import AerieJSON

/// The arguments that an expectation takes.
struct ExpectationSignature: Sendable {
    enum Argument: Sendable { case text, number, bound, list, texts, flag, share, any }

    var required: [(String, Argument)]
    var optional: [(String, Argument)]
    /// Whether one of `min_value` and `max_value` must be there.
    var needsBound = false

    private static let always: [(String, Argument)] = [
        ("meta", .any), ("notes", .any), ("description", .any), ("result_format", .any), ("catch_exceptions", .any),
    ]
    private static let bounds: [(String, Argument)] = [
        ("min_value", .bound), ("max_value", .bound), ("strict_min", .flag), ("strict_max", .flag),
    ]
    private static let column: [(String, Argument)] = [("column", .text)]
    private static let mostly: [(String, Argument)] = [("mostly", .share)]

    private static func ranged(_ required: [(String, Argument)] = column, mostly: Bool = false) -> ExpectationSignature
    {
        ExpectationSignature(required: required, optional: bounds + (mostly ? Self.mostly : []), needsBound: true)
    }
    private static func map(_ more: [(String, Argument)] = []) -> ExpectationSignature {
        ExpectationSignature(required: column + more, optional: mostly)
    }

    static let all: [String: ExpectationSignature] = [
        "expect_column_to_exist": .init(required: column, optional: [("column_index", .number)]),
        "expect_table_columns_to_match_set": .init(
            required: [("column_set", .texts)], optional: [("exact_match", .flag)]),
        "expect_table_columns_to_match_ordered_list": .init(required: [("column_list", .texts)], optional: []),
        "expect_table_row_count_to_be_between": ranged([]),
        "expect_table_row_count_to_equal": .init(required: [("value", .number)], optional: []),
        "expect_table_column_count_to_equal": .init(required: [("value", .number)], optional: []),
        "expect_column_values_to_not_be_null": map(),
        "expect_column_values_to_be_null": map(),
        "expect_column_values_to_be_unique": map(),
        "expect_column_values_to_be_between": ranged(mostly: true),
        "expect_column_values_to_be_in_set": map([("value_set", .list)]),
        "expect_column_values_to_not_be_in_set": map([("value_set", .list)]),
        "expect_column_values_to_match_regex": map([("regex", .text)]),
        "expect_column_values_to_not_match_regex": map([("regex", .text)]),
        "expect_column_value_lengths_to_be_between": ranged(mostly: true),
        "expect_column_values_to_be_of_type": map([("type_", .text)]),
        "expect_column_values_to_be_in_type_list": map([("type_list", .texts)]),
        "expect_column_min_to_be_between": ranged(),
        "expect_column_max_to_be_between": ranged(),
        "expect_column_mean_to_be_between": ranged(),
        "expect_column_median_to_be_between": ranged(),
        "expect_column_stdev_to_be_between": ranged(),
        "expect_column_sum_to_be_between": ranged(),
        "expect_column_unique_value_count_to_be_between": ranged(),
        "expect_column_proportion_of_unique_values_to_be_between": ranged(),
        "expect_compound_columns_to_be_unique": .init(required: [("column_list", .texts)], optional: mostly),
        "expect_column_pair_values_a_to_be_greater_than_b": .init(
            required: [("column_A", .text), ("column_B", .text)], optional: mostly + [("or_equal", .flag)]),
        "expect_column_pair_values_to_be_equal": .init(
            required: [("column_A", .text), ("column_B", .text)], optional: mostly),
    ]

    func problems(_ kwargs: JSONObject, path: String) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        let known = required + optional + Self.always
        for member in kwargs.members {
            guard let (_, argument) = known.first(where: { $0.0 == member.key }) else {
                let names = (required + optional).map(\.0).joined(separator: ", ")
                problems.append(.init(field: "\(path).\(member.key)", problem: "unknown argument; there are \(names)"))
                continue
            }
            if let problem = argument.problem(member.value) {
                problems.append(.init(field: "\(path).\(member.key)", problem: problem))
            }
        }
        for (name, _) in required where kwargs[name] == nil {
            problems.append(.init(field: "\(path).\(name)", problem: "is required"))
        }
        if needsBound, kwargs["min_value"].map(\.isNull) ?? true, kwargs["max_value"].map(\.isNull) ?? true {
            problems.append(.init(field: path, problem: "needs min_value, max_value or both"))
        }
        return problems
    }
}

extension ExpectationSignature.Argument {
    func problem(_ value: JSONValue) -> String? {
        switch self {
        case .any: nil
        case .text: value.string == nil ? "must be a string" : nil
        case .number: value.double == nil ? "must be a number" : nil
        case .bound: value.isNull || value.double != nil || value.string != nil ? nil : "must be a number or a string"
        case .list: value.array == nil ? "must be a list" : nil
        case .texts: value.array?.allSatisfy { $0.string != nil } == true ? nil : "must be a list of strings"
        case .flag: value.bool == nil ? "must be true or false" : nil
        case .share: (0...1).contains(value.double ?? -1) ? nil : "must be a number from 0 to 1"
        }
    }
}
