import AerieCore
import AerieJSON
import Experiments
import Testing

/// The promises of the port that keeps traces.
extension TrackingConformance {
    static let traces: [TrackingConformance] = [
        TrackingConformance("spans make their trace and are kept over those of the same identifier") { stores in
            let first = batch("tr-1", spans: [span("b", parent: "a", start: 2_000_000, end: 3_000_000)], .inProgress)
            try await stores.traces.record([first, batch("tr-2", spans: [span("a", of: "tr-2")])])
            #expect(try await stores.traces.get(["tr-1"]).first?.state == .inProgress)
            let root = span("a", start: 1_000_000, end: 9_000_000)
            try await stores.traces.record([batch("tr-1", spans: [root, span("b", parent: "a", start: 2_000_000)])])
            let trace = try #require(try await stores.traces.get(["tr-1"]).first)
            #expect(trace.state == .ok && trace.requestTime == at(1) && trace.duration == 8)
            #expect(trace.tags == [Tag(key: "t", value: "tr-1")])
            let spans = try await stores.traces.spans(of: ["tr-1", "tr-2", "tr-none"])
            #expect(spans["tr-1"]?.map(\.id) == ["a", "b"] && spans["tr-1"]?.first == root)
            #expect(spans["tr-1"]?.last?.end == nil && spans.count == 2)
        },
        TrackingConformance("what a client finalized is not changed by spans that come later") { stores in
            var trace = batch("tr-1", spans: [span("a", start: 5_000_000, end: 6_000_000)]).trace
            trace.metadata = [Tag(key: SpanBatch.finalized, value: "true")]
            trace.requestPreview = "q"
            try await stores.traces.put(trace)
            try await stores.traces.record([batch("tr-1", spans: [span("a", start: 1_000_000, end: 9_000_000)])])
            let kept = try #require(try await stores.traces.get(["tr-1"]).first)
            #expect(kept.requestTime == at(5) && kept.duration == 1 && kept.requestPreview == "q")
        },
        TrackingConformance("spans past a limit are not kept, nor those that came with them") { stores in
            try await stores.traces.record([batch("tr-1", spans: [span("a")])])
            let many = (0...TraceLimits.spansPerTrace).map { span("s\($0)", parent: "a") }
            await expect(.resourceExhausted) { () throws(AerieError) in
                try await stores.traces.record([
                    batch("tr-0", spans: [span("z", of: "tr-0")]), batch("tr-1", spans: many),
                ])
            }
            #expect(try await stores.traces.spans(of: ["tr-0", "tr-1"])["tr-1"]?.count == 1)
            #expect(try await stores.traces.get(["tr-0"]).isEmpty)
            await expect(.notFound) { () throws(AerieError) in
                try await stores.traces.record([batch("tr-9", in: "999", spans: [span("a", of: "tr-9")])])
            }
        },
        TrackingConformance("a trace is linked to several runs and found by each, and by the one that made it") {
            stores in
            try await stores.traces.record([
                batch("tr-1", spans: [span("a")]), batch("tr-2", spans: [span("a", of: "tr-2")]),
            ])
            try await stores.traces.link(["tr-1", "tr-2"], .run, to: ["r1"])
            try await stores.traces.link(["tr-1"], .run, to: ["r2", "r1"])
            try await stores.traces.link(["tr-1"], .prompt, to: ["p/1"])
            #expect(try await stores.traces.links(of: "tr-1", .run) == ["r1", "r2"])
            await expect(.notFound) { () throws(AerieError) in
                try await stores.traces.link(["tr-2", "tr-none"], .run, to: ["r3"])
            }
            #expect(try await stores.traces.links(of: "tr-2", .run) == ["r1"])
            var made = batch("tr-3", spans: [])
            made.trace.metadata = [Tag(key: "mlflow.sourceRun", value: "r2")]
            try await stores.traces.put(made.trace)
            func found(_ comparison: SearchCondition.Operator, _ value: SearchCondition.Value) async throws -> [String]
            {
                let condition = SearchCondition(SearchField(.attribute, "run_id"), comparison, value)
                let query = SearchQuery(experimentIDs: ["0"], conditions: [condition])
                return try await stores.traces.search(query).elements.map(\.id.text).sorted()
            }
            #expect(try await found(.equal, .text("r1")) == ["tr-1", "tr-2"])
            #expect(try await found(.equal, .text("r2")) == ["tr-1", "tr-3"])
            #expect(try await found(.in, .list(["r2", "p/1"])) == ["tr-1", "tr-3"])
            #expect(try await found(.notEqual, .text("r2")) == ["tr-2"])
        },
        TrackingConformance("assessments change, override and come back, and go with their trace") { stores in
            try await stores.traces.record([batch("tr-1", spans: [span("a")])])
            @Sendable func assessment(_ id: AssessmentID, overrides: AssessmentID? = nil) -> Assessment {
                Assessment(
                    id: id, traceID: "tr-1", name: "good", createTime: at(1), lastUpdateTime: at(1),
                    overrides: overrides, content: ["feedback": ["value": true], "rationale": "ü"])
            }
            try await stores.traces.add(assessment("a-1"))
            try await stores.traces.add(assessment("a-2", overrides: "a-1"))
            func kept() async throws -> [Assessment] { try await stores.traces.get(["tr-1"]).first?.assessments ?? [] }
            #expect(try await kept().map(\.isValid) == [false, true])
            #expect(try await kept().first?.content == assessment("a-1").content)
            let changed = try await stores.traces.rewrite("a-2", of: "tr-1") { old throws(AerieError) in
                var new = old
                new.name = "better"
                return new
            }
            #expect(changed?.name == "better")
            #expect(try await stores.traces.rewrite("a-2", of: "tr-1") { _ throws(AerieError) in nil } == nil)
            #expect(try await kept() == [assessment("a-1")])
            await expect(.notFound) { () throws(AerieError) in
                try await stores.traces.add(assessment("a-3", overrides: "a-none"))
            }
            await expect(.notFound) { () throws(AerieError) in
                _ = try await stores.traces.rewrite("a-none", of: "tr-1") { old throws(AerieError) in old }
            }
            _ = try await stores.traces.delete(TraceSelection(experimentID: "0", ids: ["tr-1"]))
            try await stores.traces.record([batch("tr-1", spans: [])])
            #expect(try await kept().isEmpty)
            #expect(try await stores.traces.spans(of: ["tr-1"]).isEmpty)
        },
    ]

    private static func expect(
        _ code: AerieError.Code, _ body: @Sendable () async throws(AerieError) -> Void
    ) async {
        do throws(AerieError) {
            try await body()
            Issue.record("nothing was thrown")
        } catch { #expect(error.code == code, "\(error)") }
    }

    private static func span(
        _ id: String, of trace: TraceID = "tr-1", parent: String? = nil, start: Int64 = 1_000_000, end: Int64? = nil
    ) -> Span {
        Span(
            traceID: trace, id: id, parentID: parent, name: "n \(id)", kind: "LLM", start: start, end: end, state: .ok,
            content: "{\"name\":\"\(id)\"}")
    }

    private static func batch(
        _ id: TraceID, in experiment: ExperimentID = "0", spans: [Span], _ state: TraceState = .ok
    ) -> SpanBatch {
        let start = spans.map(\.start).min() ?? 0
        let end = spans.compactMap(\.end).max()
        return SpanBatch(
            trace: Trace(
                id: id, experimentID: experiment, requestTime: at(start / 1_000_000),
                duration: end.map { ($0 - start) / 1_000_000 }, state: state, tags: [Tag(key: "t", value: id.text)]),
            spans: spans)
    }
}
