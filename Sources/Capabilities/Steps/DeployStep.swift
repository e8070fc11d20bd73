public import AerieCore
import AerieJSON
public import AerieResources
public import Pipelines

/// `uses: deploy`: moves a model version through its stages and puts it into service.
///
/// `model` and `version` name it; `stages` are gone through in order (`[Development, Staging, Production]`; others in
/// the last stage are archived); `deployment` is a whole resource to apply, such as a `SeldonDeployment`, or `name`
/// makes one with the single model `modelUri` (by default the version's own). It waits `timeout` seconds (120) until
/// the deployment is ready. Outputs: `deployment`, `model_uri`, `stage`.
public struct DeployStep: Step {
    public init() {}

    public var name: String { "deploy" }
    public var outputs: [String] { ["deployment", "model_uri", "stage"] }
    public var placement: StepPlacement { .server }
    public var isCacheable: Bool { false }
    public var parameters: FieldSchema {
        .object([
            Field("model", .string, required: true), Field("version", .any, required: true),
            Field("stages", .array(.string)), Field("deployment", .any), Field("name", .string),
            Field("modelUri", .string), Field("timeout", .number(1...3600)),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let model = try input.requiredText("model")
        guard let version = context.parameters["version"].flatMap({ $0.string ?? $0.int.map(String.init) }),
            !version.isEmpty
        else { throw input.wrong("version", "must be a model version, such as 3") }
        guard let services = context.services else {
            throw AerieError(.internal, "deploying runs in the server, and was started without its services")
        }
        let stages = try input.texts("stages") ?? ["Development", "Staging", "Production"]
        let uri = try input.text("modelUri") ?? "models:/\(model)/\(version)"
        // Read before anything is moved: a wrong deployment must not leave a promoted model behind.
        let resource = try Self.resource(input, modelUri: uri)
        let timeout = try input.number("timeout", in: 1...3600, default: 120)
        for (index, stage) in stages.enumerated() {
            try checkCancelled()
            try await services.transition(
                model: model, version: version, stage: stage, archiveExisting: index == stages.count - 1)
            context.log("\(model) version \(version) is in \(stage)")
            context.progress(Double(index + 1) / Double(stages.count + 1), stage)
        }
        if let resource {
            context.log("applying \(resource.key)")
            try await services.apply(resource, timeout: .seconds(timeout))
            context.log("\(resource.key) is ready")
        }
        return StepResult(values: [
            "deployment": resource.map { .string($0.metadata.name) } ?? .null, "model_uri": .string(uri),
            "stage": stages.last.map(JSONValue.string) ?? .null,
        ])
    }

    private static func resource(_ input: StepInput, modelUri: String) throws(AerieError) -> Resource? {
        if let object = try input.object("deployment") {
            let metadata = object["metadata"]?.object ?? [:]
            guard let version = object["apiVersion"]?.string, let kind = object["kind"]?.string,
                let name = metadata["name"]?.string, let spec = object["spec"]?.object
            else { throw input.wrong("deployment", "needs apiVersion, kind, metadata.name and spec") }
            func map(_ key: String) -> [String: String] {
                Dictionary((metadata[key]?.object?.members ?? []).map { ($0.key, $0.value.string ?? $0.value.text()) })
                { $1 }
            }
            return Resource(
                apiVersion: version, kind: kind,
                metadata: ResourceMetadata(
                    name: name, namespace: metadata["namespace"]?.string ?? "default", labels: map("labels"),
                    annotations: map("annotations")),
                spec: spec)
        }
        guard let name = try input.text("name") else { return nil }
        return Resource(
            apiVersion: "machinelearning.seldon.io/v1", kind: "SeldonDeployment",
            metadata: ResourceMetadata(name: name),
            spec: [
                "predictors": [
                    [
                        "name": "production", "replicas": 1,
                        "graph": [
                            "name": "classifier", "type": "MODEL", "implementation": "MLFLOW_SERVER",
                            "modelUri": .string(modelUri),
                        ],
                    ]
                ]
            ])
    }
}
