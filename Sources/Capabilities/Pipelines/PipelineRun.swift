public import AerieCore
public import AerieJSON

/// One run of a pipeline: what was asked, and how far it is. It carries the spec as it was when the run began, so that
/// a pipeline that is changed or deleted meanwhile does not touch it.
public struct PipelineRun: Sendable, Hashable {
    public enum State: String, Sendable, CaseIterable {
        case running, waiting, succeeded, failed, cancelled
        public var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
    }

    public var id: String
    public var namespace: String
    public var pipeline: String
    /// The `spec` of the pipeline.
    public var spec: JSONObject
    /// The values of all its parameters.
    public var parameters: JSONObject
    public var state: State
    /// Why it is in this state, for a person; empty where the state says it all.
    public var message: String
    public var isCancelRequested: Bool
    public var startedBy: String
    public var created: Timestamp
    public var finished: Timestamp?
    public var experiment: String?
    /// The tracking run, once it has been started.
    public var trackingRun: String?
    /// In the order of the pipeline.
    public var steps: [StepRun]

    public init(
        id: String, namespace: String, pipeline: String, spec: JSONObject, parameters: JSONObject, startedBy: String,
        created: Timestamp, experiment: String?, steps: [StepRun]
    ) {
        self.id = id
        self.namespace = namespace
        self.pipeline = pipeline
        self.spec = spec
        self.parameters = parameters
        self.state = .running
        self.message = ""
        self.isCancelRequested = false
        self.startedBy = startedBy
        self.created = created
        self.experiment = experiment
        self.steps = steps
    }

    public subscript(step: String) -> StepRun? { steps.first { $0.name == step } }

    /// How much of the run is done, from 0 to 1: each step counts the same.
    public var progress: Double {
        guard !steps.isEmpty else { return 1 }
        return steps.reduce(0) { $0 + ($1.state.isFinal ? 1 : $1.progress) } / Double(steps.count)
    }
}

/// One step of a run.
public struct StepRun: Sendable, Hashable {
    public enum State: String, Sendable, CaseIterable {
        case pending, running, waiting, succeeded, cached, failed, skipped, cancelled
        public var isFinal: Bool { self != .pending && self != .running && self != .waiting }
        /// Its outputs are there.
        public var isDone: Bool { self == .succeeded || self == .cached }
    }

    public var name: String
    public var uses: String
    public var needs: [String]
    public var state: State = .pending
    /// How often it has been started; each attempt has a work folder of its own.
    public var attempt = 0
    /// Failures since the run was started or retried by a person.
    public var failures = 0
    /// Not tried again before.
    public var retryAt: Timestamp?
    /// What it does, or why it ended so.
    public var message = ""
    /// From 0 to 1.
    public var progress = 0.0
    public var started: Timestamp?
    public var finished: Timestamp?
    public var artifacts: [String: StepArtifact] = [:]
    public var values: JSONObject = [:]
    public var params: [String: String] = [:]
    public var metrics: [StepMetric] = []
    /// Artifact path in the tracking run -> output name.
    public var logged: [String: String] = [:]
    public var cacheKey: String?
    /// The run whose results were taken.
    public var cachedFrom: String?

    public init(name: String, uses: String, needs: [String]) {
        self.name = name
        self.uses = uses
        self.needs = needs
    }
}

/// A file or folder that a step gave.
public struct StepArtifact: Sendable, Hashable {
    /// Relative to the pipelines folder: `<run>/<step>/<attempt>/<file>`.
    public var path: String
    /// SHA-256 of its content, in hexadecimal digits; of a folder, of its sorted paths and contents.
    public var digest: String
    public var bytes: Int64

    public init(path: String, digest: String, bytes: Int64) {
        self.path = path
        self.digest = digest
        self.bytes = bytes
    }
}

/// Results kept under a cache key.
public struct CachedStep: Sendable, Hashable {
    public var runID: String
    public var artifacts: [String: StepArtifact]
    public var values: JSONObject
    public var params: [String: String]
    public var metrics: [StepMetric]
    public var logged: [String: String]

    public init(
        runID: String, artifacts: [String: StepArtifact], values: JSONObject, params: [String: String],
        metrics: [StepMetric], logged: [String: String]
    ) {
        self.runID = runID
        self.artifacts = artifacts
        self.values = values
        self.params = params
        self.metrics = metrics
        self.logged = logged
    }
}
