import AerieCore
import AerieJSON
import Experiments
import Testing

/// Traces found by their spans and by what is thought of them, counted and measured.
extension TrackingConformance {
    static let traceSearches: [TrackingConformance] = [
        TrackingConformance("conditions on spans are met by one span") { stores in
            try await fill(stores)
            #expect(try await found(stores, "span.name = 'ask'") == ["tr-1", "tr-2"])
            #expect(try await found(stores, "span.name = 'ask' AND span.type = 'LLM'") == [])
            #expect(try await found(stores, "span.name = 'call' AND span.type = 'LLM'") == ["tr-1"])
            #expect(try await found(stores, "span.status = 'UNSET'") == ["tr-2"])
            #expect(try await found(stores, "span.type IN ('LLM', 'TOOL')") == ["tr-1", "tr-2"])
            #expect(try await found(stores, "trace.text ILIKE '%CLAUDE%'") == ["tr-1"])
            #expect(try await found(stores, "trace.text LIKE '%CLAUDE%'") == [])
        },
        TrackingConformance("a span's attributes are found by their value, of every kind") { stores in
            try await fill(stores)
            #expect(try await found(stores, "span.attributes.model = 'claude'") == ["tr-1"])
            #expect(try await found(stores, "span.attributes.model LIKE '%4'") == ["tr-2"])
            #expect(try await found(stores, "span.attributes.k = '3'") == ["tr-1"])
            #expect(try await found(stores, "span.attributes.hot = 'true'") == ["tr-2"])
            #expect(try await found(stores, "span.attributes.`a.b c` != 'x'") == ["tr-2"])
            #expect(try await found(stores, "span.attributes.none != 'x'") == [])
        },
        TrackingConformance("a regular expression finds the text that holds a match of it, and is the caller's if it is none") {
            stores in
            try await fill(stores)
            #expect(try await found(stores, "span.name RLIKE '^(ask|none)$'") == ["tr-1", "tr-2"])
            #expect(try await found(stores, "span.name RLIKE 'al+'") == ["tr-1"])
            #expect(try await found(stores, "span.name RLIKE '^ASK$'") == [])
            #expect(try await found(stores, "span.attributes.model RLIKE 'c.au' AND span.name = 'call'") == ["tr-1"])
            #expect(try await found(stores, "trace_id RLIKE '\\d$' AND span.name RLIKE 'ask'") == ["tr-1", "tr-2"])
            let wrong = await #expect(throws: AerieError.self) { try await found(stores, "span.name RLIKE '('") }
            #expect(wrong?.code == .invalidArgument)
        },
        TrackingConformance("a content that is no JSON has no attributes and harms no search") { stores in
            try await fill(stores)
            let odd = Span(traceID: "tr-9", id: "a", name: "odd", start: 1_000_000, content: "{\"attributes\": model")
            try await stores.traces.record([SpanBatch(trace: trace("tr-9", at: 9), spans: [odd])])
            #expect(try await found(stores, "span.attributes.model = 'claude'") == ["tr-1"])
        },
        TrackingConformance("assessments are found by text, number and whether they are there, while they are valid") {
            stores in
            try await fill(stores)
            try await assess(stores, "a-1", of: "tr-1", "score", ["feedback": ["value": 0.9]])
            try await assess(stores, "a-2", of: "tr-2", "score", ["feedback": ["value": "high"]])
            try await assess(stores, "a-3", of: "tr-2", "answer", ["expectation": ["value": "yes"]])
            try await assess(stores, "a-4", of: "tr-2", "good", ["feedback": ["value": true]])
            #expect(try await found(stores, "feedback.score > 0.5") == ["tr-1"])
            #expect(try await found(stores, "feedback.score > 1") == [])
            #expect(try await found(stores, "feedback.score = 'high'") == ["tr-2"])
            #expect(try await found(stores, "feedback.score != 'high'") == ["tr-1"])
            #expect(try await found(stores, "feedback.good = 'true'") == ["tr-2"])
            #expect(try await found(stores, "feedback.answer = 'yes'") == [])
            #expect(try await found(stores, "expectation.answer LIKE '%es%'") == ["tr-2"])
            #expect(try await found(stores, "feedback.score IS NULL") == ["tr-3"])
            try await assess(stores, "a-5", of: "tr-1", "score", ["feedback": ["value": 0.1]], overrides: "a-1")
            #expect(try await found(stores, "feedback.score > 0.5") == [])
            #expect(try await found(stores, "feedback.score < 0.5") == ["tr-1"])
            _ = try await stores.traces.rewrite("a-5", of: "tr-1") { old throws(AerieError) in
                var new = old
                new.content = ["feedback": ["value": 0.7]]
                return new
            }
            #expect(try await found(stores, "feedback.score > 0.5") == ["tr-1"])
        },
        TrackingConformance("an assessment of a session counts for its traces, and those of no other experiment") {
            stores in
            try await fill(stores)
            let other = try await experiment(stores, "other").id
            try await stores.traces.put(trace("tr-8", at: 8, in: other, session: "s"))
            let said: JSONObject = ["feedback": ["value": "yes"], "metadata": ["mlflow.trace.session": "s"]]
            try await assess(stores, "a-1", of: "tr-1", "kind", said)
            try await assess(stores, "a-2", of: "tr-1", "own", ["feedback": ["value": "yes"]])
            #expect(try await found(stores, "feedback.kind = 'yes'") == ["tr-1", "tr-2"])
            #expect(try await found(stores, "feedback.kind IS NULL") == ["tr-3"])
            #expect(try await found(stores, "feedback.own = 'yes'") == ["tr-1"])
            #expect(try await found(stores, "feedback.kind = 'yes'", in: other) == [])
        },
        TrackingConformance("filters are counted apart and together") { stores in
            try await fill(stores)
            let llm = try SearchParser.conditions("span.type = 'LLM'", subject: .traces)
            let tool = try SearchParser.conditions("span.type = 'TOOL'", subject: .traces)
            let ask = try SearchParser.conditions("name = 'ask'", subject: .traces)
            #expect(
                try await stores.traces.counts(of: [[], [llm], [ask], [llm, tool], [ask, llm]], in: ["0"])
                    == [3, 1, 2, 0, 1])
        },
        TrackingConformance("what groups of traces hold is counted by value") { stores in
            try await fill(stores)
            func rows(
                _ view: TraceMeasure.View, _ name: String, by dimensions: [String] = [],
                _ filters: [TraceMetricFilter] = [], interval: Int64? = nil
            ) async throws -> [String] {
                let measure = try #require(TraceMeasure.all.first { $0.view == view && $0.name == name })
                let query = TraceMetricQuery(
                    experimentIDs: ["0"], measure: measure, aggregations: [], dimensions: dimensions, filters: filters,
                    interval: interval, from: at(0), until: at(100_000))
                return try await stores.traces.measure(query).map { row in
                    ([row.time.map { "\($0)" }] + row.dimensions + ["\(row.value) x\(row.count)"])
                        .compactMap { $0 }.joined(separator: " ")
                }.sorted()
            }
            #expect(try await rows(.traces, "trace_count", by: ["trace_name"]) == ["ask none x2", "tell none x1"])
            #expect(try await rows(.traces, "trace_count", interval: 2000) == ["0 none x1", "2000 none x2"])
            #expect(try await rows(.traces, "session_count") == ["text(\"s\") x2"])
            #expect(try await rows(.traces, "latency") == ["integer(5) x3"])
            #expect(try await rows(.spans, "span_count", by: ["span_type"]).count == 4)
            #expect(try await rows(.spans, "span_count", [.init(.spanName, "ask")]) == ["none x2"])
            #expect(try await rows(.spans, "span_count", [.init(.traceTag("mlflow.traceName"), "tell")]) == ["none x1"])
            #expect(try await rows(.spans, "total_cost", by: ["span_model_name"]) == ["claude number(0.5) x1"])
            try await assess(stores, "a-1", of: "tr-1", "score", ["feedback": ["value": true]])
            try await assess(stores, "a-2", of: "tr-2", "score", ["feedback": ["value": "yes"]])
            #expect(try await rows(.assessments, "assessment_value", by: ["assessment_name"]) == ["score number(1.0) x2"])
        },
    ]

    /// Three traces: two called ask of the session s, one of which calls a model, and one called tell.
    private static func fill(_ stores: TrackingStores) async throws {
        try await stores.traces.record([
            SpanBatch(
                trace: trace("tr-1", at: 1, session: "s"),
                spans: [
                    span("tr-1", "a", "ask", "CHAIN", .ok, [("k", ["int_value": "3"])]),
                    span(
                        "tr-1", "b", "call", "LLM", .ok,
                        [
                            ("model", ["string_value": "claude"]), ("mlflow.llm.model", ["string_value": "claude"]),
                            (
                                "mlflow.llm.cost",
                                ["kvlist_value": ["values": [["key": "total_cost", "value": ["double_value": 0.5]]]]]
                            ),
                        ]),
                ]),
            SpanBatch(
                trace: trace("tr-2", at: 2, session: "s"),
                spans: [
                    span("tr-2", "a", "ask", "CHAIN", .error, [("hot", ["bool_value": true])]),
                    span(
                        "tr-2", "b", "find", "TOOL", .unspecified,
                        [("model", ["string_value": "gpt-4"]), ("a.b c", ["double_value": 1.5])]),
                ]),
            SpanBatch(
                trace: trace("tr-3", at: 3, name: "tell"), spans: [span("tr-3", "a", "tell", "AGENT", .ok, [])]),
        ])
    }

    private static func trace(
        _ id: TraceID, at second: Int64, in experiment: ExperimentID = "0", name: String = "ask", session: String? = nil
    ) -> Trace {
        Trace(
            id: id, experimentID: experiment, requestTime: at(second * 1000), duration: 5, state: .ok,
            metadata: session.map { [Tag(key: "mlflow.trace.session", value: $0)] } ?? [],
            tags: [Tag(key: "mlflow.traceName", value: name)])
    }

    private static func span(
        _ trace: TraceID, _ id: String, _ name: String, _ kind: String, _ state: TraceState,
        _ attributes: [(String, JSONValue)]
    ) -> Span {
        let content: JSONValue = [
            "name": .string(name),
            "attributes": .array(attributes.map { ["key": .string($0.0), "value": $0.1] }),
        ]
        return Span(
            traceID: trace, id: id, parentID: id == "a" ? nil : "a", name: name, kind: kind, start: 1_000_000,
            end: 6_000_000, state: state, content: content.text())
    }

    private static func assess(
        _ stores: TrackingStores, _ id: AssessmentID, of trace: TraceID, _ name: String, _ content: JSONObject,
        overrides: AssessmentID? = nil
    ) async throws {
        try await stores.traces.add(
            Assessment(
                id: id, traceID: trace, name: name, createTime: at(1), lastUpdateTime: at(1), overrides: overrides,
                content: content))
    }

    private static func found(
        _ stores: TrackingStores, _ filter: String, in experiment: ExperimentID = "0"
    ) async throws -> [String] {
        let conditions = try SearchParser.conditions(filter, subject: .traces)
        let query = SearchQuery(experimentIDs: [experiment], conditions: conditions)
        return try await stores.traces.search(query).elements.map(\.id.text).sorted()
    }
}
