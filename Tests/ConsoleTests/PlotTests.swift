import AerieCore
import Experiments
import Foundation
import Testing

@testable import Console

@Suite struct PlotTests {
    private func run(_ index: Int, params: [(String, String)], auc: Double?) -> Run {
        Run(
            info: RunInfo(
                id: RunID("run\(index)"), experimentID: ExperimentID("1"), name: "<b>\(index)", userID: "",
                startTime: Timestamp(milliseconds: 0), artifactURI: ""),
            metrics: auc.map { [Metric(key: "auc", value: $0, timestamp: Timestamp(milliseconds: 0), step: 0)] } ?? [],
            params: params.map { Param(key: $0.0, value: $0.1) })
    }

    @Test("numbers stand by size, on a logarithmic axis by power, and what is missing or not above 0 nowhere")
    func numbers() {
        let runs = ["1", "10", "100", nil, "-5"].enumerated().map { index, value in
            run(index, params: value.map { [("rate", $0)] } ?? [], auc: nil)
        }
        let linear = PlotAxis("params.rate", of: Array(runs.prefix(4)))
        #expect(linear.isNumeric && linear.positions == [0, 9.0 / 99, 1, nil])
        let log = PlotAxis("params.rate", of: runs, wantsLog: true)
        #expect(log.isLog && log.positions == [0, 0.5, 1, nil, nil])
        #expect(log.ticks.map(\.label) == ["1", "10", "100"])
    }

    @Test("words stand as categories, numbers among them by size; the rarest of very many share a place")
    func categories() {
        let few = ["sqrt", "10", "2", "sqrt"].enumerated().map { run($0, params: [("features", $1)], auc: nil) }
        let axis = PlotAxis("params.features", of: few)
        #expect(!axis.isNumeric && axis.ticks.map(\.label) == ["2", "10", "sqrt"])
        #expect(axis.positions[0] == axis.positions[3] && axis.positions[0] == axis.ticks[2].at)
        let many = (0..<200).map { run($0, params: [("id", "v\($0)")], auc: nil) }
        let crowded = PlotAxis("params.id", of: many)
        #expect(crowded.ticks.count == 24 && crowded.ticks.last?.label == "others")
        #expect(crowded.positions.allSatisfy { $0 != nil })
    }

    @Test(
        "values without a place in any scale draw without harm",
        arguments: [
            [Double.nan, 1, 2], [.greatestFiniteMagnitude, 1], [3, 3], [],
        ])
    func hostileNumbers(values: [Double]) {
        let runs = values.enumerated().map { run($0, params: [("<i>", "<u>")], auc: $1) }
        let page = PlotsPage(
            experiment: Experiment(
                id: ExperimentID("1"), name: "<s>", artifactLocation: "", creationTime: Timestamp(milliseconds: 0),
                lastUpdateTime: Timestamp(milliseconds: 0)),
            query: PlotsQuery {
                ["axis": ["params.<i>", "metrics.auc", "metrics.none"], "log": ["metrics.auc"]][$0] ?? []
            },
            runs: runs, isMore: true, problem: "<em>")
        let html = page.page().html(version: "1")
        for part in ["<b>", "<i>", "<u>", "<s>", "<em>", "nan,", ",nan", "=\"nan", "inf,", "=\"inf"] {
            #expect(!html.contains(part), "\(part)")
        }
        #expect(html.contains("newest 1000 runs"))
    }

    @Test("the plots begin with the parameters that vary, coloured by a metric")
    func choice() {
        let runs = (0..<4).map { run($0, params: [("depth", "\($0)"), ("same", "1")], auc: Double($0)) }
        let page = PlotsPage(
            experiment: Experiment(
                id: ExperimentID("1"), name: "e", artifactLocation: "", creationTime: Timestamp(milliseconds: 0),
                lastUpdateTime: Timestamp(milliseconds: 0)), query: PlotsQuery(), runs: runs, isMore: false)
        let chosen = page.chosen(among: ["params.depth", "params.same", "metrics.auc"])
        #expect(chosen.axes == ["params.depth", "metrics.auc"] && chosen.x == "params.depth")
        #expect(chosen.y == "metrics.auc" && chosen.color == "metrics.auc")
        let html = page.page().html(version: "1")
        #expect(html.components(separatedBy: "data-at=").count == 5 && html.contains("<circle"))
    }

    @Test("the plots begin with what most runs have, numbers across, powers on a logarithmic scale until axes are chosen")
    func mostFirst() {
        let runs = (0..<6).map { number in
            run(
                number,
                params: [("booster", number % 2 == 0 ? "gbdt" : "dart"), ("rate", number < 3 ? "0.001" : "0.5")]
                    + (number == 0 ? [("C", "1")] : number == 1 ? [("C", "2")] : []), auc: Double(number))
        }
        var page = PlotsPage(
            experiment: Experiment(
                id: ExperimentID("1"), name: "e", artifactLocation: "", creationTime: Timestamp(milliseconds: 0),
                lastUpdateTime: Timestamp(milliseconds: 0)), query: PlotsQuery(), runs: runs, isMore: false)
        let keys = ["params.C", "params.booster", "params.rate", "metrics.auc"]
        let chosen = page.chosen(among: keys)
        #expect(chosen.axes == ["params.booster", "params.rate", "params.C", "metrics.auc"])
        #expect(chosen.x == "params.rate" && chosen.logs == ["params.rate"])
        page.query.axes = ["params.rate", "metrics.auc"]
        #expect(page.chosen(among: keys).logs.isEmpty)
    }

    @Test("a line has a gap where a value is no number")
    func gaps() {
        let points = (0..<10).map { (x: Double($0), y: $0 == 4 ? .nan : Double($0)) }
        let chart = LineChart(title: "t", series: [.init(name: "a", points: points)])
        #expect(chart.parts(points).map(\.count) == [4, 5])
        let svg = chart.svg().text
        #expect(svg.components(separatedBy: "<polyline").count == 3)
        #expect(svg.contains("0:0 1:1 2:2 3:3\"") && svg.contains("5:5"))
        let holes = (0..<1000).map { (x: Double($0), y: $0 % 2 == 0 ? .nan : 1) }
        #expect(chart.parts(holes).count == 1)
    }
}
