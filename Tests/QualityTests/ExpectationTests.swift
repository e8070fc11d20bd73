import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Quality
import StoreDuckDB
import Testing

@Suite struct ExpectationTests {
    private static let relation = """
        (SELECT * FROM (VALUES (1, 10.5, 'a', true, 1, 2), (2, NULL, 'b', false, 2, 1), (3, 7.0, 'a', true, NULL, \
        NULL), \
        (3, -1.0, 'zz', true, 5, NULL)) t(id, amount, word, flag, x, y))
        """

    private func check(_ type: String, _ kwargs: JSONObject) async throws -> ExpectationResult {
        let suite = try ExpectationSuite.parse(
            ["expectations": [["type": .string(type), "kwargs": .object(kwargs)]]], name: "s")
        let result = try await ExpectationEvaluator(engine: DuckDBEngine()).evaluate(suite, relation: Self.relation)
        return try #require(result.results.first)
    }

    @Test(
        "Each expectation holds or does not, as it should",
        arguments: [
            ("column_to_exist", ["column": "id"], true),
            ("column_to_exist", ["column": "nothing"], false),
            ("table_columns_to_match_set", ["column_set": ["y", "x", "flag", "word", "amount", "id"]], true),
            ("table_columns_to_match_set", ["column_set": ["id"]], false),
            ("table_columns_to_match_set", ["column_set": ["id"], "exact_match": false], true),
            ("table_columns_to_match_ordered_list", ["column_list": ["id", "amount", "word", "flag", "x", "y"]], true),
            ("table_columns_to_match_ordered_list", ["column_list": ["amount", "id"]], false),
            ("table_column_count_to_equal", ["value": 6], true),
            ("table_row_count_to_equal", ["value": 4], true),
            ("table_row_count_to_equal", ["value": 5], false),
            ("table_row_count_to_be_between", ["min_value": 1, "max_value": 4], true),
            ("table_row_count_to_be_between", ["min_value": 5], false),
            ("column_values_to_not_be_null", ["column": "id"], true),
            ("column_values_to_not_be_null", ["column": "amount"], false),
            ("column_values_to_not_be_null", ["column": "amount", "mostly": 0.75], true),
            ("column_values_to_be_null", ["column": "amount"], false),
            ("column_values_to_be_unique", ["column": "id"], false),
            ("column_values_to_be_unique", ["column": "amount"], true),
            ("column_values_to_be_between", ["column": "amount", "min_value": -1, "max_value": 10.5], true),
            ("column_values_to_be_between", ["column": "amount", "min_value": -1, "strict_min": true], false),
            ("column_values_to_be_in_set", ["column": "word", "value_set": ["a", "b"]], false),
            ("column_values_to_be_in_set", ["column": "word", "value_set": ["a", "b"], "mostly": 0.75], true),
            ("column_values_to_be_in_set", ["column": "flag", "value_set": [true, false]], true),
            ("column_values_to_not_be_in_set", ["column": "word", "value_set": ["q"]], true),
            ("column_values_to_not_be_in_set", ["column": "word", "value_set": ["zz"]], false),
            ("column_values_to_match_regex", ["column": "word", "regex": "^[a-z]+$"], true),
            ("column_values_to_match_regex", ["column": "word", "regex": "^.$"], false),
            ("column_values_to_not_match_regex", ["column": "word", "regex": "z"], false),
            ("column_value_lengths_to_be_between", ["column": "word", "max_value": 2], true),
            ("column_values_to_be_of_type", ["column": "word", "type_": "str"], true),
            ("column_values_to_be_of_type", ["column": "flag", "type_": "bool"], true),
            ("column_values_to_be_of_type", ["column": "flag", "type_": "int64"], false),
            ("column_values_to_be_in_type_list", ["column": "id", "type_list": ["float64", "int"]], true),
            ("column_min_to_be_between", ["column": "amount", "min_value": -1, "max_value": 0], true),
            ("column_max_to_be_between", ["column": "amount", "max_value": 10], false),
            ("column_mean_to_be_between", ["column": "amount", "min_value": 5.49, "max_value": 5.51], true),
            ("column_median_to_be_between", ["column": "amount", "min_value": 7, "max_value": 7], true),
            ("column_stdev_to_be_between", ["column": "amount", "min_value": 5.89, "max_value": 5.9], true),
            ("column_sum_to_be_between", ["column": "amount", "min_value": 16.5, "max_value": 16.5], true),
            ("column_unique_value_count_to_be_between", ["column": "id", "min_value": 3, "max_value": 3], true),
            (
                "column_proportion_of_unique_values_to_be_between",
                ["column": "id", "min_value": 0.75, "max_value": 0.75], true
            ),
            ("compound_columns_to_be_unique", ["column_list": ["id", "word"]], true),
            ("compound_columns_to_be_unique", ["column_list": ["flag", "id"]], false),
            ("column_pair_values_a_to_be_greater_than_b", ["column_A": "x", "column_B": "y"], false),
            (
                "column_pair_values_a_to_be_greater_than_b", ["column_A": "id", "column_B": "id", "or_equal": true],
                true
            ),
            ("column_pair_values_to_be_equal", ["column_A": "id", "column_B": "id"], true),
        ] as [(String, JSONObject, Bool)])
    func verdicts(type: String, kwargs: JSONObject, holds: Bool) async throws {
        let result = try await check(type, kwargs)
        #expect(result.success == holds, "\(result.summary)")
        if type != "column_to_exist" { #expect(result.failure == nil) }
    }

    @Test("Unexpected values come with counts, examples and their rows") func examples() async throws {
        let result = try await check("column_values_to_be_unique", ["column": "id"])
        #expect(result.result["element_count"] == 4)
        #expect(result.result["unexpected_count"] == 2)
        #expect(result.result["unexpected_percent"] == 50.0)
        #expect(result.result["partial_unexpected_list"] == [3, 3])
        #expect(result.result["partial_unexpected_index_list"] == [2, 3])
        let pair = try await check("column_pair_values_a_to_be_greater_than_b", ["column_A": "x", "column_B": "y"])
        // Both missing is ignored; one missing is unexpected.
        #expect(pair.result["unexpected_count"] == 2)
    }

    @Test("What cannot be evaluated is unmet, says why, and leaves the others alone") func failures() async throws {
        let suite = try ExpectationSuite.parse(
            [
                "expectations": [
                    ["type": "column_values_to_be_between", "column": "word", "min_value": 3],
                    ["type": "column_values_to_not_be_null", "column": "gone"],
                    ["type": "column_values_to_match_regex", "column": "word", "regex": "("],
                    ["type": "column_values_to_not_be_null", "column": "id"],
                ]
            ], name: "s")
        let outcome = try await ExpectationEvaluator(engine: DuckDBEngine()).evaluate(suite, relation: Self.relation)
        #expect(outcome.results.map(\.success) == [false, false, false, true])
        #expect(outcome.results[1].failure?.contains("\"gone\"") == true)
        #expect(outcome.results[0].failure != nil && outcome.results[2].failure != nil)
        #expect(outcome.json["statistics"]?["successful_expectations"] == 1)
        #expect(outcome.json["statistics"]?["success_percent"] == 25.0)
        #expect(!outcome.success && outcome.criticalFailures.count == 3)
    }

    @Test("A suite's mistakes are all reported with their paths") func mistakes() throws {
        let resource = Resource(
            apiVersion: "aerie.dev/v1", kind: "ExpectationSuite", metadata: .init(name: "s"),
            spec: [
                "expectations": [
                    ["type": "expect_the_moon"], ["kwargs": [:]],
                    ["type": "column_values_to_be_between", "kwargs": ["column": "a"]],
                    ["type": "column_values_to_not_be_null", "kwargs": ["column": 3, "mostly": 2, "colour": "red"]],
                    ["type": "column_values_to_be_unique", "column": "a", "severity": "dire"],
                ]
            ])
        let fields = ExpectationSuiteKind().validate(resource).map(\.field)
        #expect(
            fields == [
                "spec.expectations[0].type", "spec.expectations[1].type", "spec.expectations[2].kwargs",
                "spec.expectations[3].kwargs.column", "spec.expectations[3].kwargs.mostly",
                "spec.expectations[3].kwargs.colour", "spec.expectations[4].severity",
            ])
    }

    @Test("A warning does not fail a step, and no rows meet every rule about rows") func severity() async throws {
        let suite = try ExpectationSuite.parse(
            [
                "expectations": [
                    ["type": "column_values_to_be_null", "column": "id", "severity": "warning"]
                ]
            ], name: "s")
        let evaluator = ExpectationEvaluator(engine: DuckDBEngine())
        let outcome = try await evaluator.evaluate(suite, relation: Self.relation)
        #expect(!outcome.success && outcome.criticalFailures.isEmpty)
        let empty = try await evaluator.evaluate(suite, relation: "(SELECT 1 AS id WHERE false)")
        #expect(empty.success)
        #expect(empty.results[0].result["unexpected_percent"] == JSONValue.null)
    }
}
