public import AerieCore

/// A piece of work with its beginning and its end, as OpenTelemetry knows it.
public struct Span: Sendable, Hashable {
    public enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
        case client = 3
    }

    public enum Value: Sendable, Hashable {
        case text(String)
        case integer(Int64)
        case number(Double)
        case flag(Bool)
    }

    public struct Attribute: Sendable, Hashable {
        public var key: String
        public var value: Value

        public init(_ key: String, _ value: Value) {
            self.key = key
            self.value = value
        }
    }

    public var traceHigh: UInt64
    public var traceLow: UInt64
    public var spanID: UInt64
    /// 0 for the first of a trace.
    public var parentID: UInt64
    /// `tracestate` as it came with the request.
    public var state = ""
    public var name: String
    public var kind: Kind
    /// Nanoseconds since 1970.
    public var start: UInt64
    public var end: UInt64
    public var attributes: [Attribute] = []
    /// Why it failed; `nil` where it did not.
    public var failure: String?

    public init(
        traceHigh: UInt64, traceLow: UInt64, spanID: UInt64, parentID: UInt64, name: String, kind: Kind,
        start: UInt64, end: UInt64
    ) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.spanID = spanID
        self.parentID = parentID
        self.name = name
        self.kind = kind
        self.start = start
        self.end = end
    }

    public var nanoseconds: UInt64 { end > start ? end - start : 0 }
}

/// The spans of one answered request, the whole of it first.
public struct RequestTrace: Sendable, Hashable {
    public var spans: [Span]
    /// Who answered; empty for a request that found nobody.
    public var deployment: String
    public var reason: SamplingPolicy.Reason

    public init(spans: [Span], deployment: String, reason: SamplingPolicy.Reason) {
        self.spans = spans
        self.deployment = deployment
        self.reason = reason
    }
}

/// Where spans go. Declared by RequestTracing; an adapter speaks to a collector.
public protocol SpanExporter: Sendable {
    /// Sends spans in one message.
    /// - Throws: `unavailable`, `deadlineExceeded` or `resourceExhausted` if trying again may help; `dataLoss` if the
    ///   receiver took the message and refused some of its spans; anything else for good.
    func export(_ spans: [Span]) async throws(AerieError)
    /// Ends every connection. Called once, after the last export.
    func close() async
}
