public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: Model`, as Seldon Core 2 writes it (`mlops.seldon.io/v1alpha1`): one model by its storage URI.
public struct SeldonModelKind: ResourceKind {
    public init() {}

    public var name: String { "Model" }
    public var apiVersions: [String] { ["mlops.seldon.io/v1alpha1"] }
    public var aliases: [String] { ["model", "mlm"] }
    public var columns: [(title: String, path: String)] {
        [("STATE", "status.state"), ("VERSION", "status.version"), ("URL", "status.address.url")]
    }

    public var schema: FieldSchema {
        func accepted(_ name: String, _ schema: FieldSchema, _ note: String) -> Field {
            Field(name, schema, support: .accepted(note: note))
        }
        let native = "the model's format is recognized from its files and served natively"
        let process = "one process serves all replicas here"
        return .object([
            Field("storageUri", .string, required: true),
            accepted("requirements", .array(.string), native), accepted("modelType", .string, native),
            accepted("artifactVersion", .integer(0 ... .max), "the storage URI names the version"),
            accepted("memory", .any, "memory is measured, not declared"), accepted("server", .string, process),
            accepted("replicas", .integer(0...1_000_000), process),
            accepted("minReplicas", .integer(0...1_000_000), process),
            accepted("maxReplicas", .integer(0...1_000_000), process), accepted("preloaded", .bool, process),
            accepted("dedicated", .bool, process), accepted("explainer", .any, "no explainer is started"),
            accepted("logger", .any, "requests are kept in the prediction log"),
            accepted("secretName", .string, "models are fetched with the server's own rights"),
            accepted("schemaUri", .string, native), accepted("parameters", .any, native),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        let problem = ModelURI.problem(resource.spec["storageUri"]?.string ?? "")
        return problem.map { [.init(field: "spec.storageUri", problem: $0)] } ?? []
    }
}

/// Brings the serving table to what a `Model` says.
public struct SeldonModelController: Reconciler {
    public var kind: String { "Model" }
    private let deployments: SeldonDeploymentController

    public init(_ deployments: SeldonDeploymentController) { self.deployments = deployments }

    public func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        var translated = resource
        let graph: JSONValue = [
            "name": .string(resource.metadata.name), "modelUri": resource.spec["storageUri"] ?? "",
        ]
        translated.spec = ["predictors": [["name": "default", "graph": graph]]]
        return try await deployments.reconcile(translated)
    }

    public func removed(_ resource: Resource) async throws(AerieError) { try await deployments.removed(resource) }
}
