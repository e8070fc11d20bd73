public import AerieCore

/// Which part of a metric's history to read.
public struct MetricHistoryQuery: Sendable {
    public var runIDs: [RunID]
    public var key: String
    public var steps: ClosedRange<Int64>?
    /// At most so many values, of all runs together.
    public var limit: Int
    /// Only what follows this value in the order of step, timestamp and value; for one run.
    public var after: Metric?
    /// At most so many values of each run, taken evenly from all there are; the first and the last are among them.
    public var perRun: Int?
    public init(
        runIDs: [RunID], key: String, steps: ClosedRange<Int64>? = nil, limit: Int = 25_000, after: Metric? = nil,
        perRun: Int? = nil
    ) {
        self.runIDs = runIDs
        self.key = key
        self.steps = steps
        self.limit = limit
        self.after = after
        self.perRun = perRun
    }
}

/// What a run read and made, to be added to what it has.
public struct RunLinks: Sendable {
    public var datasets: [DatasetInput]
    public var modelInputs: [LoggedModelID]
    public var modelOutputs: [ModelOutput]
    public init(
        datasets: [DatasetInput] = [], modelInputs: [LoggedModelID] = [], modelOutputs: [ModelOutput] = []
    ) {
        self.datasets = datasets
        self.modelInputs = modelInputs
        self.modelOutputs = modelOutputs
    }
}

/// A dataset that runs of an experiment read, and in which role.
public struct DatasetSummary: Hashable, Sendable {
    public var experimentID: ExperimentID
    public var name: String
    public var digest: String
    public var context: String?
    public init(experimentID: ExperimentID, name: String, digest: String, context: String?) {
        self.experimentID = experimentID
        self.name = name
        self.digest = digest
        self.context = context
    }
}

/// Keeps the runs and what they logged.
///
/// Contract: each call is atomic and durable when it returns.
/// - A metric's exact duplicate (key, value, timestamp, step) is kept once. The latest value is the greatest by
///   (step, timestamp, value). NaN is kept; an infinity is kept as the greatest finite number of its sign.
/// - A parameter written again with the same value changes nothing, with another is `invalidArgument`, and then
///   nothing of its batch is written.
/// - Logging to a run that is deleted is `failedPrecondition` (reason `run.deleted`), to one that does not exist
///   `notFound`.
/// - The tag `mlflow.runName` and the run's name are one: writing either writes both.
public protocol RunStore: Sendable {
    /// All of them or none. - Throws: `alreadyExists` for an identifier that is taken, `notFound` for the experiment,
    /// `failedPrecondition` if that is deleted.
    func create(_ runs: [Run]) async throws(AerieError)
    /// In the order asked for; those that do not exist are left out. One round for all of them.
    func get(_ ids: [RunID]) async throws(AerieError) -> [Run]
    func update(_ id: RunID, _ change: RunChange, at time: Timestamp) async throws(AerieError) -> RunInfo
    func log(_ batches: [RunBatch]) async throws(AerieError)
    /// - Throws: `notFound` for the run or the tag.
    func deleteTag(_ key: String, of id: RunID) async throws(AerieError)
    /// Gives a tag the value that `change` makes of its present one (`nil` if it is not there), in one transaction: of
    /// several that rewrite it at once, none is lost. `change` may be called more than once.
    func rewriteTag(
        _ key: String, of id: RunID, _ change: @escaping @Sendable (String?) throws(AerieError) -> String
    ) async throws(AerieError)
    func link(_ links: RunLinks, to id: RunID) async throws(AerieError)
    /// By run in the order of `query.runIDs`, then step, timestamp and value. A key never logged has no history.
    func history(_ query: MetricHistoryQuery) async throws(AerieError) -> [(RunID, Metric)]
    /// Default order: start time, newest first, then identifier. What lacks an order's value comes last.
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<Run>
    func datasets(in experiments: [ExperimentID], limit: Int) async throws(AerieError) -> [DatasetSummary]
}

/// Keeps the models that runs made. Each call is atomic and durable when it returns.
public protocol LoggedModelStore: Sendable {
    /// With its params, tags and metrics; of the metrics the latest value by run and dataset is kept.
    func create(_ model: LoggedModel) async throws(AerieError)
    /// In the order asked for; those that do not exist or are deleted are left out. With params, tags and metrics.
    func get(_ ids: [LoggedModelID]) async throws(AerieError) -> [LoggedModel]
    /// - Throws: `notFound` for the model, or for a tag to delete.
    func update(_ id: LoggedModelID, _ change: LoggedModelChange,
        at time: Timestamp) async throws(AerieError) -> LoggedModel
    /// - Throws: `notFound`.
    func delete(_ id: LoggedModelID, at time: Timestamp) async throws(AerieError)
    /// Default order: creation, newest first.
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<LoggedModel>
}
