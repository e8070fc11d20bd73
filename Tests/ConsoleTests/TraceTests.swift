import AerieCore
import Experiments
import Testing

@testable import Console

@Suite struct TraceTests {
    private func spans(_ text: String) -> [TraceSpan]? { TraceSpan.parse(Array(text.utf8)) }

    @Test("spans are read in both of the shapes that clients write")
    func shapes() throws {
        let found = try #require(
            spans(
                """
                {"spans":[{"span_id":"a","parent_span_id":null,"name":"outer","start_time_unix_nano":10,
                "end_time_unix_nano":90,"status":{"code":"STATUS_CODE_ERROR"},
                "attributes":{"mlflow.spanType":"\\"CHAIN\\"","mlflow.spanInputs":"{\\"x\\": 1}"}},
                {"context":{"span_id":"b"},"parent_id":"a","name":"inner","start_time":20,"end_time":30,"status_code":"OK"},
                {"name":"without an identifier"}]}
                """))
        #expect(found.map(\.id) == ["a", "b"] && found.map(\.isError) == [true, false])
        #expect(found[0].kind == "CHAIN" && found[0].inputs?.contains("\"x\": 1") == true)
        #expect(found[1].parent == "a" && found[1].end == 30)
        #expect(spans("[1]") == nil && spans("{") == nil)
    }

    @Test("each span follows its caller, and a ring of callers ends")
    func tree() throws {
        let found = try #require(
            spans(
                """
                {"spans":[{"span_id":"late","parent_span_id":"top","name":"late","start_time_unix_nano":5},
                {"span_id":"top","name":"top","start_time_unix_nano":1},
                {"span_id":"early","parent_span_id":"top","name":"early","start_time_unix_nano":2},
                {"span_id":"deep","parent_span_id":"early","name":"deep","start_time_unix_nano":3},
                {"span_id":"lost","parent_span_id":"nowhere","name":"lost","start_time_unix_nano":9},
                {"span_id":"r1","parent_span_id":"r2","name":"r1"},{"span_id":"r2","parent_span_id":"r1","name":"r2"}]}
                """))
        let tree = TraceSpan.tree(found)
        #expect(tree.map(\.span.id) == ["top", "early", "deep", "late", "lost", "r1", "r2"])
        #expect(tree.map(\.depth) == [0, 1, 2, 1, 0, 0, 0])
    }

    @Test("what was traced never becomes markup")
    func hostile() throws {
        let bad = "<script>x</script>"
        let found = try #require(
            spans(
                """
                {"spans":[{"span_id":"a","name":"\(bad)","attributes":{"mlflow.spanInputs":"\(bad)","mlflow.spanType":"\(bad)"}}]}
                """))
        let time = Timestamp(milliseconds: 0)
        let trace = Trace(
            id: TraceID(bad), experimentID: ExperimentID("1"), requestTime: time, requestPreview: bad,
            responsePreview: bad, tags: [Tag(key: bad, value: bad)])
        let experiment = Experiment(
            id: ExperimentID("1"), name: bad, artifactLocation: "", creationTime: time, lastUpdateTime: time)
        let one = TracePages.trace(trace, experiment: experiment, spans: found).html(version: "1")
        let list = TracePages.list(
            of: experiment, [trace], filter: bad, next: bad, problem: bad, now: time
        ).html(version: "1")
        for page in [one, list] { #expect(page.contains("&lt;script&gt;x") && !page.contains(bad)) }
    }
}
