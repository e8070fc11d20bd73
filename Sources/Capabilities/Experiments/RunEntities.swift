public import AerieCore

public enum RunStatus: String, Sendable, Hashable, CaseIterable {
    case running = "RUNNING", scheduled = "SCHEDULED", finished = "FINISHED", failed = "FAILED", killed = "KILLED"
}

/// A run without what it logged.
public struct RunInfo: Hashable, Sendable {
    public var id: RunID
    public var experimentID: ExperimentID
    public var name: String
    public var userID: String
    public var status: RunStatus
    public var startTime: Timestamp
    public var endTime: Timestamp?
    public var artifactURI: String
    public var stage: LifecycleStage

    public init(
        id: RunID, experimentID: ExperimentID, name: String, userID: String, status: RunStatus = .running,
        startTime: Timestamp, endTime: Timestamp? = nil, artifactURI: String, stage: LifecycleStage = .active
    ) {
        self.id = id
        self.experimentID = experimentID
        self.name = name
        self.userID = userID
        self.status = status
        self.startTime = startTime
        self.endTime = endTime
        self.artifactURI = artifactURI
        self.stage = stage
    }
}

/// One training: its parameters, the latest value of each metric, its tags, and what it read and made.
public struct Run: Hashable, Sendable {
    public var info: RunInfo
    /// The latest value of each metric, ordered by key. The whole history is read on its own.
    public var metrics: [Metric]
    public var params: [Param]
    public var tags: [Tag]
    public var datasets: [DatasetInput]
    public var modelInputs: [LoggedModelID]
    public var modelOutputs: [ModelOutput]

    public init(
        info: RunInfo, metrics: [Metric] = [], params: [Param] = [], tags: [Tag] = [], datasets: [DatasetInput] = [],
        modelInputs: [LoggedModelID] = [], modelOutputs: [ModelOutput] = []
    ) {
        self.info = info
        self.metrics = metrics
        self.params = params
        self.tags = tags
        self.datasets = datasets
        self.modelInputs = modelInputs
        self.modelOutputs = modelOutputs
    }
}

/// A dataset that a run read, with tags such as `mlflow.data.context`.
public struct DatasetInput: Hashable, Sendable {
    public var name: String
    public var digest: String
    public var sourceType: String
    public var source: String
    public var schema: String?
    public var profile: String?
    public var tags: [Tag]

    public init(
        name: String, digest: String, sourceType: String, source: String, schema: String? = nil,
        profile: String? = nil, tags: [Tag] = []
    ) {
        self.name = name
        self.digest = digest
        self.sourceType = sourceType
        self.source = source
        self.schema = schema
        self.profile = profile
        self.tags = tags
    }
}

/// A model that a run made, at a step of its training.
public struct ModelOutput: Hashable, Sendable {
    public var modelID: LoggedModelID
    public var step: Int64
    public init(modelID: LoggedModelID, step: Int64 = 0) {
        self.modelID = modelID
        self.step = step
    }
}

/// What is logged to one run in one step: all of it or nothing.
public struct RunBatch: Sendable {
    public var runID: RunID
    public var metrics: [Metric]
    public var params: [Param]
    public var tags: [Tag]
    public init(runID: RunID, metrics: [Metric] = [], params: [Param] = [], tags: [Tag] = []) {
        self.runID = runID
        self.metrics = metrics
        self.params = params
        self.tags = tags
    }
}

/// What to change of a run; `nil` leaves it as it is.
public struct RunChange: Sendable {
    public var name: String?
    public var status: RunStatus?
    public var endTime: Timestamp?
    public var stage: LifecycleStage?
    public init(
        name: String? = nil, status: RunStatus? = nil, endTime: Timestamp? = nil, stage: LifecycleStage? = nil
    ) {
        self.name = name
        self.status = status
        self.endTime = endTime
        self.stage = stage
    }
}
