import AerieCore
import Experiments

/// Experiments, their runs as a table, one run, and several runs side by side.
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

    /// At most this many metric and parameter columns, the most used first, so that the table stays readable.
    private static let columnLimit = 10

    static func runs(of experiment: Experiment, _ runs: [Run], isCut: Bool, now: Timestamp) -> ConsolePage {
        let metrics = common(runs.map { $0.metrics.map(\.key) })
        let params = common(runs.map { $0.params.map(\.key) })
        let rows = runs.map { run -> [HTML] in
            let start: [HTML] = [
                "<input type=\"checkbox\" name=\"run\" value=\"\(run.info.id.text)\" aria-label=\"choose \(run.info.name)\">",
                "<div class=\"name\" title=\"\(run.info.name)\">\(Piece.link(path(run), name(run)))</div>",
                Piece.pill(run.info.status.rawValue),
                Piece.value(run.info.startTime.milliseconds, "\(Format.ago(run.info.startTime, now: now))"),
                Piece.value(milliseconds(run, now: now), "\(took(run, now: now))"),
            ]
            let values = metrics.map { key -> HTML in
                run.metrics.first { $0.key == key }.map { "\(Format.number($0.value))" } ?? "–"
            }
            let settings = params.map { key -> HTML in
                run.params.first { $0.key == key }.map { param -> HTML in
                    "<span title=\"\(param.value)\">\(short(param.value, 28))</span>"
                } ?? "–"
            }
            return start + values + settings
        }
        let headings =
            ["", "Run", "Status", "Started", "#Took"] + metrics.map { "#" + $0 }
            + params.map { isNumeric($0, in: runs) ? "#" + $0 : $0 }
        let cut: HTML = isCut ? "<p class=\"soft\">The newest \(runs.count) runs are shown.</p>" : ""
        let body: HTML = """
            <div class="bar"><input type="search" id="find" placeholder="Find in this table" aria-label="Find">\
            <span class="grow"></span><button id="compare" class="primary" disabled>Compare</button></div>
            \(Piece.table(headings, rows, empty: "No runs yet: <code>mlflow.start_run()</code>"))\(cut)
            """
        return ConsolePage(
            title: experiment.name, section: .experiments, crumbs: [("Experiments", "/console/experiments")],
            subtitle:
                "\(runs.count)\(isCut ? "+" : "") \(runs.count == 1 ? "run" : "runs") · id <span class=\"mono\">\(experiment.id.text)</span>",
            body: body)
    }

    static func comparison(_ runs: [Run], histories: [(key: String, values: [(run: Run, metrics: [Metric])])])
        -> ConsolePage
    {
        let charts = histories.filter { $0.values.contains { Set($0.metrics.map(\.step)).count > 1 } }.map {
            history -> HTML in
            let series = history.values.map { item in
                LineChart.Series(name: name(item.run), points: item.metrics.map { (x: Double($0.step), y: $0.value) })
            }
            let chart = LineChart(title: history.key, series: series)
            return "<div class=\"panel\">\(chart.svg())\(chart.legend())</div>"
        }
        let drawn: HTML = charts.isEmpty ? "" : "<h2>Histories</h2><div class=\"wide\">\(charts)</div>"
        let body: HTML = """
            <h2>Metrics</h2>\(sideBySide(runs, keys: common(runs.map { $0.metrics.map(\.key) }, limit: 200)) { run, key in
                run.metrics.first { $0.key == key }.map { Format.number($0.value) }
            })
            <h2>Parameters</h2>\(sideBySide(runs, keys: common(runs.map { $0.params.map(\.key) }, limit: 200)) { run, key in
                run.params.first { $0.key == key }?.value
            })
            \(drawn)
            """
        return ConsolePage(
            title: "Compare \(runs.count) runs", section: .experiments,
            crumbs: [("Experiments", "/console/experiments")],
            subtitle: "Rows whose values differ are marked at the left.", body: body)
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

    private static func isNumeric(_ key: String, in runs: [Run]) -> Bool {
        let values = runs.compactMap { run in run.params.first { $0.key == key }?.value }
        return !values.isEmpty && values.allSatisfy { Double($0) != nil }
    }

    private static func sideBySide(_ runs: [Run], keys: [String], value: (Run, String) -> String?) -> HTML {
        guard !keys.isEmpty else { return "<div class=\"panel empty\">none logged</div>" }
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
            return "<tr\(differs)><td>\(key)</td>\(cells)</tr>"
        }
        return """
            <div class="panel flush"><div class="scroll"><table><thead><tr><th></th>\(head)</tr></thead>\
            <tbody>\(rows)</tbody></table></div></div>
            """
    }

    /// The names in the lists, those in most lists first, then by name.
    private static func common(_ lists: [[String]], limit: Int = columnLimit) -> [String] {
        var counts: [String: Int] = [:]
        for list in lists { for key in Set(list) { counts[key, default: 0] += 1 } }
        return counts.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }.prefix(limit).map(\.key)
    }
}
