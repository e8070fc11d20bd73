import AerieCore
import Experiments

/// What the plots of an experiment show, as their address says it.
struct PlotsQuery: Equatable {
    static let runLimit = 1000
    static let axisLimit = 12

    var filter = ""
    /// Only these runs; empty for the experiment's newest.
    var runs: [String] = []
    var axes: [String] = []
    var logs: Set<String> = []
    var x = ""
    var y = ""
    var color = ""

    init() {}

    /// - Parameter values: gives every value of a name in the address's query. What makes no sense is left out.
    init(values: (String) -> [String]) {
        func column(_ name: String) -> String { values(name).last { RunsQuery.kind(of: $0) != nil } ?? "" }
        filter = values("q").last ?? ""
        runs = (values("runs").last ?? "").split(separator: ",").prefix(100).map(String.init)
        axes = values("axis").filter { RunsQuery.kind(of: $0) != nil }.prefix(Self.axisLimit).map { $0 }
        logs = Set(values("log").filter { RunsQuery.kind(of: $0) != nil }.prefix(40))
        x = column("x")
        y = column("y")
        color = column("color")
    }
}

/// Hyper-parameters and metrics over the runs of an experiment: parallel coordinates and a scatter plot.
struct PlotsPage {
    var experiment: Experiment
    var query: PlotsQuery
    var runs: [Run]
    var isMore: Bool
    /// What is wrong with the filter, in the store's words.
    var problem: String?

    static func path(_ id: ExperimentID) -> String { "/console/experiments/\(urlEncoded(id.text))/plots" }

    func page() -> ConsolePage {
        let keys = keys()
        let chosen = chosen(among: keys)
        func axis(_ key: String) -> PlotAxis { PlotAxis(key, of: runs, wantsLog: chosen.logs.contains(key)) }
        let names = runs.map { (name: ExperimentPages.name($0), path: ExperimentPages.path($0)) }
        let color = chosen.color.isEmpty ? nil : axis(chosen.color)
        let error: HTML = problem.map { "<div class=\"notice bad\" id=\"problem\" role=\"alert\">\($0)</div>" } ?? ""
        let more: HTML =
            isMore
            ? "<p class=\"soft\">Only the newest \(PlotsQuery.runLimit) runs are drawn; a filter narrows them.</p>" : ""
        let legend = color?.colorLegend() ?? ""
        var plots: HTML = Piece.nothing(query.filter.isEmpty ? "No runs yet." : "No run fits this filter.")
        if !runs.isEmpty {
            let parallel = ParallelCoordinates(axes: chosen.axes.map(axis), color: color, runs: names)
            plots = """
                <h2>Parallel coordinates</h2><div class="panel"><div class="scroll">\(parallel.svg())</div>\(legend)\
                <p class="soft keys" aria-live="polite" id="brushed">Drag along an axis to keep a range of it; click it to let it go.</p></div>
                """
            if !chosen.x.isEmpty, !chosen.y.isEmpty {
                let scatter = ScatterPlot(x: axis(chosen.x), y: axis(chosen.y), color: color, runs: names)
                plots =
                    "\(plots)<h2>Scatter</h2><div class=\"panel\"><div class=\"scroll\">\(scatter.svg())</div>\(legend)</div>"
            }
        }
        let home = "/console/experiments/\(urlEncoded(experiment.id.text))"
        return ConsolePage(
            title: "Plots of \(experiment.name)", section: .experiments,
            crumbs: [("Experiments", "/console/experiments"), (experiment.name, home)],
            subtitle: "\(runs.count) runs.", body: "\(form(keys, chosen))\(error)\(more)\(plots)")
    }

    /// All that the runs have, by kind and name.
    private func keys() -> [String] {
        var counts: [String: Int] = [:]
        for run in runs {
            for param in run.params { counts["params." + param.key, default: 0] += 1 }
            for metric in run.metrics { counts["metrics." + metric.key, default: 0] += 1 }
        }
        let most = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(200).map(\.key)
        return Set(most + query.axes).sorted { ($0.hasPrefix("m") ? 1 : 0, $0) < ($1.hasPrefix("m") ? 1 : 0, $1) }
    }

    typealias Choice = (axes: [String], x: String, y: String, color: String, logs: Set<String>)

    /// What the address names, or else the parameters that vary, those that most runs have first, and some metrics.
    func chosen(among keys: [String]) -> Choice {
        let metrics = keys.filter { $0.hasPrefix("metrics.") }
        let drawn = keys.filter { $0.hasPrefix("params.") }.prefix(30).map { PlotAxis($0, of: runs) }
        let varying = drawn.filter { Set($0.texts).count > 1 }.enumerated()
            .map { (axis: $0.element, place: $0.offset, count: $0.element.texts.count { $0 != nil }) }
            .sorted { ($1.count, $0.place) < ($0.count, $1.place) }
        let params = varying.map(\.axis.key)
        // Among those that as many runs have, numbers spread better than words.
        let across = varying.first { $0.axis.isNumeric && $0.count == varying[0].count }?.axis.key ?? params.first
        let color = query.color.isEmpty ? metrics.first ?? "" : query.color
        let axes = query.axes.isEmpty ? Array(params.prefix(5)) + metrics.prefix(3) : query.axes
        let x = query.x.isEmpty ? across ?? metrics.dropFirst().first ?? "" : query.x
        // Who has chosen axes has chosen their scales.
        let isChosen = !query.axes.isEmpty || !query.logs.isEmpty
        let logs = isChosen ? query.logs : Set(drawn.filter(\.spansPowers).map(\.key))
        return (axes, x, query.y.isEmpty ? metrics.first ?? "" : query.y, color, logs)
    }

    private func form(_ keys: [String], _ chosen: Choice) -> HTML {
        func select(_ name: String, _ label: String, _ value: String) -> HTML {
            let options = keys.map { key -> HTML in
                let mark: HTML = key == value ? " selected" : ""
                return "<option value=\"\(key)\"\(mark)>\(RunsQuery.kind(of: key)?.key ?? key)</option>"
            }
            return "<label>\(label) <select name=\"\(name)\">\(options)</select></label>"
        }
        func boxes(_ name: String, _ checked: (String) -> Bool, _ keys: [String]) -> [HTML] {
            keys.map { key in
                let mark: HTML = checked(key) ? " checked" : ""
                return
                    "<label><input type=\"checkbox\" name=\"\(name)\" value=\"\(key)\"\(mark)> \(RunsQuery.kind(of: key)?.key ?? key)</label>"
            }
        }
        let drawn = (chosen.axes + [chosen.x, chosen.y, chosen.color]).filter { !$0.isEmpty }
        let seen = Set(drawn)
        let kept: HTML =
            query.runs.isEmpty
            ? "" : "<input type=\"hidden\" name=\"runs\" value=\"\(query.runs.joined(separator: ","))\">"
        return """
            <form class="choices" method="get" action="\(Self.path(experiment.id))">\(kept)<div class="bar">\
            <input type="search" id="filter" name="q" class="grow mono" value="\(query.filter)" aria-label="Filter" \
            placeholder="metrics.auc &gt; 0.9" spellcheck="false">\
            \(select("color", "Colour", chosen.color))\(select("x", "Across", chosen.x))\(select("y", "Up", chosen.y))\
            <button class="primary">Draw</button></div>\
            <details class="chooser"><summary>Axes and scales</summary><div class="panel">\
            <fieldset><legend>Axes (at most \(PlotsQuery.axisLimit))</legend>\(boxes("axis", { chosen.axes.contains($0) }, keys))</fieldset>\
            <fieldset><legend>Logarithmic</legend>\(boxes("log", { chosen.logs.contains($0) }, keys.filter { seen.contains($0) }))</fieldset>\
            <button>Draw</button></div></details></form>
            """
    }
}
