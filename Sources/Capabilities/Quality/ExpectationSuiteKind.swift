public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: ExpectationSuite`: what data must look like, for `validate` steps to check.
public struct ExpectationSuiteKind: ResourceKind {
    public init() {}

    public var name: String { "ExpectationSuite" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["expectationsuite", "expectationsuites", "suite", "suites"] }
    public var columns: [(title: String, path: String)] { [("DESCRIPTION", "spec.description")] }

    public var schema: FieldSchema {
        .object([
            Field("description", .string),
            Field("meta", .any),
            // An expectation's arguments depend on its type; `validate` reports them by their paths.
            Field("expectations", .array(.map(.any)), required: true),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        _ = ExpectationSuite.read(resource.spec, name: resource.metadata.name, path: "spec", problems: &problems)
        return problems
    }

    public func warnings(_ resource: Resource) -> [String] {
        resource.spec["expectations"]?.array?.isEmpty == true ? ["spec.expectations is empty: any data will pass"] : []
    }
}
