import AerieCore
import AerieResources

/// The platform as a step in the server sees it: decisions come from the run's own store, and asking for one that
/// nobody has given marks the step as waiting.
struct StepServices: PlatformServices {
    let base: any PlatformServices
    let runID: String
    let ask: @Sendable (_ step: String) async throws(AerieError) -> StepDecision?

    func decision(runID: String, step: String) async throws(AerieError) -> StepDecision? {
        runID == self.runID ? try await ask(step) : try await base.decision(runID: runID, step: step)
    }

    func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String {
        try await base.startRun(experiment: experiment, name: name, tags: tags)
    }
    func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String? {
        try await base.findRun(experiment: experiment, tag: tag, value: value)
    }
    func log(
        run: String, params: [String: String], metrics: [StepMetric], tags: [String: String]
    ) async throws(AerieError) {
        try await base.log(run: run, params: params, metrics: metrics, tags: tags)
    }
    func logArtifact(run: String, path: String, from local: String) async throws(AerieError) {
        try await base.logArtifact(run: run, path: path, from: local)
    }
    func finishRun(run: String, succeeded: Bool) async throws(AerieError) {
        try await base.finishRun(run: run, succeeded: succeeded)
    }
    func registerModel(
        name: String, run: String, artifactPath: String, description: String, tags: [String: String]
    ) async throws(AerieError) -> String {
        try await base.registerModel(
            name: name, run: run, artifactPath: artifactPath, description: description, tags: tags)
    }
    func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError) {
        try await base.transition(model: model, version: version, stage: stage, archiveExisting: archiveExisting)
    }
    func apply(_ resource: Resource, timeout: Duration) async throws(AerieError) {
        try await base.apply(resource, timeout: timeout)
    }
    func resource(_ key: ResourceKey) async throws(AerieError) -> Resource { try await base.resource(key) }
}
