import AerieCore
import AerieJSON
import Logging

/// What a pipeline run leaves in the experiment that it names: one tracking run with the parameters, metrics and
/// artifacts of its steps.
extension PipelineRunner {
    /// Starts the tracking run if there is to be one and there is none yet.
    func beginTracking(_ state: inout RunState) async {
        let run = state.run
        guard let experiment = run.experiment, run.trackingRun == nil, !run.state.isFinal else { return }
        // Starting it and saving its identifier are two commits: what another attempt has left between them is found.
        let mayBeThere = active[run.id]?.mayBeTracked ?? true
        active[run.id]?.mayBeTracked = true
        do throws(AerieError) {
            var found: String?
            if mayBeThere {
                found = try await services.findRun(experiment: experiment, tag: "aerie.pipelineRun", value: run.id)
            }
            let id: String
            if let found { id = found } else {
                id = try await services.startRun(experiment: experiment, name: run.id, tags: [
                    "aerie.pipeline": run.pipeline, "aerie.pipelineRun": run.id, "aerie.namespace": run.namespace,
                    "mlflow.user": run.startedBy,
                ])
            }
            state.setTrackingRun(id)
            var params: [String: String] = [:]
            for member in run.parameters.members {
                params["parameters.\(member.key)"] = String(member.value.embeddedText.prefix(6000))
            }
            try await services.log(run: id, params: params, metrics: [], tags: [:])
        } catch {
            state.abandon("the run cannot be tracked in experiment '\(experiment)': \(error.message)", now: clock.now())
            active[run.id] = nil
            logger.warning("pipeline run cannot be tracked", metadata: ["run": "\(run.id)", "error": "\(error)"])
        }
    }

    /// Logs what a step gave. Comes before the step counts as done, so that later steps find it there; the same again
    /// after a restart.
    func track(_ results: CachedStep, run: PipelineRun, step: String, state: StepRun.State) async throws(AerieError) {
        guard let tracking = run.trackingRun else { return }
        // Two steps of one kind log the same names, and a parameter of a tracking run has one value.
        let kind = run[step]?.uses
        let isShared = run.steps.count { $0.uses == kind } > 1
        do throws(AerieError) {
            for (path, output) in results.logged.sorted(by: { $0.key < $1.key }) {
                guard let artifact = results.artifacts[output] else {
                    throw AerieError(.internal, "the step logs '\(output)', which is none of its artifacts")
                }
                try await services.logArtifact(
                    run: tracking, path: isShared ? "\(step)/\(path)" : path, from: folders.absolute(artifact))
            }
            var tags = ["aerie.step.\(step)": state.rawValue]
            if state == .cached { tags["aerie.step.\(step).cachedFrom"] = results.runID }
            let prefix = isShared ? "\(step)." : ""
            let params = Dictionary(results.params.map { (prefix + $0.key, $0.value) }, uniquingKeysWith: { $1 })
            let metrics = results.metrics.map { StepMetric(key: prefix + $0.key, value: $0.value, step: $0.step) }
            try await services.log(run: tracking, params: params, metrics: metrics, tags: tags)
        } catch {
            throw AerieError(
                error.code, "its results could not be logged to the tracking run \(tracking): \(error.message)",
                cause: error)
        }
    }

    func finishTracking(_ run: PipelineRun) async {
        guard let tracking = run.trackingRun else { return }
        var tags: [String: String] = ["aerie.pipelineRun.state": run.state.rawValue]
        for step in run.steps where !step.state.isDone { tags["aerie.step.\(step.name)"] = step.state.rawValue }
        do throws(AerieError) {
            try await services.log(run: tracking, params: [:], metrics: [], tags: tags)
            try await services.finishRun(run: tracking, succeeded: run.state == .succeeded)
        } catch {
            logger.warning("cannot finish the tracking run", metadata: ["run": "\(run.id)", "error": "\(error)"])
        }
    }
}
