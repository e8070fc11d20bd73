public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: Pipeline`: named steps, what each needs, and the parameters that a run may override.
public struct PipelineKind: ResourceKind {
    private let catalog: StepCatalog

    /// - Parameter catalog: the step kinds that `uses:` may name.
    public init(catalog: StepCatalog) { self.catalog = catalog }

    public var name: String { "Pipeline" }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["pipeline", "pipelines", "pl"] }
    public var schema: FieldSchema { Self.specSchema }
    public var columns: [(title: String, path: String)] {
        [("EXPERIMENT", "spec.experiment"), ("DESCRIPTION", "spec.description")]
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        PipelinePlan.problems(name: resource.metadata.name, spec: resource.spec, catalog: catalog)
    }

    static let specSchema = FieldSchema.object([
        Field("description", .string),
        Field("experiment", .string),
        Field("parameters", .map(.any)),
        Field("steps", .array(stepSchema), required: true),
    ])

    private static let stepSchema = FieldSchema.object([
        Field("name", .string, required: true),
        Field("uses", .string, required: true),
        Field("needs", .array(.string)),
        Field("with", .map(.any)),
        Field("timeout", .any),
        Field("retries", .any),
        Field("cache", .bool),
        Field("when", .any),
        Field("trigger", .choice(["succeeded", "completed"])),
        Field("limits", .object([Field("memory", .any), Field("nice", .integer(0...19))])),
    ])
}
