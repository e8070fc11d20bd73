import AerieCore
import AerieJSON
import AerieResources
import AerieYAML
import Foundation
import Logging
import Pipelines
import Synchronization

/// A step whose work is a closure.
struct FakeStep: Step {
    var name: String
    var parameters: FieldSchema = .object([])
    var outputs: [String] = []
    var placement: StepPlacement = .process
    var isCacheable = true
    var version = 1
    var resourceParameters: [String: String] = [:]
    var work: @Sendable (StepContext) async throws(AerieError) -> StepResult = { _ in StepResult() }

    func run(_ context: StepContext) async throws(AerieError) -> StepResult { try await work(context) }
}

/// Runs "processes" as tasks of this one.
struct InProcessExecutor: StepExecutor {
    var catalog: StepCatalog
    func run(
        _ job: StepJob, log: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> StepResult {
        guard let step = catalog[job.uses] else { throw .notFound(job.uses) }
        return try await step.run(
            StepContext(
                pipeline: job.pipeline, runID: job.runID, step: job.step, workDirectory: job.workDirectory,
                parameters: job.parameters, trackingRun: job.trackingRun, log: log, progress: progress))
    }
}

final class MemoryRunStore: PipelineRunStore {
    private struct State {
        var order: [String] = []
        var runs: [String: PipelineRun] = [:]
        var cache: [String: CachedStep] = [:]
        var decisions: [String: StepDecision] = [:]
        var saves: [[String: StepRun.State]] = []
        var failures = 0
        var gone: Set<String> = []
    }
    private let state = Mutex(State())

    /// The states of the steps at each save, in order.
    var saves: [[String: StepRun.State]] { state.withLock { $0.saves } }
    /// The next so many saves fail.
    func failNextSaves(_ count: Int) { state.withLock { $0.failures = count } }

    func create(_ run: PipelineRun) async throws(AerieError) {
        let isNew = state.withLock { state in
            guard state.runs[run.id] == nil else { return false }
            state.order.append(run.id)
            state.runs[run.id] = run
            return true
        }
        if !isNew { throw AerieError(.alreadyExists, run.id) }
    }
    func run(_ id: String) async throws(AerieError) -> PipelineRun {
        guard let run = state.withLock({ $0.runs[id] }) else { throw .notFound("there is no pipeline run '\(id)'") }
        return run
    }
    func owns(_ id: String) async throws(AerieError) -> Bool { state.withLock { $0.runs[id] != nil } }
    func runs(_ filter: PipelineRunFilter) async throws(AerieError) -> [PipelineRun] {
        state.withLock { state in
            state.order.reversed().compactMap { state.runs[$0] }.filter {
                (filter.states.isEmpty || filter.states.contains($0.state))
                    && (filter.pipeline ?? $0.pipeline) == $0.pipeline
            }
        }
    }
    func save(_ run: PipelineRun, steps: Set<String>) async throws(AerieError) {
        let mustFail = state.withLock { state in
            guard state.failures == 0 else {
                state.failures -= 1
                return true
            }
            var stored = run
            // Only what is named is written, as the contract says.
            if let old = state.runs[run.id] {
                for index in stored.steps.indices where !steps.contains(stored.steps[index].name) {
                    stored.steps[index] = old.steps[index]
                }
            }
            state.runs[run.id] = stored
            state.saves.append(Dictionary(uniqueKeysWithValues: stored.steps.map { ($0.name, $0.state) }))
            return false
        }
        if mustFail { throw AerieError(.unavailable, "the disk is away") }
    }
    func cached(_ key: String) async throws(AerieError) -> CachedStep? { state.withLock { $0.cache[key] } }
    func remember(_ key: String, _ step: CachedStep, time: Timestamp) async throws(AerieError) {
        state.withLock { $0.cache[key] = step }
    }
    func retire(keeping: Int, limit: Int) async throws(AerieError) -> [String] {
        state.withLock { state in
            let live = state.order.filter { !state.gone.contains($0) }
            let used = Set(live.flatMap { state.runs[$0]?.steps.compactMap(\.cachedFrom) ?? [] })
            let old = live.dropLast(keeping).filter { state.runs[$0]?.state.isFinal == true && !used.contains($0) }
            state.cache = state.cache.filter { !old.contains($0.value.runID) }
            return Array(old.prefix(limit))
        }
    }
    func retired(_ ids: [String]) async throws(AerieError) { state.withLock { $0.gone.formUnion(ids) } }
    func decision(run: String, step: String) async throws(AerieError) -> StepDecision? {
        state.withLock { $0.decisions["\(run)/\(step)"] }
    }
    func decide(run: String, step: String, _ decision: StepDecision?) async throws(AerieError) {
        state.withLock { $0.decisions["\(run)/\(step)"] = decision }
    }
}

/// Remembers what was logged to tracking runs.
final class FakeServices: PlatformServices {
    struct Log: Sendable {
        var started: [String] = []
        var params: [String: String] = [:]
        var metrics: [StepMetric] = []
        var tags: [String: String] = [:]
        var artifacts: [String: String] = [:]
        var finished: [Bool] = []
    }
    private let state = Mutex(Log())
    let applied = Mutex<[ResourceKey: Resource]>([:])
    var log: Log { state.withLock { $0 } }

    func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String {
        state.withLock {
            $0.started.append(experiment)
            $0.tags.merge(tags) { $1 }
            return "tracking-\($0.started.count)"
        }
    }
    func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String? {
        state.withLock { $0.tags[tag] == value ? "tracking-\($0.started.count)" : nil }
    }
    func log(run: String, params: [String: String], metrics: [StepMetric], tags: [String: String])
        async throws(AerieError)
    {
        state.withLock {
            $0.params.merge(params) { $1 }
            $0.metrics += metrics
            $0.tags.merge(tags) { $1 }
        }
    }
    func logArtifact(run: String, path: String, from local: String) async throws(AerieError) {
        let text = (try? String(contentsOfFile: local, encoding: .utf8)) ?? "unreadable"
        state.withLock { $0.artifacts[path] = text }
    }
    func finishRun(run: String, succeeded: Bool) async throws(AerieError) {
        state.withLock { $0.finished.append(succeeded) }
    }
    func registerModel(name: String, run: String, artifactPath: String, description: String, tags: [String: String])
        async throws(AerieError) -> String
    { "1" }
    func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError) {}
    func apply(_ resource: Resource, timeout: Duration) async throws(AerieError) {}
    func resource(_ key: ResourceKey) async throws(AerieError) -> Resource {
        guard let found = applied.withLock({ $0[key] }) else { throw .notFound("there is no \(key)") }
        return found
    }
    func decision(runID: String, step: String) async throws(AerieError) -> StepDecision? { nil }
}

/// A folder of its own, with runners on one store.
final class Workshop: Sendable {
    let folder = NSTemporaryDirectory() + "aerie-pipelines-" + UUID().uuidString
    let store = MemoryRunStore()
    let services = FakeServices()
    let calls = Mutex<[String: Int]>([:])

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func runner(
        _ steps: [FakeStep], parallel: Int = 4, kept: Int = 200, executor: (any StepExecutor)? = nil
    ) -> PipelineRunner {
        let catalog = StepCatalog(steps)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return PipelineRunner(
            configuration: .init(folder: folder, maximumParallelSteps: parallel, keptRuns: kept), catalog: catalog,
            store: store,
            executor: executor ?? InProcessExecutor(catalog: catalog), services: services, logger: logger)
    }

    @discardableResult func count(_ name: String) -> Int {
        calls.withLock {
            $0[name, default: 0] += 1
            return $0[name] ?? 0
        }
    }
    func called(_ name: String) -> Int { calls.withLock { $0[name] ?? 0 } }

    /// A step that writes `text` into the artifact `file` and counts its calls.
    func writer(_ name: String, text: String = "content") -> FakeStep {
        FakeStep(
            name: name, parameters: .object([Field("input", .string), Field("amount", .anyNumber)]),
            outputs: ["file", "length"]
        ) { context throws(AerieError) in
            self.count(context.step)
            let input = context.parameters["input"]?.string ?? ""
            let before = (try? String(contentsOfFile: input, encoding: .utf8)) ?? input
            let content = before + text
            try? content.write(toFile: context.workDirectory + "/file.txt", atomically: true, encoding: .utf8)
            context.log("wrote \(content.count)")
            return StepResult(
                artifacts: ["file": "file.txt"], values: ["length": .int(Int64(content.count))],
                params: ["\(context.step).text": text],
                metrics: [StepMetric(key: "length", value: Double(content.count))],
                logged: ["\(context.step)/file.txt": "file"])
        }
    }
}

func pipeline(_ yaml: String, name: String = "demo") throws -> Resource {
    let spec = try YAMLDocument.parseAll(yaml).first?.value.object ?? [:]
    return Resource(apiVersion: "aerie.dev/v1", kind: "Pipeline", metadata: ResourceMetadata(name: name), spec: spec)
}

extension PipelineRunner {
    /// The run once it is as wanted; after 20 seconds as it is then.
    func wait(_ id: String, _ isWanted: @Sendable (PipelineRun) -> Bool = { $0.state.isFinal }) async throws
        -> PipelineRun
    {
        for _ in 0..<4000 {
            let run = try await run(id)
            if isWanted(run) { return run }
            try await Task.sleep(for: .milliseconds(5))
        }
        return try await run(id)
    }
}
