import AerieCore
import Experiments

/// Experiments, and several runs side by side.
enum ExperimentPages {
    /// - Parameter runs: how many, and whether there are more than were counted.
    static func list(
        _ experiments: [(experiment: Experiment, runs: (count: Int, isMore: Bool)?, last: Timestamp?)], now: Timestamp
    ) -> ConsolePage {
        let rows = experiments.map { item -> [HTML] in
            [
                Piece.link("/console/experiments/\(urlEncoded(item.experiment.id.text))", item.experiment.name),
                item.runs.map { "\($0.count)\($0.isMore ? "+" : "")" } ?? "–",
                item.last.map { Piece.value($0.milliseconds, "\(Format.ago($0, now: now))") }
                    ?? "<span class=\"soft\">no runs</span>",
                Piece.value(item.experiment.creationTime.milliseconds, "\(Format.time(item.experiment.creationTime))"),
                "<span class=\"mono soft\">\(item.experiment.id.text)</span>",
            ]
        }
        return ConsolePage(
            title: "Experiments", section: .experiments, subtitle: "Groups of training runs.",
            body: Piece.table(["Experiment", "#Runs", "Last run", "Created", "Id"], rows, empty: "No experiments yet."))
    }

    static func comparison(
        _ runs: [Run], histories: [(key: String, values: [(run: Run, metrics: [Metric])])],
        files: [RunPage.FileList] = [], options: ChartOptions, onlyDifferences: Bool = false
    ) -> ConsolePage {
        let charts = histories.filter { $0.values.contains { Set($0.metrics.map(\.step)).count > 1 } }.map {
            history -> HTML in
            let chart = options.chart(history.key, history.values.map { (name($0.run), $0.metrics) })
            return "<div class=\"panel\">\(chart.svg())\(chart.legend())</div>"
        }
        let drawn: HTML =
            charts.isEmpty
            ? ""
            : """
            <h2>Histories</h2>\(options.form(keeping: [("runs", runs.map(\.info.id.text).joined(separator: ","))]))\
            <div class="wide">\(charts)</div>
            """
        let named = runs.map(\.info.id.text).joined(separator: ",")
        let toggle: HTML =
            onlyDifferences
            ? "<a class=\"button\" href=\"/console/compare?runs=\(urlEncoded(named))\">Show all rows</a>"
            : "<a class=\"button\" href=\"/console/compare?runs=\(urlEncoded(named))&only=differences\">Only differences</a>"
        let body: HTML = """
            <div class="bar">\(toggle)\(plots(runs))</div>
            <h2>Metrics</h2>\(sideBySide(runs, only: onlyDifferences, keys: common(runs.map { $0.metrics.map(\.key) }, limit: 200)) { run, key in
                run.metrics.first { $0.key == key }.map { Format.number($0.value) }
            })
            <h2>Parameters</h2>\(sideBySide(runs, only: onlyDifferences, keys: common(runs.map { $0.params.map(\.key) }, limit: 200)) { run, key in
                run.params.first { $0.key == key }?.value
            })
            <h2>Tags</h2>\(sideBySide(runs, only: onlyDifferences, keys: common(runs.map { run in
                run.tags.map(\.key).filter { !$0.hasPrefix("mlflow.") }
            }, limit: 200)) { run, key in run.tags.first { $0.key == key }?.value })
            \(files.isEmpty ? "" : "<h2>Artifacts</h2>\(ArtifactComparison.table(runs, files: files, only: onlyDifferences))" as HTML)
            \(drawn)
            """
        return ConsolePage(
            title: "Compare \(runs.count) runs", section: .experiments,
            crumbs: [("Experiments", "/console/experiments")],
            subtitle: "Rows whose values differ are marked at the left.", body: body)
    }

    /// Leads to the plots of the same runs, if they are of one experiment.
    private static func plots(_ runs: [Run]) -> HTML {
        let experiments = Set(runs.map(\.info.experimentID))
        guard experiments.count == 1, let experiment = experiments.first else { return "" }
        let named = urlEncoded(runs.map(\.info.id.text).joined(separator: ","))
        return "<a class=\"button\" href=\"\(PlotsPage.path(experiment))?runs=\(named)\">Plot them</a>"
    }

    static func path(_ run: Run) -> String { "/console/runs/" + run.info.id.text }
    static func name(_ run: Run) -> String {
        run.info.name.isEmpty ? String(run.info.id.text.prefix(8)) : run.info.name
    }

    static func took(_ run: Run, now: Timestamp) -> String {
        Format.duration(milliseconds: milliseconds(run, now: now))
    }

    static func short(_ text: String, _ limit: Int) -> String {
        text.count > limit ? text.prefix(limit - 1) + "…" : text
    }

    private static func milliseconds(_ run: Run, now: Timestamp) -> Int64 {
        let end = run.info.endTime ?? (run.info.status == .running ? now : run.info.startTime)
        return max(0, end.milliseconds - run.info.startTime.milliseconds)
    }

    private static func sideBySide(
        _ runs: [Run], only: Bool, keys: [String], value: (Run, String) -> String?
    ) -> HTML {
        let keys = only ? keys.filter { key in Set(runs.map { value($0, key) }).count > 1 } : keys
        guard !keys.isEmpty else { return Piece.nothing(only ? "no differences" : "none logged") }
        let head = runs.enumerated().map { index, run -> HTML in
            """
            <th class="num"><i class="dot" style="background:var(--c\(index % 8))"></i>\
            <a href="\(path(run))" title="\(run.info.name)">\(short(name(run), 26))</a></th>
            """
        }
        let rows = keys.map { key -> HTML in
            let values = runs.map { value($0, key) }
            let differs: HTML = Set(values).count > 1 ? " class=\"differs\"" : ""
            let cells = values.map { value -> HTML in
                "<td class=\"num\" title=\"\(value ?? "")\">\(short(value ?? "–", 40))</td>"
            }
            return "<tr\(differs)><td title=\"\(key)\">\(key)</td>\(cells)</tr>"
        }
        return """
            <div class="panel flush"><div class="scroll"><table class="beside"><thead><tr><th></th>\(head)</tr></thead>\
            <tbody>\(rows)</tbody></table></div></div>
            """
    }

    /// The names in the lists, those in most lists first, then by name.
    private static func common(_ lists: [[String]], limit: Int) -> [String] {
        var counts: [String: Int] = [:]
        for list in lists { for key in Set(list) { counts[key, default: 0] += 1 } }
        return counts.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }.prefix(limit).map(\.key)
    }
}
