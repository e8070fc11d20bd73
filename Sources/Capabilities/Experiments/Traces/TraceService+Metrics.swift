public import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How two conditions on traces go together.
public struct TraceCorrelation: Hashable, Sendable {
    /// Traces in all, with the first, with the second, and with both.
    public var total: Int
    public var first: Int
    public var second: Int
    public var both: Int

    public init(total: Int, first: Int, second: Int, both: Int) {
        self.total = total
        self.first = first
        self.second = second
        self.both = both
    }

    /// Normalized pointwise mutual information, from -1 (never together) over 0 (independent) to 1 (always together);
    /// NaN where one of the conditions never holds.
    ///
    /// Bouma, "Normalized (pointwise) mutual information in collocation extraction", 2009.
    public var npmi: Double { first > 0 && second > 0 && both == 0 ? -1 : npmi(adding: 0) }

    /// The same with half a trace added to each of the four cases (Jeffreys' prior), which calms small numbers.
    public var smoothedNPMI: Double { npmi(adding: 0.5) }

    private func npmi(adding prior: Double) -> Double {
        let (firstOnly, secondOnly) = (first - both, second - both)
        let neither = total - first - second + both
        guard first > 0, second > 0, min(firstOnly, secondOnly, neither, both) >= 0 else { return .nan }
        if firstOnly == 0, secondOnly == 0, neither == 0 { return 1 }
        let all = log(Double(total) + 4 * prior)
        let joint = log(Double(both) + prior)
        let apart = log(Double(first) + 2 * prior) + log(Double(second) + 2 * prior)
        return min(1, max(-1, (joint + all - apart) / (all - joint)))
    }
}

extension TraceService {
    static let metricMaximum = 10_000

    /// - Parameter base: what all traces meet that are counted; everything if it is `nil`.
    public func correlation(
        in experimentIDs: [ExperimentID], _ first: String, _ second: String, base: String? = nil
    ) async throws(AerieError) -> TraceCorrelation {
        guard !first.isEmpty else { throw .invalid("filter_string1", "is missing") }
        guard !second.isEmpty else { throw .invalid("filter_string2", "is missing") }
        let base = try Self.conditions(base)
        let one = base + (try Self.conditions(first))
        let two = base + (try Self.conditions(second))
        guard !experimentIDs.isEmpty else { return TraceCorrelation(total: 0, first: 0, second: 0, both: 0) }
        let counts = try await traces.counts(of: [[base], [one], [two], [base, one, two]], in: experimentIDs)
        return TraceCorrelation(total: counts[0], first: counts[1], second: counts[2], both: counts[3])
    }

    /// Groups and sums up what `TraceMeasure.all` lists.
    /// - Throws: `invalidArgument` naming what a measure does not offer.
    public func metrics(_ query: TraceMetricQuery) async throws(AerieError) -> [TraceMetricPoint] {
        let measure = query.measure
        guard !query.aggregations.isEmpty else { throw .invalid("aggregations", "names none") }
        for aggregation in query.aggregations {
            guard measure.kinds.contains(aggregation.kind) else {
                let offered = measure.kinds.map(\.rawValue).sorted().joined(separator: ", ")
                throw .invalid(
                    "aggregations", "\(measure.name) has no \(aggregation.kind.rawValue); it has \(offered)")
            }
            guard (aggregation.kind == .percentile) == (aggregation.percentile != nil) else {
                throw .invalid("aggregations.percentile_value", "belongs to PERCENTILE, and to nothing else")
            }
            guard 0...100 ~= aggregation.percentile ?? 0 else {
                throw .invalid("aggregations.percentile_value", "must be from 0 to 100")
            }
        }
        for dimension in query.dimensions where !measure.dimensions.contains(dimension) {
            let offered = measure.dimensions.sorted().joined(separator: ", ")
            throw .invalid("dimensions", "\(measure.name) is not grouped by \"\(dimension)\"; it may be by: \(offered)")
        }
        if let interval = query.interval {
            guard interval >= 1000 else { throw .invalid("time_interval_seconds", "must be at least 1") }
            guard query.from != nil, query.until != nil else {
                throw .invalid(
                    "time_interval_seconds", "start_time_ms and end_time_ms are required if time_interval_seconds is set")
            }
        }
        try ExperimentLimits.checkLimit(query.limit, maximum: Self.metricMaximum)
        guard !query.experimentIDs.isEmpty else { return [] }
        return TraceMetricTally.points(try await traces.measure(query), query)
    }

    /// The one condition of a text such as `trace.tag.team = 'a'`.
    public static func metricFilter(_ text: String, _ view: TraceMeasure.View) throws(AerieError) -> TraceMetricFilter {
        let filter = try TraceMetricFilter(parsing: text)
        switch (filter.part, view) {
        case (.spanName, .spans), (.spanType, .spans), (.spanStatus, .spans): return filter
        case (.assessmentName, .assessments), (.assessmentType, .assessments): return filter
        case (.traceStatus, _), (.traceTag, _), (.traceMetadata, _): return filter
        default: throw .invalid("filters", "\"\(text.prefix(80))\" says nothing of \(view.rawValue)")
        }
    }

    static func conditions(_ filter: String?) throws(AerieError) -> [SearchCondition] {
        let conditions = try SearchParser.conditions(filter, subject: .traces)
        for condition in conditions where condition.field == SearchField(.attribute, "prompt") {
            guard case .text(let text) = condition.value, text.split(separator: "/").count == 2 else {
                throw .invalid("filter", "a prompt is named as 'name/version'")
            }
        }
        return conditions
    }
}

extension TraceMetricFilter {
    init(parsing text: String) throws(AerieError) {
        let tokens = try SearchLexer.tokens(text, field: "filters").map(\.token)
        guard tokens.count == 4, tokens[3] == .end, tokens[1] == .symbol("="), case .word(let name) = tokens[0] else {
            throw .invalid("filters", "\"\(text.prefix(80))\" is no condition such as trace.status = 'OK'")
        }
        switch tokens[2] {
        case .text(let text), .quoted(let text): value = text
        default: throw .invalid("filters", "\"\(text.prefix(80))\" compares with no quoted text")
        }
        switch name {
        case "trace.status": part = .traceStatus
        case "span.name": part = .spanName
        case "span.status": part = .spanStatus
        case "span.type": part = .spanType
        case "assessment.name": part = .assessmentName
        case "assessment.type": part = .assessmentType
        default:
            let words = name.split(separator: ".", maxSplits: 2).map(String.init)
            guard words.count == 3, words[0] == "trace", words[1] == "tag" || words[1] == "metadata" else {
                throw .invalid(
                    "filters",
                    "\"\(name.prefix(80))\" is not known; known are trace.status, trace.tag.<key>, trace.metadata.<key>, "
                        + "span.name, span.status, span.type, assessment.name and assessment.type")
            }
            part = words[1] == "tag" ? .traceTag(words[2]) : .traceMetadata(words[2])
        }
    }
}
