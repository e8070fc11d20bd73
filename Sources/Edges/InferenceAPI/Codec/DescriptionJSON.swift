import AerieCore
import Serving
import AerieData
import AerieJSON

/// `GET /v2`
func serverMetadataJSON(version: String) -> String {
    let extensions = JSONValue.array(serverExtensions.map { .string($0) })
    return JSONValue.object(["name": "aerie", "version": .string(version), "extensions": extensions]).text()
}

/// The extensions of the protocol that are spoken here, by Triton's names.
let serverExtensions = [
    "binary_tensor_data", "model_configuration", "model_repository", "model_repository(unload_dependents)",
    "parameters", "schedule_policy", "statistics", "logging", "trace",
]

/// `GET /v2/models`
func modelListJSON(_ plan: ServingPlan) -> String {
    JSONValue.object(["models": .array(plan.deployments.map { .string($0.served.name) })]).text()
}

/// The versions that a deployment serves, each once.
func versions(of deployment: DeploymentPlan) -> [String] {
    var versions: [String] = []
    for predictor in deployment.served.predictors where !versions.contains(predictor.modelVersion) {
        versions.append(predictor.modelVersion)
    }
    return versions
}

/// `GET /v2/models/{model}`
func modelMetadataJSON(_ deployment: DeploymentPlan) -> String {
    let description = deployment.served.predictors[0].model.description
    return JSONValue.object([
        "name": .string(deployment.served.name),
        "versions": .array(versions(of: deployment).map { .string($0) }),
        "platform": .string(description.platform),
        "inputs": .array(description.inputs.map(specJSON)),
        "outputs": .array(description.outputs.map(specJSON)),
    ]).text()
}

private func specJSON(_ spec: TensorSpec) -> JSONValue {
    [
        "name": .string(spec.name), "datatype": .string(spec.dataType.rawValue),
        "shape": .array(spec.shape.map { .int(Int64($0)) }),
    ]
}

/// `GET /api/v1.0/metadata`: the graph as Seldon tells it; `/metadata/{model}`: one of its models.
func seldonMetadataJSON(
    _ deployment: DeploymentPlan, model name: UnsafeRawBufferPointer?
) throws(AerieError) -> String {
    let models = deployment.served.models.map { model -> (name: String, value: JSONValue) in
        (
            model.name,
            [
                "name": .string(model.name), "platform": .string(model.description.platform),
                "versions": [.string(model.version)], "inputs": .array(model.description.inputs.map(specJSON)),
                "outputs": .array(model.description.outputs.map(specJSON)),
            ]
        )
    }
    if let name {
        guard let found = models.first(where: { $0.name.utf8.elementsEqual(name) }) else {
            throw .notFound("the deployment has no model \(String(decoding: name, as: UTF8.self))")
        }
        return found.value.text()
    }
    let first = deployment.served.predictors[0]
    return JSONValue.object([
        "name": .string(deployment.served.name), "models": .object(JSONObject(models.map { ($0.name, $0.value) })),
        "graphinputs": .array(first.model.description.inputs.map(specJSON)),
        "graphoutputs": .array(first.model.description.outputs.map(specJSON)),
    ]).text()
}
