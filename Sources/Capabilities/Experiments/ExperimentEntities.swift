public import AerieCore

public struct ExperimentID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

public struct RunID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

public struct LoggedModelID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

/// Whether a thing is in use or in the bin, from which it can be brought back.
public enum LifecycleStage: String, Sendable, Hashable {
    case active, deleted
}

/// A name and its text, on an experiment, a run or a model.
public struct Tag: Hashable, Sendable {
    public var key: String
    public var value: String
    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// One input of a training run, such as a hyper-parameter. Written once, never changed.
public struct Param: Hashable, Sendable {
    public var key: String
    public var value: String
    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// One value of one metric at one step. `value` may be NaN or infinite.
public struct Metric: Hashable, Sendable {
    public var key: String
    public var value: Double
    public var timestamp: Timestamp
    public var step: Int64
    /// The model that the value was measured on, if it was one.
    public var modelID: LoggedModelID?
    public var datasetName: String?
    public var datasetDigest: String?

    public init(
        key: String, value: Double, timestamp: Timestamp, step: Int64 = 0, modelID: LoggedModelID? = nil,
        datasetName: String? = nil, datasetDigest: String? = nil
    ) {
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.step = step
        self.modelID = modelID
        self.datasetName = datasetName
        self.datasetDigest = datasetDigest
    }
}

/// A named group of runs.
public struct Experiment: Hashable, Sendable {
    public var id: ExperimentID
    public var name: String
    /// Below which the runs' artifacts lie, such as `mlflow-artifacts:/1`.
    public var artifactLocation: String
    public var stage: LifecycleStage
    public var creationTime: Timestamp
    public var lastUpdateTime: Timestamp
    public var tags: [Tag]

    public init(
        id: ExperimentID, name: String, artifactLocation: String, stage: LifecycleStage = .active,
        creationTime: Timestamp, lastUpdateTime: Timestamp, tags: [Tag] = []
    ) {
        self.id = id
        self.name = name
        self.artifactLocation = artifactLocation
        self.stage = stage
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.tags = tags
    }
}
