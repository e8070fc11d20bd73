import AerieCore
import Experiments

/// Experiments, their runs as a table, one run, and several runs side by side.
enum ExperimentPages {
    static func list(_ experiments: [(experiment: Experiment, runs: Int, last: Timestamp?)], now: Timestamp) -> ConsolePage {
        let rows = experiments.map { item -> [HTML] in
            [
                Piece.link("/console/experiments/\(item.experiment.id.text)", item.experiment.name),
                "\(item.runs)",
                item.last.map { "\(Format.ago($0, now: now))" } ?? "<span class=\"soft\">no runs</span>",
                "\(Format.time(item.experiment.creationTime))",
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
                Piece.link(path(run), run.info.name.isEmpty ? String(run.info.id.text.prefix(8)) : run.info.name),
                Piece.pill(run.info.status.rawValue),
                "<span data-value=\"\(Int(run.info.startTime.milliseconds))\">\(Format.ago(run.info.startTime, now: now))</span>",
                "\(took(run, now: now))",
            ]
            let values = metrics.map { key -> HTML in
                run.metrics.first { $0.key == key }.map { "\(Format.number($0.value))" } ?? "–"
            }
            let settings = params.map { key -> HTML in
                run.params.first { $0.key == key }.map { "\(String($0.value.prefix(40)))" } ?? "–"
            }
            return start + values + settings
        }
        let headings = ["", "Run", "Status", "Started", "Took"] + metrics.map { "#" + $0 } + params
        let cut: HTML = isCut ? "<p class=\"soft\">The newest \(runs.count) runs are shown.</p>" : ""
        let body: HTML = """
            <div class="bar"><input type="search" id="find" placeholder="Find in this table" aria-label="Find">\
            <span class="grow"></span><button id="compare" class="primary" disabled>Compare</button></div>
            \(Piece.table(headings, rows, empty: "No runs yet: <code>mlflow.start_run()</code>"))\(cut)
            """
        return ConsolePage(
            title: experiment.name, section: .experiments, crumbs: [("Experiments", "/console/experiments")],
            subtitle: "\(runs.count) runs · id <span class=\"mono\">\(experiment.id.text)</span>", body: body)
    }

    static func run(
        _ run: Run, experiment: Experiment?, histories: [(key: String, values: [Metric])], artifacts: [ArtifactEntry],
        models: [(name: String, version: String)], folder: String, now: Timestamp
    ) -> ConsolePage {
        let charts = histories.filter { $0.values.count > 1 }.map { history -> HTML in
            let points = history.values.map { (x: Double($0.step), y: $0.value) }
            let chart = LineChart(title: history.key, series: [.init(name: run.info.name, points: points)])
            return "<div class=\"panel\">\(chart.svg())</div>"
        }
        let metrics = run.metrics.map { metric -> [HTML] in ["\(metric.key)", "\(Format.number(metric.value))", "\(Int(metric.step))"] }
        let params = run.params.map { param -> [HTML] in ["\(param.key)", "\(param.value)"] }
        let tags = run.tags.filter { !$0.key.hasPrefix("mlflow.") || $0.key == "mlflow.source.name" }
            .map { ($0.key, "\($0.value)" as HTML) }
        let made: HTML = models.isEmpty ? "" : "\(models.map { lineage(run: run, model: $0) })"
        let body: HTML = """
            \(made)
            <div class="wide"><div><h2>Metrics</h2>\(Piece.table(["Metric", "#Latest", "#Step"], metrics, empty: "none logged"))</div>
            <div><h2>Parameters</h2>\(Piece.table(["Parameter", "Value"], params, empty: "none logged"))</div></div>
            \(charts.isEmpty ? "" : "<h2>Histories</h2><div class=\"wide\">\(charts)</div>")
            <h2>Artifacts</h2>\(artifactTable(artifacts, run: run, folder: folder))
            <h2>Tags and source</h2><div class="panel">\(Piece.facts([
                ("User", "\(run.info.userID)"), ("Started", "\(Format.time(run.info.startTime))"),
                ("Took", "\(took(run, now: now))"), ("Artifacts at", "<span class=\"mono\">\(run.info.artifactURI)</span>"),
            ] + tags))</div>
            """
        return ConsolePage(
            title: run.info.name, section: .experiments,
            crumbs: [("Experiments", "/console/experiments")]
                + (experiment.map { [($0.name, "/console/experiments/\($0.id.text)")] } ?? []),
            subtitle: "\(Piece.pill(run.info.status.rawValue)) <span class=\"mono\">\(run.info.id.text)</span>", body: body)
    }

    static func comparison(_ runs: [Run], histories: [(key: String, values: [(run: Run, metrics: [Metric])])]) -> ConsolePage {
        let charts = histories.map { history -> HTML in
            let series = history.values.map { item in
                LineChart.Series(name: item.run.info.name, points: item.metrics.map { (x: Double($0.step), y: $0.value) })
            }
            let chart = LineChart(title: history.key, series: series)
            return "<div class=\"panel\">\(chart.svg())\(chart.legend())</div>"
        }
        let body: HTML = """
            <h2>Metrics</h2>\(sideBySide(runs, keys: common(runs.map { $0.metrics.map(\.key) }, limit: 200)) { run, key in
                run.metrics.first { $0.key == key }.map { Format.number($0.value) }
            })
            <h2>Parameters</h2>\(sideBySide(runs, keys: common(runs.map { $0.params.map(\.key) }, limit: 200)) { run, key in
                run.params.first { $0.key == key }?.value
            })
            <h2>Histories</h2><div class="wide">\(charts)</div>
            """
        return ConsolePage(
            title: "Compare \(runs.count) runs", section: .experiments, crumbs: [("Experiments", "/console/experiments")],
            subtitle: "Rows that differ are marked.", body: body)
    }

    /// A text artifact as text, whatever it holds; a picture as a picture.
    static func artifact(run: Run, path: String, preview: HTML, size: Int64) -> ConsolePage {
        ConsolePage(
            title: path, section: .experiments,
            crumbs: [("Experiments", "/console/experiments"), (run.info.name, self.path(run))],
            subtitle: "\(Format.bytes(size)) · <a href=\"\(download(run, path))\" download>Download</a>",
            body: "<div class=\"panel scroll\">\(preview)</div>")
    }

    static func path(_ run: Run) -> String { "/console/runs/" + run.info.id.text }
    static func download(_ run: Run, _ file: String) -> String { path(run) + "/file?path=" + urlEncoded(file) }

    private static func took(_ run: Run, now: Timestamp) -> String {
        let end = run.info.endTime ?? (run.info.status == .running ? now : run.info.startTime)
        return Format.duration(milliseconds: max(0, end.milliseconds - run.info.startTime.milliseconds))
    }

    private static func lineage(run: Run, model: (name: String, version: String)) -> HTML {
        """
        <div class="notice lineage">this run <span class="arrow">→</span> \
        <a href="/console/models/\(model.name)">\(model.name) version \(model.version)</a></div>
        """
    }

    private static func artifactTable(_ entries: [ArtifactEntry], run: Run, folder: String) -> HTML {
        let rows = entries.map { entry -> [HTML] in
            let full = (folder.isEmpty ? "" : folder + "/") + entry.path.name
            let link = entry.isDirectory
                ? "\(path(run))?folder=\(urlEncoded(full))" : "\(path(run))/artifact?path=\(urlEncoded(full))"
            return [
                Piece.link(link, entry.path.name + (entry.isDirectory ? "/" : "")),
                entry.size.map { "<span data-value=\"\(Int($0))\">\(Format.bytes($0))</span>" } ?? "",
            ]
        }
        let up: HTML = folder.isEmpty ? "" : "<p>\(Piece.link(path(run), "All artifacts")) / \(folder)</p>"
        return "\(up)\(Piece.table(["File", "Size"], rows, empty: "none logged"))"
    }

    private static func sideBySide(_ runs: [Run], keys: [String], value: (Run, String) -> String?) -> HTML {
        guard !keys.isEmpty else { return "<div class=\"panel empty\">none logged</div>" }
        let head = runs.map { run -> HTML in "<th>\(Piece.link(path(run), run.info.name))</th>" }
        let rows = keys.map { key -> HTML in
            let values = runs.map { value($0, key) }
            let differs: HTML = Set(values).count > 1 ? " class=\"differs\"" : ""
            return "<tr\(differs)><td>\(key)</td>\(values.map { value -> HTML in "<td>\(value ?? "–")</td>" })</tr>"
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

/// Text as a value in an address's query (RFC 3986's unreserved characters stay).
func urlEncoded(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            out.unicodeScalars.append(UnicodeScalar(byte))
        default:
            let digits = String(byte, radix: 16, uppercase: true)
            out += "%" + (digits.count == 1 ? "0" : "") + digits
        }
    }
    return out
}
