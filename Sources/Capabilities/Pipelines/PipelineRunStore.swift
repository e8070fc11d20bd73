public import AerieCore

/// Which runs to list.
public struct PipelineRunFilter: Sendable {
    public var namespace: String?
    public var pipeline: String?
    /// Only those that this server carries, and not those of others that share the store.
    public var isOwn: Bool
    /// Empty for all.
    public var states: Set<PipelineRun.State>
    /// Only runs that were created before this one, for the next page.
    public var before: String?
    /// From 1 to 1,000.
    public var limit: Int

    public init(
        namespace: String? = nil, pipeline: String? = nil, isOwn: Bool = false, states: Set<PipelineRun.State> = [],
        before: String? = nil, limit: Int = 100
    ) {
        self.namespace = namespace
        self.pipeline = pipeline
        self.isOwn = isOwn
        self.states = states
        self.before = before
        self.limit = limit
    }
}

/// Keeps runs, the decisions that people gave, and the results under their cache keys.
///
/// Contract: each call is atomic and durable when it returns. Saving is idempotent. A run has one writer, its runner.
/// Several servers may share one database: all see every run and may decide, but the files of a run are with the server
/// that created it, so that cached results, retiring and going on are about a server's own runs alone.
public protocol PipelineRunStore: Sendable {
    /// - Throws: `alreadyExists` if there is a run of that identifier.
    func create(_ run: PipelineRun) async throws(AerieError)
    /// - Throws: `notFound` naming the run.
    func run(_ id: String) async throws(AerieError) -> PipelineRun
    /// Whether this server created it, and so has its files; false as well if there is none.
    func owns(_ id: String) async throws(AerieError) -> Bool
    /// Newest first.
    func runs(_ filter: PipelineRunFilter) async throws(AerieError) -> [PipelineRun]
    /// Writes the run's own members and the steps of those names.
    /// - Throws: `notFound`.
    func save(_ run: PipelineRun, steps: Set<String>) async throws(AerieError)

    /// The newest results under a key.
    func cached(_ key: String) async throws(AerieError) -> CachedStep?
    func remember(_ key: String, _ step: CachedStep, time: Timestamp) async throws(AerieError)

    /// Forgets the cached results of ended runs that are older than the newest `keeping` runs of their pipeline, unless
    /// a run that has not been retired took its results from there.
    /// - Returns: at most `limit` such runs, oldest first, the same ones again until they are `retired`.
    func retire(keeping: Int, limit: Int) async throws(AerieError) -> [String]
    /// The files of these runs are gone.
    func retired(_ ids: [String]) async throws(AerieError)

    func decision(run: String, step: String) async throws(AerieError) -> StepDecision?
    /// Replaces the decision; `nil` takes it back.
    func decide(run: String, step: String, _ decision: StepDecision?) async throws(AerieError)
}
