import AerieCore
import AerieJSON
import AerieResources
import Foundation
import Pipelines
import Synchronization

/// The platform's services as a record of what was asked, with decisions given beforehand.
final class FakePlatform: PlatformServices {
    private let calls = Mutex<[String]>([])
    private let answers: Mutex<[StepDecision?]>

    init(decisions: [StepDecision?] = []) { answers = Mutex(decisions) }

    var asked: [String] { calls.withLock { $0 } }
    private func note(_ call: String) { calls.withLock { $0.append(call) } }

    func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String? { nil }
    func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String { "run" }
    func log(run: String, params: [String: String], metrics: [StepMetric], tags: [String: String])
        async throws(AerieError)
    {}
    func logArtifact(run: String, path: String, from local: String) async throws(AerieError) {}
    func finishRun(run: String, succeeded: Bool) async throws(AerieError) {}
    func registerModel(name: String, run: String, artifactPath: String, description: String, tags: [String: String])
        async throws(AerieError) -> String
    {
        let list = tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        note("register \(name) \(run) \(artifactPath) '\(description)' \(list)")
        return "4"
    }
    func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError) {
        note("\(model)/\(version) -> \(stage)\(archiveExisting ? " alone" : "")")
    }
    func apply(_ resource: Resource, timeout: Duration) async throws(AerieError) {
        note("apply \(resource.key) \(JSONValue.object(resource.spec).text()) within \(timeout)")
    }
    func resource(_ key: ResourceKey) async throws(AerieError) -> Resource { throw .notFound("\(key)") }
    func decision(runID: String, step: String) async throws(AerieError) -> StepDecision? {
        note("decision?")
        return answers.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
}

/// What a step said while it ran.
final class StepLogLines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
}

/// A folder that goes away with the test.
final class TemporaryFolder: Sendable {
    let path = NSTemporaryDirectory() + "aerie-steps-" + UUID().uuidString
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    /// `AERIE_KEEP_TEST_FOLDERS` keeps it, to look at what was written.
    deinit {
        if ProcessInfo.processInfo.environment["AERIE_KEEP_TEST_FOLDERS"] == nil {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    func context(
        _ step: String, _ parameters: JSONObject, services: (any PlatformServices)? = nil, run: String? = "run",
        log: StepLogLines = StepLogLines()
    ) throws -> StepContext {
        let work = path + "/" + step
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        return StepContext(
            pipeline: "fraud", runID: "r1", step: step, workDirectory: work, parameters: parameters, trackingRun: run,
            log: { log.add($0) }, progress: { _, _ in }, services: services)
    }
}
