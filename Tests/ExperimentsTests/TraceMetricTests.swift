import AerieCore
import AerieJSON
import Testing

@testable import Experiments

@Suite struct TraceMetricTests {
    private static func query(
        _ source: String, _ view: TraceMeasure.View, _ aggregations: [TraceAggregation], limit: Int = 100
    ) throws -> TraceMetricQuery {
        let measure = try #require(TraceMeasure.all.first { $0.view == view && $0.name == source })
        return TraceMetricQuery(experimentIDs: ["0"], measure: measure, aggregations: aggregations, limit: limit)
    }

    private static func row(_ value: PageValue, _ count: Int64 = 1, _ dimensions: [String] = []) -> TraceMetricRow {
        TraceMetricRow(count: count, time: nil, dimensions: dimensions, value: value)
    }

    @Test("equal values count as often as they are there, in percentiles too")
    func weighs() throws {
        let kinds: [TraceAggregation] = [
            .init(.average), .init(.minimum), .init(.maximum), .init(.percentile, percentile: 50),
            .init(.percentile, percentile: 90), .init(.percentile, percentile: 0), .init(.percentile, percentile: 100),
        ]
        let rows = [Self.row(.integer(4)), Self.row(.number(1), 2), Self.row(.integer(2))]
        let point = try #require(TraceMetricTally.points(rows, try Self.query("latency", .traces, kinds)).first)
        // Of 1, 1, 2, 4.
        let expected: [Double] = [2, 1, 4, 1.5, 3.4, 1, 4]
        for (value, wanted) in zip(point.values, expected) { #expect(abs(value - wanted) < 1e-12) }
    }

    @Test("groups come in the order of their names, and no more than were asked for")
    func groups() throws {
        let rows = [Self.row(.none, 3, ["b"]), Self.row(.none, 1, ["a"]), Self.row(.none, 2, ["c"])]
        let points = TraceMetricTally.points(rows, try Self.query("trace_count", .traces, [.init(.count)], limit: 2))
        #expect(points.map(\.dimensions) == [["a"], ["b"]] && points.map(\.values) == [[1], [3]])
    }

    @Test("tokens are read from the text that holds them, and what holds none is left out")
    func tokens() throws {
        let rows = [
            Self.row(.text("{\"input_tokens\": 3, \"output_tokens\": 1}"), 2), Self.row(.text("{}")), Self.row(.text("x")),
        ]
        let points = TraceMetricTally.points(rows, try Self.query("input_tokens", .traces, [.init(.sum)]))
        #expect(points.map(\.values) == [[6]])
        #expect(TraceMetricTally.points([], try Self.query("input_tokens", .traces, [.init(.sum)])).isEmpty)
        #expect(TraceMetricTally.points([], try Self.query("trace_count", .traces, [.init(.count)])).map(\.values) == [[0]])
    }

    @Test("one condition is read, whatever its key holds", arguments: [
        ("trace.status = 'OK'", TraceMetricFilter(.traceStatus, "OK")),
        ("trace.tag.`a.b c` = \"x\"", TraceMetricFilter(.traceTag("a.b c"), "x")),
        ("trace.metadata.mlflow.trace.session = 's'", TraceMetricFilter(.traceMetadata("mlflow.trace.session"), "s")),
        ("span.type = 'LLM'", TraceMetricFilter(.spanType, "LLM")),
    ])
    func filters(_ text: String, _ expected: TraceMetricFilter) throws {
        #expect(try TraceService.metricFilter(text, .spans) == expected)
    }

    @Test("what is no such condition is refused", arguments: [
        "", "trace.status", "trace.status != 'OK'", "trace.status = 5", "trace.tag = 'a'", "trace.name = 'a'", "a.b.c = 'x'",
        "trace.status = 'OK' AND span.name = 'a'", "assessment.name = 'a'",
    ])
    func refuses(_ text: String) {
        let error = #expect(throws: AerieError.self) { try TraceService.metricFilter(text, .spans) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("conditions that always, never or by chance go together are told apart")
    func correlations() {
        #expect(TraceCorrelation(total: 4, first: 2, second: 2, both: 0).npmi == -1)
        #expect(TraceCorrelation(total: 4, first: 4, second: 4, both: 4).npmi == 1)
        #expect(abs(TraceCorrelation(total: 4, first: 2, second: 2, both: 1).npmi) < 1e-12)
        #expect(abs(TraceCorrelation(total: 4, first: 2, second: 2, both: 2).npmi - 1) < 1e-12)
        #expect(abs(TraceCorrelation(total: 4, first: 2, second: 2, both: 2).smoothedNPMI - 0.583488138377115) < 1e-12)
        #expect(TraceCorrelation(total: 4, first: 0, second: 2, both: 0).npmi.isNaN)
        #expect(TraceCorrelation(total: 0, first: 0, second: 0, both: 0).smoothedNPMI.isNaN)
    }

    @Test("an assessment's number is that of its value, of yes and of true")
    func numbers() {
        func said(_ content: JSONObject) -> Assessment {
            Assessment(
                id: "a", traceID: "t", name: "n", createTime: .init(milliseconds: 0),
                lastUpdateTime: .init(milliseconds: 0), content: content)
        }
        #expect(said(["feedback": ["value": 0.5]]).number == 0.5 && said(["feedback": ["value": 0.5]]).isNumeric)
        #expect(said(["feedback": ["value": true]]).number == 1 && !said(["feedback": ["value": true]]).isNumeric)
        #expect(said(["feedback": ["value": " No "]]).number == 0)
        #expect(said(["feedback": ["value": "maybe"]]).number == nil)
        let written: JSONObject = ["expectation": ["serialized_value": ["value": "{\"a\": 1}"]]]
        #expect(said(written).value == ["a": 1] && said(written).kind == .expectation)
        #expect(said(["feedback": ["error": ["error_code": "E"]]]).value == nil)
    }
}
