public import AerieCore
import AerieJSON
public import AerieResources
public import Pipelines

/// `uses: register`: makes a new version of a registered model out of the run's logged model.
///
/// `model` is the name; `artifactPath` the model's place in the run's artifacts (`model`; `STEP/model` if the
/// pipeline has
/// several steps of the kind that trained it), `description`, `tags`, `run`
/// (this pipeline run's tracking run). Outputs: `model`, `version`, `model_uri` (`models:/name/version`).
public struct RegisterStep: Step {
    public init() {}

    public var name: String { "register" }
    public var outputs: [String] { ["model", "version", "model_uri"] }
    public var placement: StepPlacement { .server }
    public var isCacheable: Bool { false }
    public var parameters: FieldSchema {
        .object([
            Field("model", .string, required: true), Field("artifactPath", .string), Field("description", .string),
            Field("tags", .map(.any)), Field("run", .string),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let model = try input.requiredText("model")
        guard let services = context.services else {
            throw AerieError(.internal, "registering runs in the server, and was started without its services")
        }
        guard let run = try input.text("run") ?? context.trackingRun else {
            throw AerieError(
                .failedPrecondition,
                "the pipeline has no experiment, so there is no run whose model could be "
                    + "registered; set spec.experiment")
        }
        var tags: [String: String] = [:]
        for member in try input.object("tags")?.members ?? [] where !member.value.isNull {
            tags[member.key] = member.value.string ?? member.value.text()
        }
        tags["pipeline"] = context.pipeline
        tags["pipeline_run"] = context.runID
        let version = try await services.registerModel(
            name: model, run: run, artifactPath: try input.text("artifactPath") ?? "model",
            description: try input.text("description") ?? "", tags: tags)
        context.log("registered \(model) version \(version)")
        return StepResult(values: [
            "model": .string(model), "version": .string(version), "model_uri": .string("models:/\(model)/\(version)"),
        ])
    }
}
