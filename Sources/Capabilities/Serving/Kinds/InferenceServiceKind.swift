public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: InferenceService`, as KServe writes it (`serving.kserve.io/v1beta1`).
///
/// Carried out: the predictor's model with its storage URI, `canaryTrafficPercent` and the timeout. Known and without
/// effect: what steers pods, and the transformer of containers; each such field is a warning by its path. The explainer
/// is carried out where it is alibi's by its type, and no container.
public struct InferenceServiceKind: ResourceKind {
    public init() {}

    public var name: String { "InferenceService" }
    public var apiVersions: [String] { ["serving.kserve.io/v1beta1"] }
    public var aliases: [String] { ["inferenceservice", "inferenceservices", "isvc"] }
    public var columns: [(title: String, path: String)] {
        [("STATE", "status.state"), ("VERSION", "status.version"), ("URL", "status.url")]
    }
    public var schema: FieldSchema { Self.spec }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        let predictor = resource.spec["predictor"]
        let models = Self.models(predictor)
        guard models.count == 1, let model = models.first else {
            let known = (["model"] + Self.formats).joined(separator: ", ")
            return [
                .init(field: "spec.predictor", problem: "needs exactly one model (one of \(known)), not \(models.count)")
            ]
        }
        let path = "spec.predictor.\(model.name)"
        guard let uri = Self.uri(model.value) else {
            return [.init(field: path + ".storageUri", problem: "is required: models:/NAME/VERSION or a path")]
        }
        if let problem = ModelURI.problem(uri) { return [.init(field: path + ".storageUri", problem: problem)] }
        if let url = predictor?["logger"]?["url"]?.string, let problem = RequestLogger.problem(url) {
            return [.init(field: "spec.predictor.logger.url", problem: problem)]
        }
        do throws(AerieError) {
            _ = try SeldonDeploymentSpec.explainer(Self.explainer(resource), at: "spec.explainer.alibi")
        } catch { return error.details }
        return []
    }

    public func warnings(_ resource: Resource) -> [String] {
        guard let logger = resource.spec["predictor"]?["logger"], logger["url"] == nil else { return [] }
        return ["spec.predictor.logger: without a url nothing is logged"]
    }

    /// The explainer as a `SeldonDeployment` has it.
    static func explainer(_ resource: Resource) -> JSONValue? {
        guard let alibi = resource.spec["explainer"]?["alibi"] else { return nil }
        var explainer = JSONObject()
        explainer["type"] = alibi["type"]
        explainer["modelUri"] = alibi["storageUri"]
        explainer["config"] = alibi["config"]
        return .object(explainer)
    }

    /// The model among the predictor's members, under the name of its format or as `model`.
    static func models(_ predictor: JSONValue?) -> [(name: String, value: JSONValue)] {
        (predictor?.object?.members ?? []).filter { $0.key == "model" || formats.contains($0.key) }
            .map { ($0.key, $0.value) }
    }

    static func uri(_ model: JSONValue) -> String? {
        if let uri = model["storageUri"]?.string { return uri }
        guard let path = model["storage"]?["path"]?.string else { return nil }
        return path
    }

    private static let formats = ["sklearn", "xgboost", "lightgbm", "onnx", "mlflow", "tensorflow", "pytorch", "triton"]

    // MARK: Shape

    private static let pods = "one process serves all replicas here"
    private static let container = "no container is started; the model runs in this process"

    private static func accepted(_ name: String, _ schema: FieldSchema, _ note: String) -> Field {
        Field(name, schema, support: .accepted(note: note))
    }

    private static let model = FieldSchema.object([
        Field("modelFormat", .object([Field("name", .string, required: true), Field("version", .string)])),
        Field("storageUri", .string),
        Field("storage", .object([Field("path", .string), Field("key", .any), Field("parameters", .any)])),
        Field("protocolVersion", .choice(["v1", "v2", "grpc-v2"])),
        accepted("runtime", .string, "the model's format is recognized from its files and served natively"),
        accepted("runtimeVersion", .string, container), accepted("args", .any, container),
        accepted("env", .any, container), accepted("envFrom", .any, container), accepted("image", .string, container),
        accepted("resources", .any, container), accepted("name", .string, container),
        accepted("command", .any, container), accepted("ports", .any, container),
        accepted("volumeMounts", .any, container), accepted("livenessProbe", .any, container),
        accepted("readinessProbe", .any, container),
    ])

    private static let predictor = FieldSchema.object(
        [Field("model", model)] + formats.map { Field($0, model) } + [
            Field("canaryTrafficPercent", .integer(0...100)), Field("timeout", .integer(1...86_400)),
            accepted("minReplicas", .integer(0...1_000_000), pods), accepted("maxReplicas", .integer(0...1_000_000), pods),
            accepted("scaleTarget", .anyInteger, pods), accepted("scaleMetric", .string, pods),
            accepted("containerConcurrency", .anyInteger, pods), accepted("serviceAccountName", .string, container),
            accepted("containers", .any, container), Field("logger", logger),
            accepted("batcher", .any, "batching is asked for by the annotation aerie.dev/batching"),
            accepted("nodeSelector", .any, container), accepted("tolerations", .any, container),
            accepted("affinity", .any, container), accepted("annotations", .any, container),
            accepted("labels", .any, container), accepted("volumes", .any, container),
        ])

    private static let explainer = FieldSchema.object([
        Field(
            "alibi",
            .object([
                Field("type", .string, required: true), Field("storageUri", .string), Field("config", .map(.string)),
                accepted("runtimeVersion", .string, container), accepted("resources", .any, container),
                accepted("name", .string, container), accepted("image", .string, container),
                accepted("env", .any, container), accepted("args", .any, container),
            ])),
        accepted("minReplicas", .integer(0...1_000_000), pods), accepted("maxReplicas", .integer(0...1_000_000), pods),
        accepted("containers", .any, container), accepted("art", .any, container),
        accepted("timeout", .anyInteger, container),
    ])

    private static let logger = FieldSchema.object([
        Field("url", .string), Field("mode", .choice(["all", "request", "response"])),
        accepted("metadataHeaders", .array(.string), "events have the attributes of CloudEvents and KServe, no others"),
        accepted("metadataAnnotations", .array(.string), "events have the attributes of CloudEvents and KServe, no others"),
        accepted("storage", .any, "requests are logged as events, not as files"),
    ])

    private static let spec = FieldSchema.object([
        Field("predictor", predictor, required: true),
        accepted("transformer", .any, "no container is started; a SeldonDeployment's graph has transformers"),
        Field("explainer", explainer),
    ])
}

/// Brings the serving table to what an `InferenceService` says.
///
/// `canaryTrafficPercent` splits between the model that had all the traffic last, which `status.stable` keeps, and the
/// one that the spec names now; without it, or with 100, the new one takes everything and is the next to be kept.
public struct InferenceServiceController: Reconciler {
    public var kind: String { "InferenceService" }
    private let deployments: SeldonDeploymentController

    public init(_ deployments: SeldonDeploymentController) { self.deployments = deployments }

    public func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let stable = resource.status?["stable"]?.string
        var result = try await deployments.reconcile(Self.deployment(resource, stable: stable))
        let (uri, percent) = Self.asked(resource)
        let isSplit = stable != nil && stable != uri && percent < 100
        let isReady = result.status["state"]?.string == "Available"
        result.status["stable"] = isSplit || !isReady ? stable.map { .string($0) } : .string(uri)
        result.status["url"] = result.status["address"]?["url"]
        let split: [(uri: String, percent: Int)] =
            isSplit ? [(stable ?? "", 100 - percent), (uri, percent)] : [(uri, 100)]
        result.status["traffic"] = .array(
            split.map { [
                "storageUri": .string($0.uri), "percent": .int(Int64($0.percent)), "latestRevision": .bool($0.uri == uri),
            ] })
        return result
    }

    public func removed(_ resource: Resource) async throws(AerieError) { try await deployments.removed(resource) }

    private static func asked(_ resource: Resource) -> (uri: String, percent: Int) {
        let predictor = resource.spec["predictor"]
        let uri = InferenceServiceKind.models(predictor).first.flatMap { InferenceServiceKind.uri($0.value) }
        return (uri ?? "", predictor?["canaryTrafficPercent"]?.int.map { Int(clamping: $0) } ?? 100)
    }

    /// The same as a `SeldonDeployment`.
    static func deployment(_ resource: Resource, stable: String?) -> Resource {
        let (uri, percent) = asked(resource)
        let name = resource.metadata.name
        let logger = RequestLogger(resource.spec["predictor"]?["logger"], dialect: .kserve)
        func predictor(_ predictor: String, _ uri: String, _ traffic: Int) -> JSONValue {
            var graph: JSONObject = ["name": .string(name), "modelUri": .string(uri)]
            graph["logger"] = logger?.json
            var all: JSONObject = [
                "name": .string(predictor), "traffic": .int(Int64(traffic)), "graph": .object(graph),
            ]
            all["explainer"] = InferenceServiceKind.explainer(resource)
            return .object(all)
        }
        var translated = resource
        if let seconds = resource.spec["predictor"]?["timeout"]?.int {
            for setting in [LimitSetting.restTimeout, .grpcTimeout] {
                translated.metadata.annotations[setting.rawValue] = "\(seconds * 1000)"
            }
        }
        let predictors: [JSONValue]
        if let stable, stable != uri, percent < 100 {
            predictors = [predictor("default", stable, 100 - percent), predictor("canary", uri, percent)]
        } else {
            predictors = [predictor("default", uri, 100)]
        }
        translated.spec = ["predictors": .array(predictors)]
        return translated
    }
}
