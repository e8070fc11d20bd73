import AerieCore
import AerieJSON
import AerieResources
import Experiments
import Foundation
import Pipelines
import Registry

/// Fills what steps may do to the platform with the capabilities of this process.
struct PipelineServices: PlatformServices {
    let experiments: ExperimentService
    let registry: RegistryService
    let artifacts: any ArtifactStore
    let resources: ResourceService
    let actor = "pipeline"

    func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String {
        let experiment = try await experiments.ensureExperiment(name: experiment)
        let run = try await experiments.createRun(
            in: experiment.id, name: name, userID: actor,
            tags: tags.sorted { $0.key < $1.key }.map { Experiments.Tag(key: $0.key, value: $0.value) })
        return run.info.id.text
    }

    func log(run: String, params: [String: String], metrics: [StepMetric], tags: [String: String])
        async throws(AerieError)
    {
        let now = SystemClock().now()
        let params = params.sorted { $0.key < $1.key }.map { Param(key: $0.key, value: $0.value) }
        let tags = tags.sorted { $0.key < $1.key }.map { Experiments.Tag(key: $0.key, value: $0.value) }
        if !params.isEmpty || !tags.isEmpty {
            for start in stride(from: 0, to: max(params.count, tags.count), by: 100) {
                try await experiments.log(
                    RunBatch(
                        runID: RunID(run), params: Array(params.dropFirst(start).prefix(100)),
                        tags: Array(tags.dropFirst(start).prefix(100))))
            }
        }
        let points = metrics.map { Metric(key: $0.key, value: $0.value, timestamp: now, step: $0.step) }
        for start in stride(from: 0, to: points.count, by: 1000) {
            try await experiments.log(
                RunBatch(runID: RunID(run), metrics: Array(points[start..<min(start + 1000, points.count)])))
        }
    }

    func logArtifact(run: String, path: String, from local: String) async throws(AerieError) {
        let info = try await experiments.run(RunID(run)).info
        let root = try ArtifactPath(location: info.artifactURI).appending(try ArtifactPath(path))
        for (file, relative) in try files(under: local) {
            let reader = try LocalFile(file)
            let target = relative.isEmpty ? root : root.appending(try ArtifactPath(relative))
            _ = try await artifacts.put(target, next: { () async throws(AerieError) in try reader.next() })
        }
    }

    func finishRun(run: String, succeeded: Bool) async throws(AerieError) {
        _ = try await experiments.updateRun(
            RunID(run), status: succeeded ? .finished : .failed, endTime: SystemClock().now())
    }

    func registerModel(name: String, run: String, artifactPath: String, description: String, tags: [String: String])
        async throws(AerieError) -> String
    {
        _ = try await registry.ensureModel(name: name)
        let version = try await registry.createVersion(
            of: name, source: "runs:/\(run)/\(artifactPath)", runID: RunID(run), description: description,
            userID: actor,
            tags: tags.sorted { $0.key < $1.key }.map { Experiments.Tag(key: $0.key, value: $0.value) })
        return "\(version.version)"
    }

    func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError) {
        guard let number = Int(version) else { throw .invalid("version", "'\(version)' is no version of a model") }
        _ = try await registry.transition(
            ModelVersionKey(model, number), to: try ModelStage(parsing: stage), archivingExisting: archiveExisting,
            actor: actor)
    }

    func apply(_ resource: Resource, timeout: Duration) async throws(AerieError) {
        let applied = try await resources.apply(resource, actor: actor).resource
        let deadline = ContinuousClock.now + timeout
        var last = "no word from its reconciler yet"
        while ContinuousClock.now < deadline {
            let now = try await resources.get(applied.key)
            let condition = now.status?["conditions"]?.array?.first { $0["type"]?.string == "Ready" }
            let observed = now.status?["observedGeneration"]?.int ?? 0
            if observed >= now.metadata.generation, condition?["status"]?.string == "True" { return }
            if let message = condition?["message"]?.string { last = message }
            do { try await Task.sleep(for: .milliseconds(50)) } catch {
                throw AerieError(.cancelled, "waiting for \(applied.key) was cancelled")
            }
        }
        throw AerieError(.deadlineExceeded, "\(applied.key) was not ready after \(timeout): \(last)")
    }

    func resource(_ key: ResourceKey) async throws(AerieError) -> Resource { try await resources.get(key) }

    /// The pipeline runner answers decisions from its own store before this is asked.
    func decision(runID: String, step: String) async throws(AerieError) -> StepDecision? { nil }

    /// Every file under a folder with its path relative to it; a file gives itself with an empty one.
    private func files(under path: String) throws(AerieError) -> [(file: String, relative: String)] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw .notFound("there is no file \(path) to log")
        }
        guard isDirectory.boolValue else { return [(path, "")] }
        let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        return names.sorted().compactMap { name in
            var isFolder: ObjCBool = false
            FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder)
            return isFolder.boolValue ? nil : (path + "/" + name, name)
        }
    }
}
