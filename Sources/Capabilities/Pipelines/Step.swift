public import AerieCore
public import AerieJSON
public import AerieResources

/// A kind of step that a pipeline can name in `uses:`. Built-in kinds need no Python.
public protocol Step: Sendable {
    /// As written in `uses:`, such as `train`.
    var name: String { get }
    /// The shape of `with:`; checked when the pipeline is applied, references (`${…}`) excepted.
    var parameters: FieldSchema { get }
    /// The names of the artifacts and values that it gives, for checking references before anything runs.
    var outputs: [String] { get }
    /// Where it runs.
    var placement: StepPlacement { get }

    /// Does the work. The same parameters and input files give the same result, unless it says otherwise by
    /// `isCacheable`. Checks `Task.isCancelled` between its parts.
    /// - Throws: what a person needs to mend it; the message is shown as the step's reason of failure.
    func run(_ context: StepContext) async throws(AerieError) -> StepResult
    /// False for steps whose effect is outside their work folder (register, approve, deploy).
    var isCacheable: Bool { get }
    /// Part of the cache's key: raised when the same parameters and inputs give another result than before.
    var version: Int { get }
    /// Parameters that may name an applied resource instead of giving its content: parameter -> kind. The step gets
    /// `{apiVersion, kind, metadata: {name}, spec}` where a string was given; other values stay as they are.
    var resourceParameters: [String: String] { get }
}

extension Step {
    public var version: Int { 1 }
    public var resourceParameters: [String: String] { [:] }
}

public enum StepPlacement: Sendable, Hashable {
    /// In a process of its own, with a folder of its own and limits; killed to cancel. For work on data.
    case process
    /// In the server, through the ports of `StepContext.services`. For effects on the platform.
    case server
}

/// What a step is given.
public struct StepContext: Sendable {
    public var pipeline: String
    public var runID: String
    public var step: String
    /// An existing folder of the step's own; artifacts are written here.
    public var workDirectory: String
    /// `with:`, its references replaced by values; a reference to an artifact is its absolute path.
    public var parameters: JSONObject
    /// The tracking run of this pipeline run, if it has one.
    public var trackingRun: String?
    /// A line for the step's log, seen live.
    public var log: @Sendable (String) -> Void
    /// How far the step is, from 0 to 1, and what it does now.
    public var progress: @Sendable (Double, String) -> Void
    /// Only for steps placed in the server.
    public var services: (any PlatformServices)?

    public init(
        pipeline: String, runID: String, step: String, workDirectory: String, parameters: JSONObject,
        trackingRun: String? = nil, log: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Double, String) -> Void, services: (any PlatformServices)? = nil
    ) {
        self.pipeline = pipeline
        self.runID = runID
        self.step = step
        self.workDirectory = workDirectory
        self.parameters = parameters
        self.trackingRun = trackingRun
        self.log = log
        self.progress = progress
        self.services = services
    }
}

/// What a step gives.
public struct StepResult: Sendable, Hashable {
    /// Files or folders under the work folder, by output name, as paths relative to it.
    public var artifacts: [String: String]
    /// Small values, by output name: numbers, words, lists.
    public var values: JSONObject
    /// Logged to the tracking run.
    public var params: [String: String]
    /// Logged to the tracking run; a series has several points of one key with growing `step`.
    public var metrics: [StepMetric]
    /// Logged to the tracking run's artifacts: artifact path -> output name of `artifacts`.
    public var logged: [String: String]

    public init(
        artifacts: [String: String] = [:], values: JSONObject = [:], params: [String: String] = [:],
        metrics: [StepMetric] = [], logged: [String: String] = [:]
    ) {
        self.artifacts = artifacts
        self.values = values
        self.params = params
        self.metrics = metrics
        self.logged = logged
    }
}

public struct StepMetric: Sendable, Hashable {
    public var key: String
    public var value: Double
    public var step: Int64
    public init(key: String, value: Double, step: Int64 = 0) {
        self.key = key
        self.value = value
        self.step = step
    }
}

/// What steps in the server may do to the rest of the platform. Pipelines declares it; the executable fills it.
public protocol PlatformServices: Sendable {
    /// Starts a tracking run in the experiment of that name (made if missing), and gives back its identifier.
    func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String
    /// The newest tracking run of that experiment with that tag; `nil` if there is none, or no such experiment.
    func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String?
    func log(run: String, params: [String: String], metrics: [StepMetric], tags: [String: String])
        async throws(AerieError)
    /// Copies a file or folder into the run's artifacts under that path.
    func logArtifact(run: String, path: String, from local: String) async throws(AerieError)
    func finishRun(run: String, succeeded: Bool) async throws(AerieError)
    /// Registers the model at an artifact path of a run; gives back the new version, such as `3`.
    func registerModel(name: String, run: String, artifactPath: String, description: String, tags: [String: String])
        async throws(AerieError) -> String
    func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError)
    /// Applies a resource and waits until its reconciler says it is ready, or the time is over (`deadlineExceeded`).
    func apply(_ resource: Resource, timeout: Duration) async throws(AerieError)
    /// An applied resource, such as a pipeline or an expectation suite; `notFound` if it has not been applied.
    func resource(_ key: ResourceKey) async throws(AerieError) -> Resource
    /// A decision that a person gave for this step with `aerie approve` or `reject`; `nil` while there is none.
    func decision(runID: String, step: String) async throws(AerieError) -> StepDecision?
}

/// What a person said of a waiting step.
public struct StepDecision: Sendable, Hashable {
    public var isApproved: Bool
    public var by: String
    public var comment: String
    public var time: Timestamp
    public init(isApproved: Bool, by: String, comment: String, time: Timestamp) {
        self.isApproved = isApproved
        self.by = by
        self.comment = comment
        self.time = time
    }
}
