public import AerieCore
public import AerieJSON
public import AerieResources
import Explain

/// `kind: SeldonDeployment`, as people have it in their repositories.
///
/// Carried out: predictors with their graphs and explainers, their share of the traffic, shadows, names, annotations
/// and labels. Known and without effect: what steers pods, since one process serves every replica here; each such field
/// is a warning by its path.
public struct SeldonDeploymentKind: ResourceKind {
    public init() {}

    public var name: String { "SeldonDeployment" }
    public var apiVersions: [String] {
        ["v1", "v1alpha3", "v1alpha2"].map { "machinelearning.seldon.io/\($0)" }
    }
    public var aliases: [String] { ["seldondeployment", "seldondeployments", "sdep"] }
    public var columns: [(title: String, path: String)] {
        [("STATE", "status.state"), ("VERSION", "status.version"), ("URL", "status.address.url")]
    }
    public var schema: FieldSchema { SeldonDeploymentSchema.spec }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var rules = SeldonDeploymentRules(resource)
        rules.check()
        return rules.problems
    }

    public func warnings(_ resource: Resource) -> [String] {
        var warnings: [String] = []
        let predictors = resource.spec["predictors"]?.array ?? []
        for (index, predictor) in predictors.enumerated() {
            let path = "spec.predictors[\(index)]"
            warn(predictor["graph"], at: path + ".graph", &warnings)
        }
        if let name = resource.spec["name"]?.string, name != resource.metadata.name {
            warnings.append("spec.name: requests name the deployment by metadata.name, \(resource.metadata.name)")
        }
        return warnings
    }

    /// What of a node, and of those below it, is not carried out.
    private func warn(_ node: JSONValue?, at path: String, _ warnings: inout [String]) {
        let spec = GraphSpec(node)
        if let implementation = node?["implementation"]?.string, SeldonDeploymentSchema.servers.contains(implementation) {
            warnings.append(
                "\(path).implementation: \(implementation) is not started; the model's format is recognized "
                    + "from its files (XGBoost, LightGBM, ONNX) and served natively")
        }
        let known = [NodeMethod.parameter] + (spec.method?.parameterNames ?? [])
        for (at, parameter) in (node?["parameters"]?.array ?? []).enumerated() {
            let name = parameter["name"]?.string ?? ""
            if known.contains(name) || ParameterSetting.named(name) != nil { continue }
            warnings.append("\(path).parameters[\(at)]: \(name) has no effect on a node served in this process")
        }
        if node?["logger"] != nil, spec.logger == nil {
            warnings.append("\(path).logger: without a url nothing is logged")
        }
        for (index, child) in (node?["children"]?.array ?? []).enumerated() {
            warn(child, at: "\(path).children[\(index)]", &warnings)
        }
    }
}

/// The shape of the spec, field by field as Seldon Core 1 writes it.
enum SeldonDeploymentSchema {
    static let maximumReplicas: Int64 = 1_000_000

    static let spec: FieldSchema = .object([
        Field("name", .string),
        Field("predictors", .array(predictor), required: true),
        Field("annotations", .map(.string)),
        Field("protocol", .choice(["seldon", "tensorflow", "kfserving", "v2", "grpc"])),
        accepted("transport", .choice(["rest", "grpc"]), "HTTP and gRPC are both answered, always"),
        Field("serverType", .choice(["rpc", "kafka"])),
        accepted("replicas", replicas, oneProcess),
        accepted("oauth_key", .string, "access is a matter of the server's own tokens"),
        accepted("oauth_secret", .string, "access is a matter of the server's own tokens"),
    ])

    static let predictor: FieldSchema = .object([
        Field("name", .string, required: true),
        Field("graph", node, required: true),
        Field("traffic", .integer(0...100)),
        Field("shadow", .bool),
        Field("labels", .map(.string)),
        Field("annotations", .map(.string)),
        accepted("replicas", replicas, oneProcess),
        accepted("componentSpecs", .array(componentSpec), "no container is started; the model runs in this process"),
        accepted("autoscaling", autoscaling, oneProcess),
        Field("explainer", explainer),
        accepted(
            "svcOrchSpec",
            .object([
                Field("replicas", replicas), Field("resources", .any), Field("env", .array(.any)),
            ]), "there is no orchestrator beside the model"),
        accepted("engineResources", .any, "there is no orchestrator beside the model"),
        accepted("ssl", .object([Field("certSecretName", .string)]), "TLS is a setting of the server"),
        accepted("progressDeadlineSeconds", .integer(0 ... .max), "a model is loaded however long that takes"),
    ])

    static let node: FieldSchema = .object([
        Field("name", .string, required: true),
        Field(
            "type",
            .choice([
                "MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER", "UNKNOWN_TYPE",
            ])),
        Field("implementation", .choice(servers + graphNodes)),
        Field("modelUri", .string),
        Field(
            "parameters",
            .array(
                .object([
                    Field("name", .string, required: true),
                    Field("value", .string, required: true),
                    Field("type", .choice(["INT", "FLOAT", "DOUBLE", "STRING", "BOOL"])),
                ]))),
        Field("children", .array(.deferred { node })),
        accepted("methods", .array(.string), "the model has one method"),
        accepted(
            "endpoint",
            .object([
                Field("service_host", .string), Field("service_port", port), Field("httpPort", port),
                Field("grpcPort", port), Field("type", .choice(["REST", "GRPC"])),
            ]), "the model is called in this process"),
        accepted("serviceAccountName", .string, "models are fetched with the server's own rights"),
        accepted("envSecretRefName", .string, "models are fetched with the server's own rights"),
        accepted("storageInitializerImage", .string, "models are fetched by the server itself"),
        Field(
            "logger",
            .object([
                Field("url", .string), Field("mode", .choice(["all", "request", "response"])),
            ])),
    ])

    /// Prepackaged servers; the format is recognized from the files, whatever stands here.
    static let servers = [
        "SKLEARN_SERVER", "XGBOOST_SERVER", "MLFLOW_SERVER", "TENSORFLOW_SERVER", "TRITON_SERVER",
        "HUGGINGFACE_SERVER", "TEMPO_SERVER",
    ]
    /// Seldon's built-in nodes of a graph.
    static let graphNodes = [
        "SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER", "UNKNOWN_IMPLEMENTATION",
    ]

    private static let oneProcess = "one process serves all replicas here"
    private static let replicas = FieldSchema.integer(0...maximumReplicas)
    private static let port = FieldSchema.integer(0...65535)

    private static let componentSpec = FieldSchema.object([
        Field("metadata", .any), Field("spec", .any), Field("hpaSpec", .any), Field("kedaSpec", .any),
        Field("pdbSpec", .any), Field("replicas", replicas),
    ])
    private static let autoscaling = FieldSchema.object([
        Field("enabled", .bool), Field("minReplicas", replicas), Field("maxReplicas", replicas),
        Field("targetCPUUtilization", .integer(1...100)),
    ])
    private static let explainer = FieldSchema.object([
        Field("type", .choice(ExplainerSettings.Method.allCases.map(\.rawValue) + ExplainerSettings.foreignMethods)),
        Field("modelUri", .string), Field("config", .map(.string)), Field("initParameters", .string),
        accepted("serviceAccountName", .string, "background rows are fetched with the server's own rights"),
        accepted("envSecretRefName", .string, "background rows are fetched with the server's own rights"),
        accepted("containerSpec", .any, "no container is started; explanations are made in this process"),
        accepted("endpoint", .any, "explanations are made in this process"),
        accepted("replicas", replicas, oneProcess),
        accepted("storageInitializerImage", .string, "background rows are fetched by the server itself"),
    ])

    private static func accepted(_ name: String, _ schema: FieldSchema, _ note: String) -> Field {
        Field(name, schema, support: .accepted(note: note))
    }
}
