public import AerieCore

public enum LoggedModelStatus: String, Sendable, Hashable, CaseIterable {
    case unspecified = "LOGGED_MODEL_STATUS_UNSPECIFIED"
    case pending = "LOGGED_MODEL_PENDING"
    case ready = "LOGGED_MODEL_READY"
    case uploadFailed = "LOGGED_MODEL_UPLOAD_FAILED"
}

/// A model that was made by a run, before and beside its registration under a name.
public struct LoggedModel: Hashable, Sendable {
    public var id: LoggedModelID
    public var experimentID: ExperimentID
    public var name: String
    public var modelType: String
    public var sourceRunID: RunID?
    public var artifactURI: String
    public var status: LoggedModelStatus
    public var creationTime: Timestamp
    public var lastUpdateTime: Timestamp
    public var params: [Param]
    public var tags: [Tag]
    /// The latest value of each metric that was measured on the model, by run and dataset.
    public var metrics: [LoggedModelMetric]

    public init(
        id: LoggedModelID, experimentID: ExperimentID, name: String, modelType: String = "",
        sourceRunID: RunID? = nil, artifactURI: String, status: LoggedModelStatus = .pending,
        creationTime: Timestamp, lastUpdateTime: Timestamp, params: [Param] = [], tags: [Tag] = [],
        metrics: [LoggedModelMetric] = []
    ) {
        self.id = id
        self.experimentID = experimentID
        self.name = name
        self.modelType = modelType
        self.sourceRunID = sourceRunID
        self.artifactURI = artifactURI
        self.status = status
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.params = params
        self.tags = tags
        self.metrics = metrics
    }
}

/// A metric of a model and the run that measured it.
public struct LoggedModelMetric: Hashable, Sendable {
    public var metric: Metric
    public var runID: RunID
    public init(metric: Metric, runID: RunID) {
        self.metric = metric
        self.runID = runID
    }
}

/// What to change of a logged model; empty leaves it as it is.
public struct LoggedModelChange: Sendable {
    public var status: LoggedModelStatus?
    public var setTags: [Tag]
    public var deleteTags: [String]
    public var addParams: [Param]
    public init(
        status: LoggedModelStatus? = nil, setTags: [Tag] = [], deleteTags: [String] = [], addParams: [Param] = []
    ) {
        self.status = status
        self.setTags = setTags
        self.deleteTags = deleteTags
        self.addParams = addParams
    }
}
