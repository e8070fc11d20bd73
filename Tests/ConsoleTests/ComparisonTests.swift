import AerieCore
import Experiments
import Testing

@testable import Console

@Suite struct ComparisonTests {
    private func run(_ id: String, depth: String, note: String) -> Run {
        let time = Timestamp(milliseconds: 0)
        return Run(
            info: RunInfo(
                id: RunID(id), experimentID: ExperimentID("1"), name: id, userID: "", startTime: time, artifactURI: ""),
            params: [Param(key: "depth", value: depth), Param(key: "rate", value: "0.1")],
            tags: [Tag(key: "note", value: note), Tag(key: "mlflow.user", value: id)])
    }

    @Test("rows that are the same everywhere are left out when only differences are asked for")
    func differences() {
        let runs = [run("a", depth: "4", note: "<b>one</b>"), run("b", depth: "6", note: "two")]
        let all = ExperimentPages.comparison(runs, histories: [], options: ChartOptions()).html(version: "1")
        #expect(all.contains(">rate</td>") && all.contains(">depth</td>") && all.contains(">note</td>"))
        #expect(!all.contains("<b>one</b>") && all.contains("&lt;b&gt;one") && !all.contains("mlflow.user"))
        let only = ExperimentPages.comparison(
            runs, histories: [], options: ChartOptions(), onlyDifferences: true
        ).html(version: "1")
        #expect(!only.contains(">rate</td>") && only.contains(">depth</td>") && only.contains(">note</td>"))
    }
}
