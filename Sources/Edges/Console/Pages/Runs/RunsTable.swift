import AerieCore
import Experiments

/// An experiment's runs: filtered, sorted and paged by the store, so that a page costs the same out of a million.
struct RunsTable {
    var experiment: Experiment
    var query: RunsQuery
    var runs: [Run]
    /// The next page's token.
    var next: String?
    /// What is wrong with the filter or the order, in the store's words.
    var problem: String?
    var now: Timestamp

    /// At most so many metric and parameter columns as long as none are chosen.
    private static let defaultColumns = 10

    private var path: String { "/console/experiments/\(urlEncoded(experiment.id.text))" }

    func page() -> ConsolePage {
        let isLive = runs.contains { $0.info.status == .running } && problem == nil
        return ConsolePage(
            title: experiment.name, section: .experiments, crumbs: [("Experiments", "/console/experiments")],
            subtitle: """
                id <span class="mono">\(experiment.id.text)</span> · \
                \(Piece.link(PlotsPage.path(experiment.id), "Plots")) · \
                \(Piece.link(LoggedModelPages.path(experiment.id), "Logged models")) · \
                \(Piece.link(TracePages.listPath(experiment.id), "Traces"))
                """,
            body: """
                \(search())\
                <form id="chosen" method="post" action="\(path)/runs\(query.address)">\(actions())\
                \(Piece.live("runs", every: isLive ? 5 : nil, table()))</form>\(pager())\
                <p class="soft keys">Keys: <kbd>/</kbd> filter, <kbd>j</kbd> <kbd>k</kbd> move, <kbd>x</kbd> choose, \
                <kbd>Enter</kbd> open, <kbd>?</kbd> all of them; shift-click chooses a range.</p>
                """)
    }

    // MARK: Above the table

    private func search() -> HTML {
        let error: HTML = problem.map { "<div class=\"notice bad\" id=\"problem\" role=\"alert\">\($0)</div>" } ?? ""
        let sort: HTML =
            query.sort.isEmpty
            ? ""
            : """
            <input type="hidden" name="sort" value="\(query.sort)">\
            <input type="hidden" name="dir" value="\(query.ascending ? "up" : "down")">
            """
        func option(_ value: String, _ text: String, _ isChosen: Bool) -> HTML {
            let mark: HTML = isChosen ? " selected" : ""
            return "<option value=\"\(value)\"\(mark)>\(text)</option>"
        }
        let sizes = RunsQuery.sizes.map { option(String($0), "\($0) a page", $0 == query.size) }
        return """
            <form id="search" method="get" action="\(path)"><div class="bar">\(sort)\
            <input type="search" id="filter" name="q" class="grow mono" value="\(query.filter)" \
            placeholder="metrics.auc &gt; 0.9 AND params.depth = '6'" aria-label="Filter" spellcheck="false">\
            <select name="view" aria-label="Which runs">\(option("active", "Active", !query.deleted))\
            \(option("deleted", "Deleted", query.deleted))</select>\
            <select name="size" aria-label="Page size">\(sizes)</select>\
            <button class="primary">Search</button></div>\(error)\(chooser())</form>
            """
    }

    /// What the page's runs have, and what the address names besides.
    private func chooser() -> HTML {
        let shown = Set(columns)
        let groups: [(String, [String])] = [
            ("metrics", runs.flatMap { $0.metrics.map(\.key) }), ("params", runs.flatMap { $0.params.map(\.key) }),
            ("tags", runs.flatMap { $0.tags.map(\.key).filter { !$0.hasPrefix("mlflow.") } }),
        ]
        let parts = groups.map { kind, keys -> HTML in
            let named = query.columns.filter { $0.hasPrefix(kind + ".") }
            let all = Set(keys.map { kind + "." + $0 }).union(named).sorted().prefix(150)
            guard !all.isEmpty else { return "" }
            let boxes = all.map { column -> HTML in
                let mark: HTML = shown.contains(column) ? " checked" : ""
                let key = RunsQuery.kind(of: column)?.key ?? column
                return "<label><input type=\"checkbox\" name=\"col\" value=\"\(column)\"\(mark)> \(key)</label>"
            }
            return "<fieldset><legend>\(kind)</legend>\(boxes)</fieldset>"
        }
        return """
            <details class="chooser"><summary>Columns</summary><div class="panel">\(parts)\
            <button name="columns" value="keep">Show these</button> \
            <a href="\(path)\(query.with { $0.columns = [] }.address)&columns=usual">The usual ones</a></div></details>
            """
    }

    private func actions() -> HTML {
        let change: HTML =
            query.deleted
            ? "<button name=\"do\" value=\"restore\" data-needs=\"1\">Restore</button>"
            : """
            <input type="text" name="tag" placeholder="tag=value" aria-label="Tag to set" size="14">\
            <button name="do" value="tag" data-needs="1">Tag</button>\
            <button class="danger" name="do" value="delete" data-needs="1">Delete</button>
            """
        return """
            <div class="bar"><button id="compare" class="primary" formmethod="get" formaction="/console/compare" \
            data-needs="2">Compare</button>\(change)<span class="soft" id="count" aria-live="polite"></span></div>
            """
    }

    private func pager() -> HTML {
        let back: HTML =
            query.previous.map { "<a class=\"button\" rel=\"prev\" href=\"\(path)\($0.address)\">← Previous</a>" } ?? ""
        let on: HTML =
            next.map { token -> HTML in
                "<a class=\"button\" rel=\"next\" href=\"\(path)\(query.next(token).address)\">Next →</a>"
            } ?? ""
        return
            "<nav class=\"bar pager\" aria-label=\"Pages\">\(back)<span class=\"soft\">\(runs.count) runs here</span>\(on)</nav>"
    }

    // MARK: The table

    /// The chosen columns, or those that most runs have.
    var columns: [String] {
        guard query.columns.isEmpty else { return query.columns }
        var counts: [String: Int] = [:]
        for run in runs {
            for metric in run.metrics { counts["metrics." + metric.key, default: 0] += 1 }
            for param in run.params { counts["params." + param.key, default: 0] += 1 }
        }
        func most(_ kind: String) -> [String] {
            counts.filter { $0.key.hasPrefix(kind) }
                .sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }
                .prefix(Self.defaultColumns).map(\.key)
        }
        return most("metrics.") + most("params.")
    }

    private func table() -> HTML {
        guard !runs.isEmpty else {
            return query.filter.isEmpty
                ? Piece.nothing("No runs yet: <code>mlflow.start_run()</code>")
                : Piece.nothing("No run fits this filter.")
        }
        let columns = columns
        let cells = runs.map { run -> [String: String] in
            var values: [String: String] = [:]
            for param in run.params { values["params." + param.key] = param.value }
            for tag in run.tags { values["tags." + tag.key] = tag.value }
            return values
        }
        let metrics = runs.map { Dictionary($0.metrics.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }) }
        var best: [String: Double] = [:]
        for column in columns where column.hasPrefix("metrics.") {
            best[column] = Self.best(of: column, metrics.compactMap { $0[String(column.dropFirst(8))] })
        }
        let rows = runs.indices.map { index -> HTML in
            let values = columns.map { column -> HTML in
                if column.hasPrefix("metrics.") {
                    guard let value = metrics[index][String(column.dropFirst(8))] else {
                        return "<td class=\"num soft\">–</td>"
                    }
                    let mark: HTML = best[column] == value ? " best" : ""
                    return "<td class=\"num\(mark)\" title=\"\(String(value))\">\(Format.number(value))</td>"
                }
                guard let text = cells[index][column] else { return "<td class=\"soft\">–</td>" }
                return "<td title=\"\(text.prefix(400).description)\">\(ExperimentPages.short(text, 28))</td>"
            }
            return row(runs[index], values)
        }
        return """
            <div class="panel flush"><div class="scroll"><table class="runs"><thead><tr>\
            <th><input type="checkbox" id="all" aria-label="choose all"></th>\
            \(heading("run_name", "Run", false))\(heading("status", "Status", false))\
            \(heading("start_time", "Started", true))<th class="num">Took</th>\
            \(columns.map { heading($0, RunsQuery.kind(of: $0)?.key ?? $0, $0.hasPrefix("metrics.")) })</tr></thead>\
            <tbody>\(rows)</tbody></table></div></div>
            """
    }

    private func heading(_ key: String, _ text: String, _ numeric: Bool) -> HTML {
        let isHere = query.sort == key
        let state: HTML = isHere ? " aria-sort=\"\(query.ascending ? "ascending" : "descending")\"" : ""
        let arrow = isHere ? (query.ascending ? " ▲" : " ▼") : ""
        let style: HTML = key.hasPrefix("metrics.") ? " class=\"num\"" : ""
        return """
            <th\(style)\(state)><a href="\(path)\(query.sorted(by: key, numeric: numeric).address)" title="\(key)">\
            \(ExperimentPages.short(text, 24))\(arrow)</a></th>
            """
    }

    private func row(_ run: Run, _ values: [HTML]) -> HTML {
        """
        <tr><td><input type="checkbox" name="run" value="\(run.info.id.text)" aria-label="choose \(run.info.name)"></td>\
        <td><div class="name" title="\(run.info.name)">\(Piece.link(ExperimentPages.path(run), ExperimentPages.name(run)))</div></td>\
        <td>\(Piece.pill(run.info.status.rawValue))</td>\
        <td title="\(Format.time(run.info.startTime))">\(Format.ago(run.info.startTime, now: now))</td>\
        <td class="num">\(ExperimentPages.took(run, now: now))</td>\(values)</tr>
        """
    }

    /// The best of several different values: the least for what is called a loss or an error, else the greatest.
    static func best(of name: String, _ values: [Double]) -> Double? {
        let finite = values.filter(\.isFinite)
        guard Set(finite).count > 1 else { return nil }
        let lower = name.lowercased()
        let isCost = ["loss", "error", "rmse", "mse", "mae", "mape", "deviance", "latency"].contains {
            lower.contains($0)
        }
        return isCost ? finite.min() : finite.max()
    }
}
