import AerieCore
public import AerieJSON

/// What became of one expectation.
public struct ExpectationResult: Sendable, Hashable {
    public var expectation: Expectation
    public var success: Bool
    /// In Great Expectations' shape: `observed_value`, or counts with the first 20 unexpected values.
    public var result: JSONObject
    /// Why it could not be evaluated.
    public var failure: String?

    public init(_ expectation: Expectation, success: Bool, result: JSONObject) {
        self.expectation = expectation
        self.success = success
        self.result = result
    }

    public init(_ expectation: Expectation, failure: String) {
        self.init(expectation, success: false, result: [:])
        self.failure = failure
    }

    public var json: JSONValue {
        [
            "success": .bool(success),
            "expectation_config": [
                "type": .string(expectation.type), "kwargs": .object(expectation.kwargs), "meta": [:],
                "severity": .string(expectation.severity.rawValue),
            ],
            "result": .object(result), "meta": [:],
            "exception_info": [
                "raised_exception": .bool(failure != nil), "exception_traceback": nil,
                "exception_message": failure.map(JSONValue.string) ?? .null,
            ],
        ]
    }

    /// One line for a person: the expectation, its arguments and what was found.
    public var summary: String {
        let arguments = expectation.kwargs.members.map { "\($0.key)=\($0.value.text())" }.joined(separator: ", ")
        let head = "\(expectation.type)(\(arguments))"
        if let failure { return "\(head): \(failure)" }
        if success { return "\(head): met" }
        if let count = result["unexpected_count"]?.int {
            let examples = (result["partial_unexpected_list"]?.array ?? []).prefix(5).map { $0.text() }
            let rows = (result["partial_unexpected_index_list"]?.array ?? []).prefix(5).map { $0.text() }
            return "\(head): \(count) of \(result["element_count"]?.text() ?? "?") values are not as expected, such as "
                + "\(examples.joined(separator: ", ")) (rows \(rows.joined(separator: ", ")), counted from 0)"
        }
        if let details = result["details"] { return "\(head): \(details.text())" }
        return "\(head): observed \(result["observed_value"]?.text() ?? "nothing")"
    }
}

/// What became of a suite, in Great Expectations' shape by `json`.
public struct SuiteResult: Sendable, Hashable {
    public var suiteName: String
    public var results: [ExpectationResult]

    public init(suiteName: String, results: [ExpectationResult]) {
        self.suiteName = suiteName
        self.results = results
    }

    /// All expectations are met.
    public var success: Bool { results.allSatisfy(\.success) }
    /// The unmet ones of the severity that fails a step.
    public var criticalFailures: [ExpectationResult] {
        results.filter { !$0.success && $0.expectation.severity == .critical }
    }

    public var json: JSONValue {
        let met = results.count { $0.success }
        return [
            "success": .bool(success), "results": .array(results.map(\.json)), "suite_name": .string(suiteName),
            "suite_parameters": [:],
            "statistics": [
                "evaluated_expectations": .int(Int64(results.count)), "successful_expectations": .int(Int64(met)),
                "unsuccessful_expectations": .int(Int64(results.count - met)),
                "success_percent": results.isEmpty ? .null : .double(Double(met) / Double(results.count) * 100),
            ],
            "meta": [:],
        ]
    }
}
