public import AerieCore

public struct TraceID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

public enum TraceState: String, Sendable, Hashable, CaseIterable {
    case unspecified = "STATE_UNSPECIFIED"
    case ok = "OK"
    case error = "ERROR"
    case inProgress = "IN_PROGRESS"
}

/// What is known of one traced call. Its spans are kept with it, or are a file below the place that its tag
/// `mlflow.artifactLocation` names.
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
    /// In the order in which they were made.
    public var assessments: [Assessment]

    public init(
        id: TraceID, experimentID: ExperimentID, requestTime: Timestamp, duration: Int64? = nil,
        state: TraceState = .unspecified, clientRequestID: String? = nil, requestPreview: String? = nil,
        responsePreview: String? = nil, metadata: [Tag] = [], tags: [Tag] = [], assessments: [Assessment] = []
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
        self.assessments = assessments
    }
}

/// What a trace is linked to.
public enum TraceLink: String, Sendable, Hashable { case run, prompt }

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
    /// Writes the trace, over one of the same identifier in the same experiment, so that a call can be repeated. Tags,
    /// metadata and assessments that it does not name stay.
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

    /// Adds spans to their traces, over those of the same identifier, making traces that are not there yet; all of them
    /// or none. Of a trace that is there, `SpanBatch.merged` says what changes.
    /// - Throws: `notFound` for the experiment of a new trace, `resourceExhausted` past `TraceLimits`.
    func record(_ batches: [SpanBatch]) async throws(AerieError)
    /// The spans of each trace that has some, by their start.
    func spans(of ids: [TraceID]) async throws(AerieError) -> [TraceID: [Span]]
    /// Links all of the traces to all of the targets; links that are there stay. A trace may have many of each kind.
    /// - Throws: `notFound` for a trace, and then none is linked.
    func link(_ ids: [TraceID], _ kind: TraceLink, to targets: [String]) async throws(AerieError)
    /// What a trace is linked to, in order.
    func links(of id: TraceID, _ kind: TraceLink) async throws(AerieError) -> [String]
    /// Adds an assessment; the one that it overrides is no longer valid.
    /// - Throws: `notFound` for the trace or what is overridden, `resourceExhausted` past `TraceLimits`.
    func add(_ assessment: Assessment) async throws(AerieError)
    /// Replaces an assessment by what `change` makes of it; `nil` deletes it, and what it overrode is valid again.
    /// `change` may run more than once.
    /// - Throws: `notFound` for the assessment, and what `change` throws.
    func rewrite(
        _ id: AssessmentID, of trace: TraceID,
        _ change: @escaping @Sendable (Assessment) throws(AerieError) -> Assessment?
    ) async throws(AerieError) -> Assessment?
}
