import AerieCore
import Experiments
import Testing

@testable import Console

@Suite struct RunsTableTests {
    private func query(_ values: [String: [String]]) -> RunsQuery { RunsQuery { values[$0] ?? [] } }

    @Test("a view is kept by its address, and what makes no sense in it is left out")
    func address() {
        let shown = query([
            "q": ["metrics.auc > 0.9"], "sort": ["metrics.a b"], "dir": ["up"],
            "col": ["params.x", "nothing", "tags."],
            "size": ["7"], "page": ["abc.def"],
        ])
        #expect(shown.columns == ["params.x"] && shown.size == 50 && shown.token == "def")
        #expect(shown.order == ["metrics.`a b` ASC"])
        #expect(
            shown.address
                == "?q=metrics.auc%20%3E%200.9&sort=metrics.a%20b&dir=up&col=params.x&page=abc.def")
    }

    @Test("pages lead on and back, and another order begins at the first page")
    func pages() {
        let first = query([:])
        let third = first.next("a").next("b")
        #expect(third.token == "b" && third.previous?.token == "a" && third.previous?.previous?.token == nil)
        #expect(first.previous == nil)
        let sorted = third.sorted(by: "metrics.auc", numeric: true)
        #expect(sorted.trail.isEmpty && sorted.order == ["metrics.`auc` DESC"])
        #expect(sorted.sorted(by: "metrics.auc", numeric: true).order == ["metrics.`auc` ASC"])
    }

    @Test("the best value is the least of a loss and the greatest of all else, and none where all are the same")
    func best() {
        #expect(RunsTable.best(of: "val/loss", [3, 1, .nan, 2]) == 1)
        #expect(RunsTable.best(of: "auc", [0.7, .infinity, 0.9]) == 0.9)
        #expect(RunsTable.best(of: "auc", [0.7, 0.7]) == nil)
    }

    @Test("names, keys, values, filters and errors of a user never become markup")
    func hostile() {
        let bad = "<script>x</script>\"'"
        let time = Timestamp(milliseconds: 0)
        let run = Run(
            info: RunInfo(
                id: RunID("a"), experimentID: ExperimentID("1"), name: bad, userID: bad, startTime: time,
                artifactURI: bad),
            metrics: [Metric(key: bad, value: 1, timestamp: time)], params: [Param(key: bad, value: bad)],
            tags: [Tag(key: bad, value: bad)])
        let experiment = Experiment(
            id: ExperimentID("1"), name: bad, artifactLocation: bad, creationTime: time, lastUpdateTime: time)
        let page = RunsTable(
            experiment: experiment, query: query(["q": [bad], "col": ["tags." + bad, "metrics." + bad]]), runs: [run],
            next: nil, problem: bad, now: time)
        let text = page.page().html(version: "1")
        #expect(!text.contains("<script>x") && text.contains("&lt;script&gt;x"))
    }

    @Test("a smoothed line keeps a constant, follows slowly, and leaves out what is no number")
    func smoothing() {
        let options = ChartOptions { ["smooth": ["0.5"], "scale": ["log"]][$0] ?? [] }
        #expect(options.smoothing == 0.5 && options.isLog)
        #expect(
            options.smoothed([(0, 2), (1, 2), (2, .nan), (3, 2)]).filter { $0.y.isFinite }.allSatisfy { $0.y == 2 })
        let step = options.smoothed([(0, 0), (1, 1)])
        #expect(step[1].y > 0.5 && step[1].y < 1)
        let points = options.points([
            Metric(key: "m", value: 100, timestamp: Timestamp(milliseconds: 0)),
            Metric(key: "m", value: -1, timestamp: Timestamp(milliseconds: 0)),
        ])
        #expect(points[0].y == 2 && points[1].y.isNaN)
    }
}
