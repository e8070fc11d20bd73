public import AerieCore

/// Which predictions.
public struct PredictionQuery: Sendable {
    public var namespace: String?
    public var deployment: String?
    public var version: String?
    public var puid: String?
    /// Microseconds since 1970; from the first, before the second.
    public var since: Int64?
    public var until: Int64?
    /// Only those with a label.
    public var isLabelled: Bool
    public var limit: Int

    public init(
        namespace: String? = nil, deployment: String? = nil, version: String? = nil, puid: String? = nil,
        since: Int64? = nil, until: Int64? = nil, isLabelled: Bool = false, limit: Int = 100
    ) {
        self.namespace = namespace
        self.deployment = deployment
        self.version = version
        self.puid = puid
        self.since = since
        self.until = until
        self.isLabelled = isLabelled
        self.limit = limit
    }
}

/// A kept prediction and its label, if one has come.
public struct LabelledPrediction: Sendable, Equatable {
    public var record: PredictionRecord
    public var label: Double?
    /// What feedback gave its request, if any has come.
    public var reward: Double?

    public init(record: PredictionRecord, label: Double?, reward: Double? = nil) {
        self.record = record
        self.label = label
        self.reward = reward
    }
}

/// Where predictions are kept.
///
/// Contract: what `append` and `label` have returned for survives the process's end at any instant. Disk use is
/// bounded, whether or not packing works: the oldest predictions beyond the limit go. Calls may come from several tasks
/// at once.
/// - Throws: `resourceExhausted` where the disk is full; `unavailable` where what is needed to read is missing.
public protocol PredictionStore: Sendable {
    func append(_ records: [PredictionRecord]) async throws(AerieError)
    func label(_ labels: [PredictionLabel]) async throws(AerieError)
    /// The newest first, at most `limit`.
    func list(_ query: PredictionQuery) async throws(AerieError) -> [LabelledPrediction]
    /// Writes them to a Parquet file, oldest first, without regard to `limit`.
    /// - Returns: the rows.
    func export(_ query: PredictionQuery, to path: String) async throws(AerieError) -> Int64
    /// Packs what has been appended, and removes what is beyond the limit, which it does even if packing fails.
    /// - Returns: the bytes that are kept.
    func tidy() async throws(AerieError) -> Int64
}
