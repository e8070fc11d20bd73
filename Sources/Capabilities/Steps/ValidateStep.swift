public import AerieCore
import AerieJSON
public import AerieResources
public import Datasets
public import Pipelines
import Quality

/// `uses: validate`: checks a table against an expectation suite and fails if a critical expectation is not met.
///
/// `table` is the file; `suite` is the name of an applied `ExpectationSuite` of the pipeline's namespace, or a
/// whole one,
/// or an object `{name?, expectations: […]}`, or a list of expectations; `failOn: critical | any | never` says
/// which unmet ones fail the step (`critical`).
/// Outputs: `report` (Great Expectations' result JSON), `success`, `evaluated` and `unsuccessful`.
public struct ValidateStep: Step {
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine

    public init(engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine) { self.engine = engine }

    public var name: String { "validate" }
    public var outputs: [String] { ["report", "success", "evaluated", "unsuccessful"] }
    public var placement: StepPlacement { .process }
    public var isCacheable: Bool { true }
    public var resourceParameters: [String: String] { ["suite": "ExpectationSuite"] }
    public var parameters: FieldSchema {
        .object([
            Field("table", .string, required: true), Field("suite", .any, required: true),
            Field("failOn", .choice(["critical", "any", "never"])),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let source = try TableSource(path: try input.requiredText("table"), field: "with.table")
        let suite = try Self.suite(context.parameters["suite"] ?? .null)
        context.progress(0.1, "checking \(suite.expectations.count) expectations")
        let outcome = try await ExpectationEvaluator(engine: try engine()).evaluate(suite, relation: source.relation)
        try WorkFolder(path: context.workDirectory).write(outcome.json, to: "report.json")
        for result in outcome.results where !result.success {
            context.log("not met (\(result.expectation.severity.rawValue)): \(result.summary)")
        }
        let unmet = outcome.results.filter { !$0.success }
        let failures =
            switch try input.text("failOn") ?? "critical" {
            case "any": unmet
            case "never": [ExpectationResult]()
            default: outcome.criticalFailures
            }
        guard failures.isEmpty else { throw Self.failure(failures, of: outcome) }
        context.log("\(outcome.results.count - unmet.count) of \(outcome.results.count) expectations are met")
        return StepResult(
            artifacts: ["report": "report.json"],
            values: [
                "success": .bool(outcome.success), "evaluated": .int(Int64(outcome.results.count)),
                "unsuccessful": .int(Int64(unmet.count)),
            ],
            metrics: [StepMetric(key: "expectations_met", value: Double(outcome.results.count - unmet.count))],
            logged: ["data/validation.json": "report"])
    }

    static func suite(_ value: JSONValue) throws(AerieError) -> ExpectationSuite {
        if value.array != nil { return try .parse(["expectations": value], name: "inline", path: "with.suite") }
        guard let object = value.object else {
            throw .invalid(
                "with.suite",
                "must be the name of an applied ExpectationSuite, an object with expectations, or a list of them")
        }
        if let spec = object["spec"]?.object {
            return try .parse(spec, name: object["metadata"]?["name"]?.string ?? "inline", path: "with.suite.spec")
        }
        return try .parse(object, name: object["name"]?.string ?? "inline", path: "with.suite")
    }

    private static func failure(_ failures: [ExpectationResult], of outcome: SuiteResult) -> AerieError {
        let rest = failures.count > 1 ? "; and \(failures.count - 1) more" : ""
        return AerieError(
            .failedPrecondition,
            "the data does not meet \(failures.count) of \(outcome.results.count) expectations: "
                + "\(failures[0].summary)\(rest)",
            reason: "validation.failed",
            details: failures.map { .init(field: $0.expectation.kwargs["column"]?.string ?? "", problem: $0.summary) })
    }
}
