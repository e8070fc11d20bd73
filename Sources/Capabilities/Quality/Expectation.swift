public import AerieCore
public import AerieJSON

/// One statement about data that holds or does not, under Great Expectations' names and arguments.
public struct Expectation: Sendable, Hashable {
    public enum Severity: String, Sendable { case critical, warning, info }

    /// The full name, such as `expect_column_values_to_not_be_null`.
    public var type: String
    public var kwargs: JSONObject
    /// Only an unmet critical expectation fails a step.
    public var severity: Severity

    public init(type: String, kwargs: JSONObject, severity: Severity = .critical) {
        self.type = type
        self.kwargs = kwargs
        self.severity = severity
    }
}

/// A list of expectations, as written in a resource or in a pipeline step.
public struct ExpectationSuite: Sendable, Hashable {
    public var name: String
    public var expectations: [Expectation]

    public init(name: String, expectations: [Expectation]) {
        self.name = name
        self.expectations = expectations
    }

    /// Reads `{expectations: [{type, kwargs, severity}]}`; arguments may also stand beside `type`, the prefix
    /// `expect_` may be left out, and `expectation_type` is taken for `type`.
    /// - Throws: `invalidArgument` with every problem and its path below `path`.
    public static func parse(_ spec: JSONObject, name: String, path: String = "spec") throws(AerieError)
        -> ExpectationSuite
    {
        var problems: [AerieError.Detail] = []
        let suite = read(spec, name: name, path: path, problems: &problems)
        if let error = AerieError.invalid("the expectation suite '\(name)' is wrong", problems: problems) {
            throw error
        }
        return suite
    }

    static func read(
        _ spec: JSONObject, name: String, path: String, problems: inout [AerieError.Detail]
    ) -> ExpectationSuite {
        guard let list = spec["expectations"]?.array else {
            problems.append(.init(field: "\(path).expectations", problem: "must be a list of expectations"))
            return ExpectationSuite(name: name, expectations: [])
        }
        var expectations: [Expectation] = []
        for (index, element) in list.enumerated() {
            let place = "\(path).expectations[\(index)]"
            guard let object = element.object else {
                problems.append(.init(field: place, problem: "must be an object with a type"))
                continue
            }
            if let expectation = readOne(object, place, &problems) { expectations.append(expectation) }
        }
        return ExpectationSuite(name: name, expectations: expectations)
    }

    private static let ownMembers: Set<String> = [
        "type", "expectation_type", "kwargs", "severity", "meta", "notes", "id", "description", "rendered_content",
    ]

    private static func readOne(
        _ object: JSONObject, _ path: String, _ problems: inout [AerieError.Detail]
    ) -> Expectation? {
        guard let written = (object["type"] ?? object["expectation_type"])?.string else {
            problems.append(
                .init(field: "\(path).type", problem: "is required, such as expect_column_values_to_not_be_null"))
            return nil
        }
        let type = written.hasPrefix("expect_") ? written : "expect_" + written
        guard let signature = ExpectationSignature.all[type] else {
            problems.append(
                .init(
                    field: "\(path).type",
                    problem: "unknown expectation '\(written)'; there are "
                        + ExpectationSignature.all.keys.sorted().joined(separator: ", ")))
            return nil
        }
        var kwargs = object["kwargs"]?.object ?? JSONObject()
        if let given = object["kwargs"], given.object == nil {
            problems.append(.init(field: "\(path).kwargs", problem: "must be an object of arguments"))
        }
        for member in object.members where !ownMembers.contains(member.key) { kwargs[member.key] = member.value }
        problems += signature.problems(kwargs, path: "\(path).kwargs")
        let word = object["severity"]?.string ?? "critical"
        guard let severity = Expectation.Severity(rawValue: word) else {
            problems.append(.init(field: "\(path).severity", problem: "'\(word)' is not critical, warning or info"))
            return nil
        }
        return Expectation(type: type, kwargs: kwargs, severity: severity)
    }
}
