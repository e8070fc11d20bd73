public import AerieCore

public struct TraceID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

public enum TraceState: String, Sendable, Hashable, CaseIterable {
    case unspecified = "STATE_UNSPECIFIED", ok = "OK", error = "ERROR", inProgress = "IN_PROGRESS"
}

/// What is known of one traced call. Its spans are a file below the place that its tag `mlflow.artifactLocation` names.
public struct Trace: Hashable, Sendable {
    public var id: TraceID
    public var experimentID: ExperimentID
    public var requestTime: Timestamp
    /// Milliseconds; `nil` while it runs.
    public var duration: Int64?
    public var state: TraceState
    public var clientRequestID: String?
    public var requestPreview: String?
    public var responsePreview: String?
    /// Written with the trace and never changed.
    public var metadata: [Tag]
    public var tags: [Tag]

    public init(
        id: TraceID, experimentID: ExperimentID, requestTime: Timestamp, duration: Int64? = nil,
        state: TraceState = .unspecified, clientRequestID: String? = nil, requestPreview: String? = nil,
        responsePreview: String? = nil, metadata: [Tag] = [], tags: [Tag] = []
    ) {
        self.id = id
        self.experimentID = experimentID
        self.requestTime = requestTime
        self.duration = duration
        self.state = state
        self.clientRequestID = clientRequestID
        self.requestPreview = requestPreview
        self.responsePreview = responsePreview
        self.metadata = metadata
        self.tags = tags
    }
}

/// Which traces of an experiment to delete: these, or the oldest up to a moment.
public struct TraceSelection: Sendable {
    public var experimentID: ExperimentID
    public var ids: [TraceID]
    public var until: Timestamp?
    public var limit: Int
    public init(experimentID: ExperimentID, ids: [TraceID] = [], until: Timestamp? = nil, limit: Int = 10_000) {
        self.experimentID = experimentID
        self.ids = ids
        self.until = until
        self.limit = limit
    }
}

/// Keeps traces. Each call is atomic and durable when it returns.
public protocol TraceStore: Sendable {
    /// Writes the trace, over one of the same identifier in the same experiment, so that a call can be repeated.
    /// - Throws: `notFound` for the experiment, `alreadyExists` for an identifier that another experiment has.
    func put(_ trace: Trace) async throws(AerieError)
    /// In the order asked for; those that do not exist are left out.
    func get(_ ids: [TraceID]) async throws(AerieError) -> [Trace]
    /// - Throws: `notFound` for the trace or a tag to delete.
    func update(_ id: TraceID, setTags: [Tag], deleteTags: [String]) async throws(AerieError)
    /// Default order: newest first.
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<Trace>
    /// - Returns: those that were deleted.
    func delete(_ selection: TraceSelection) async throws(AerieError) -> [TraceID]
}
