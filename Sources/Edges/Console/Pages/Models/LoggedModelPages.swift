import AerieCore
import Experiments

/// The models that an experiment's runs logged, registered or not.
enum LoggedModelPages {
    static func path(_ id: ExperimentID) -> String { "/console/experiments/\(urlEncoded(id.text))/models" }

    /// - Parameters:
    ///   - next: the next page's token.
    ///   - problem: what is wrong with the filter, in the store's words.
    static func list(
        of experiment: Experiment, _ models: [LoggedModel], filter: String, next: String?, problem: String?,
        now: Timestamp
    ) -> ConsolePage {
        func most(_ keys: [[String]]) -> [String] {
            var counts: [String: Int] = [:]
            for list in keys { for key in Set(list) { counts[key, default: 0] += 1 } }
            return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(6).map(\.key)
        }
        let metrics = most(models.map { $0.metrics.map(\.metric.key) })
        let params = most(models.map { $0.params.map(\.key) })
        let rows = models.map { row($0, metrics: metrics, params: params, now: now) }
        let error: HTML = problem.map { "<div class=\"notice bad\" id=\"problem\" role=\"alert\">\($0)</div>" } ?? ""
        let address = path(experiment.id)
        let on: HTML =
            next.map { token -> HTML in
                """
                <nav class="bar pager" aria-label="Pages"><a class="button" rel="next" \
                href="\(address)?q=\(urlEncoded(filter))&page=\(urlEncoded(token))">Next →</a></nav>
                """
            } ?? ""
        let empty: HTML =
            filter.isEmpty ? "No models yet: <code>mlflow.sklearn.log_model()</code>" : "No model fits this filter."
        let body: HTML = """
            <form class="bar" method="get" action="\(address)"><input type="search" id="filter" name="q" class="grow mono" \
            value="\(filter)" placeholder="metrics.auc &gt; 0.9 AND params.depth = '6'" aria-label="Filter" spellcheck="false">\
            <button class="primary">Search</button></form>\(error)\
            \(Piece.table(
                ["Model", "State", "Kind", "Run", "Made"] + metrics.map { "#" + $0 } + params, rows, empty: empty))\(on)
            """
        return ConsolePage(
            title: "Logged models", section: .experiments,
            crumbs: [
                ("Experiments", "/console/experiments"),
                (experiment.name, "/console/experiments/\(urlEncoded(experiment.id.text))"),
            ],
            subtitle: "What the runs of \(experiment.name) made, registered or not.", body: body)
    }

    private static func row(
        _ model: LoggedModel, metrics: [String], params: [String], now: Timestamp
    ) -> [HTML] {
        let state = model.status.rawValue.replacing("LOGGED_MODEL_", with: "").replacing("_", with: " ")
        var name: HTML = "<b>\(model.name)</b>"
        if let run = model.sourceRunID {
            name = "<a href=\"\(ArtifactPreview.page(run, "MLmodel", model: model.id))\">\(model.name)</a>"
        }
        let run: HTML =
            model.sourceRunID.map {
                "<a class=\"mono\" href=\"/console/runs/\($0.text)\">\(String($0.text.prefix(8)))</a>"
            }
            ?? "<span class=\"soft\">–</span>"
        let fixed: [HTML] = [
            "<span title=\"\(model.id.text)\">\(name)</span>", Piece.pill(state), "\(model.modelType)", run,
            Piece.value(model.creationTime.milliseconds, "\(Format.ago(model.creationTime, now: now))"),
        ]
        let measured = metrics.map { key -> HTML in
            let last = model.metrics.filter { $0.metric.key == key }.max { $0.metric.timestamp < $1.metric.timestamp }
            return last.map { "\(Format.number($0.metric.value))" } ?? "–"
        }
        let given = params.map { key -> HTML in
            model.params.first { $0.key == key }.map { "\(ExperimentPages.short($0.value, 28))" } ?? "–"
        }
        return fixed + measured + given
    }
}
