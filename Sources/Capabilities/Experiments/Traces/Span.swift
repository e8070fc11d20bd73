public import AerieCore

/// One step of a traced call.
public struct Span: Hashable, Sendable {
    public var traceID: TraceID
    /// 16 digits, hexadecimal and in lowercase.
    public var id: String
    public var parentID: String?
    public var name: String
    /// What kind of work it was, such as `LLM` or `TOOL`; empty if nobody said.
    public var kind: String
    /// Nanoseconds since 1970.
    public var start: Int64
    /// Nanoseconds since 1970; `nil` while it runs.
    public var end: Int64?
    /// `ok` or `error` where the span says so, otherwise `unspecified`.
    public var state: TraceState
    /// The whole span as an object of OpenTelemetry's JSON: the text that clients are given.
    public var content: String

    public init(
        traceID: TraceID, id: String, parentID: String? = nil, name: String, kind: String = "", start: Int64,
        end: Int64? = nil, state: TraceState = .unspecified, content: String
    ) {
        self.traceID = traceID
        self.id = id
        self.parentID = parentID
        self.name = name
        self.kind = kind
        self.start = start
        self.end = end
        self.state = state
        self.content = content
    }
}

/// How much is kept of one trace.
public enum TraceLimits {
    public static let spansPerTrace = 20_000
    /// Bytes of one span's content.
    public static let spanLength = 4 << 20
    /// Bytes of the contents of all spans of a trace.
    public static let spansLength = 128 << 20
    public static let assessmentsPerTrace = 1000
    /// Different values that one measurement of traces may meet.
    public static let metricRows = 500_000
    /// Bytes of one assessment's content.
    public static let assessmentLength = 1 << 20

    /// For stores, once spans have been written and before they are committed.
    /// - Throws: `resourceExhausted` naming the limit.
    public static func check(_ id: TraceID, spans: Int64, bytes: Int64) throws(AerieError) {
        guard spans <= spansPerTrace else {
            throw AerieError(
                .resourceExhausted,
                "The trace \(id) has \(spans) spans; at most \(spansPerTrace) are kept of one trace",
                reason: "trace.spans")
        }
        guard bytes <= spansLength else {
            throw AerieError(
                .resourceExhausted,
                "The spans of the trace \(id) take \(bytes) bytes; at most \(spansLength) are kept of one trace",
                reason: "trace.bytes")
        }
    }
}

/// Spans of one trace that came together, and what they say of it.
public struct SpanBatch: Sendable {
    /// The trace as these spans alone tell it. Tags and metadata count where the trace has none of the name.
    public var trace: Trace
    public var spans: [Span]

    /// Says that a client has told all about a trace, so that its spans have nothing to add.
    public static let finalized = "mlflow.trace.infoFinalized"
    public static let spansLocation = "mlflow.trace.spansLocation"
    /// The value of `spansLocation` for spans that are kept with their trace and not as a file.
    public static let inStore = "TRACKING_STORE"

    public init(trace: Trace, spans: [Span]) {
        self.trace = trace
        self.spans = spans
    }

    /// The trace once these spans have been added to what is known of it.
    public func merged(into known: Trace?) -> Trace {
        guard var merged = known else { return trace }
        if !merged.metadata.contains(where: { $0.key == Self.finalized }) {
            let ends = [merged, trace].compactMap { trace in
                trace.duration.map { trace.requestTime.milliseconds + $0 }
            }
            merged.requestTime = min(merged.requestTime, trace.requestTime)
            merged.duration = ends.max().map { $0 - merged.requestTime.milliseconds }
        }
        if merged.state == .inProgress || merged.state == .unspecified, trace.state != .inProgress {
            merged.state = trace.state
        }
        merged.requestPreview = merged.requestPreview ?? trace.requestPreview
        merged.responsePreview = merged.responsePreview ?? trace.responsePreview
        merged.metadata = Self.added(trace.metadata, to: merged.metadata)
        merged.tags = Self.added(trace.tags, to: merged.tags.filter { $0.key != Self.spansLocation })
        return merged
    }

    private static func added(_ tags: [Tag], to known: [Tag]) -> [Tag] {
        let keys = Set(known.map(\.key))
        return known + tags.filter { !keys.contains($0.key) }
    }
}
