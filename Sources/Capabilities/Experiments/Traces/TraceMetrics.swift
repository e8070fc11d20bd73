public import AerieCore

/// What can be measured of traces, under the names that MLflow's clients use.
public struct TraceMeasure: Hashable, Sendable {
    /// What is counted: whole traces, their spans, or what people and programs think of them.
    public enum View: String, Sendable, CaseIterable {
        case traces = "TRACES"
        case spans = "SPANS"
        case assessments = "ASSESSMENTS"
    }

    /// Where a store finds the value that a row adds.
    public enum Source: Hashable, Sendable {
        /// The row itself counts as one.
        case row
        /// The sessions that traces name, each counted once.
        case session
        /// Milliseconds from beginning to end.
        case latency
        /// A member of the object that a trace's metadata holds as JSON text.
        case metadata(key: String, member: String)
        /// US dollars that a span says it cost.
        case cost(String)
        /// An assessment's number: of true and yes 1, of false and no 0.
        case number
    }

    public let view: View
    public let name: String
    public let source: Source
    public let kinds: Set<TraceAggregation.Kind>
    public let dimensions: Set<String>

    private static let summary: Set<TraceAggregation.Kind> = [.average, .minimum, .maximum, .percentile]

    private static func count(
        _ view: View, _ name: String, _ source: Source = .row, by dimensions: Set<String> = []
    ) -> TraceMeasure {
        TraceMeasure(view: view, name: name, source: source, kinds: [.count], dimensions: dimensions)
    }

    private static func total(
        _ view: View, _ name: String, _ source: Source, by dimensions: Set<String>
    ) -> TraceMeasure {
        TraceMeasure(view: view, name: name, source: source, kinds: summary.union([.sum]), dimensions: dimensions)
    }

    private static let tokens = [
        "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    ].map { total(.traces, $0, .metadata(key: "mlflow.trace.tokenUsage", member: $0), by: ["trace_name"]) }

    private static let costs = ["input_cost", "output_cost", "total_cost"].map {
        total(.spans, $0, .cost($0), by: ["span_model_name", "span_model_provider"])
    }

    public static let all: [TraceMeasure] =
        [
            count(.traces, "trace_count", by: ["trace_name", "trace_status"]),
            count(.traces, "session_count", .session),
            TraceMeasure(
                view: .traces, name: "latency", source: .latency, kinds: summary, dimensions: ["trace_name"]),
            count(
                .spans, "span_count",
                by: ["span_name", "span_type", "span_status", "span_model_name", "span_model_provider"]),
            TraceMeasure(
                view: .spans, name: "latency", source: .latency, kinds: summary,
                dimensions: ["span_name", "span_status"]),
            count(.assessments, "assessment_count", by: ["assessment_name", "assessment_value"]),
            TraceMeasure(
                view: .assessments, name: "assessment_value", source: .number, kinds: summary,
                dimensions: ["assessment_name"]),
        ] + tokens + costs
}

/// How the values of one group become one number.
public struct TraceAggregation: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case count = "COUNT"
        case sum = "SUM"
        case average = "AVG"
        case percentile = "PERCENTILE"
        case minimum = "MIN"
        case maximum = "MAX"
    }

    public var kind: Kind
    /// 0 to 100, for percentiles.
    public var percentile: Double?

    public init(_ kind: Kind, percentile: Double? = nil) {
        self.kind = kind
        self.percentile = percentile
    }

    /// What answers call it: `AVG`, `P95.0`.
    public var label: String { percentile.map { "P\($0)" } ?? kind.rawValue }
}

/// A condition that what is measured meets: a part of it equals a text.
public struct TraceMetricFilter: Hashable, Sendable {
    public enum Part: Hashable, Sendable {
        case traceStatus, spanName, spanStatus, spanType, assessmentName, assessmentType
        case traceTag(String)
        case traceMetadata(String)
    }

    public var part: Part
    public var value: String
    public init(_ part: Part, _ value: String) {
        self.part = part
        self.value = value
    }
}

/// What to measure of which traces.
public struct TraceMetricQuery: Sendable {
    public var experimentIDs: [ExperimentID]
    public var measure: TraceMeasure
    public var aggregations: [TraceAggregation]
    public var dimensions: [String]
    public var filters: [TraceMetricFilter]
    /// Groups by time too, in shares of so many milliseconds since 1970.
    public var interval: Int64?
    /// The first and the last moment that count; a span's cost is of the moment when it began, all else of its trace's.
    public var from: Timestamp?
    public var until: Timestamp?
    public var limit: Int

    public init(
        experimentIDs: [ExperimentID], measure: TraceMeasure, aggregations: [TraceAggregation],
        dimensions: [String] = [], filters: [TraceMetricFilter] = [], interval: Int64? = nil, from: Timestamp? = nil,
        until: Timestamp? = nil, limit: Int = 1000
    ) {
        self.experimentIDs = experimentIDs
        self.measure = measure
        self.aggregations = aggregations
        self.dimensions = dimensions
        self.filters = filters
        self.interval = interval
        self.from = from
        self.until = until
        self.limit = limit
    }
}

/// Equal values of one group, as a store counts them.
public struct TraceMetricRow: Sendable {
    /// How many there are.
    public var count: Int64
    /// The beginning of the share of time, in milliseconds since 1970; `nil` without an interval.
    public var time: Int64?
    /// In the order of the query's.
    public var dimensions: [String]
    /// The value: a number, or the text that holds it.
    public var value: PageValue

    public init(count: Int64, time: Int64?, dimensions: [String], value: PageValue) {
        self.count = count
        self.time = time
        self.dimensions = dimensions
        self.value = value
    }
}

/// One group of what was measured.
public struct TraceMetricPoint: Hashable, Sendable {
    public var time: Timestamp?
    public var dimensions: [String]
    /// One for each aggregation.
    public var values: [Double]
}

/// Counts and measures traces where they are kept. Each call sees one consistent state.
public protocol TraceMeasureStore: Sendable {
    /// How many traces of the experiments meet each of the filters. A filter is a list of parts, all of which hold;
    /// the conditions on spans within one part are met by one span.
    func counts(
        of filters: [[[SearchCondition]]], in experimentIDs: [ExperimentID]
    ) async throws(AerieError) -> [Int]
    /// The values that a query is about, equal ones of a group together, in no order.
    /// - Throws: `resourceExhausted` past `TraceLimits.metricRows`.
    func measure(_ query: TraceMetricQuery) async throws(AerieError) -> [TraceMetricRow]
}
