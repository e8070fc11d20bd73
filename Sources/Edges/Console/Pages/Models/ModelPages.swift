import AerieCore
import Experiments
import Registry
import Serving

/// Registered models, their versions with stage, lineage and the buttons that promote them.
enum ModelPages {
    static func list(_ models: [RegisteredModel], now: Timestamp) -> ConsolePage {
        let rows = models.map { model -> [HTML] in
            let stages = model.latestVersions.filter { $0.stage != .none }.map { version -> HTML in
                "\(Piece.pill(version.stage.rawValue)) <span class=\"soft\">v\(version.version)</span> "
            }
            return [
                Piece.link(path(model.name), model.name),
                "\(model.latestVersions.map(\.version).max() ?? 0)",
                stages.isEmpty ? "<span class=\"soft\">–</span>" : "\(stages)",
                "\(model.aliases.map { "@\($0.alias) → v\($0.version)" }.joined(separator: ", "))",
                "<span class=\"soft\">\(Format.ago(model.lastUpdateTime, now: now))</span>",
                Piece.cut(model.description),
            ]
        }
        return ConsolePage(
            title: "Models", section: .models, subtitle: "What is registered, and where each version stands.",
            body: Piece.table(
                ["Model", "#Newest", "Stages", "Aliases", "Changed", "Description"], rows,
                empty: "No models yet: <code>mlflow.register_model()</code>"))
    }

    /// What a version was made by and answers in.
    struct Lineage {
        var run: Run?
        var deployments: [String]
    }

    static func model(
        _ model: RegisteredModel, versions: [(version: ModelVersion, lineage: Lineage)], history: [StageTransition],
        now: Timestamp
    ) -> ConsolePage {
        let moves = history.map { move -> [HTML] in
            [
                "\(Format.time(move.time))", "Version \(move.version)",
                "\(Piece.pill(move.from.rawValue)) <span class=\"soft\">→</span> \(Piece.pill(move.to.rawValue))",
                "\(move.actor)",
            ]
        }
        let shownTags = model.tags.filter { !$0.key.hasPrefix("mlflow.") }
        let tags: HTML =
            shownTags.isEmpty
            ? "" : "<h2>Tags</h2><div class=\"panel\">\(Piece.facts(shownTags.map { ($0.key, "\($0.value)") }))</div>"
        let aliases = model.aliases.map { alias -> HTML in
            """
            <span class="facts">\(Piece.pill("@" + alias.alias, tone: "run plain"))\
            <a href="\(VersionPage.path(ModelVersionKey(model.name, alias.version)))">version \(alias.version)</a></span>
            """
        }
        let named: HTML = aliases.isEmpty ? "" : "<h2>Aliases</h2><div class=\"panel facts\">\(aliases)</div>"
        let cards = versions.map { card($0.version, $0.lineage, now: now) }
        let body: HTML = """
            \(about(model))\(compareForm(model.name, versions.map(\.version)))
            <div class="stack">\(cards)</div>\(cards.isEmpty ? Piece.nothing("No version has been registered yet.") : "")
            <h2>Stage history</h2>\(Piece.table(["Time", "Version", "Move", "By"], moves, empty: "No version has been moved yet."))
            \(named)\(tags)
            """
        return ConsolePage(
            title: model.name, section: .models, crumbs: [("Models", "/console/models")],
            subtitle: """
                A registered model, made \(Format.ago(model.creationTime, now: now)), changed \
                \(Format.ago(model.lastUpdateTime, now: now)).
                """, body: body)
    }

    private static func about(_ model: RegisteredModel) -> HTML {
        let said: HTML =
            model.description.isEmpty ? "" : "<div class=\"panel prose\">\(Markdown.html(model.description))</div>"
        return "\(said)\(describe(path(model.name) + "/description", model.description))"
    }

    /// The form that changes a description.
    static func describe(_ action: String, _ text: String) -> HTML {
        """
        <details><summary>Edit the description</summary><form method="post" action="\(action)" class="panel edit">\
        <label for="description">Description, in Markdown</label>\
        <textarea id="description" name="description" rows="6" maxlength="20000">\n\(text)</textarea>\
        <button class="primary">Save</button></form></details>
        """
    }

    /// Two versions to be set beside each other; the newest two at first.
    private static func compareForm(_ name: String, _ versions: [ModelVersion]) -> HTML {
        guard versions.count > 1 else { return "<h2>Versions</h2>" }
        func select(_ field: String, _ chosen: Int) -> HTML {
            let options = versions.map { version -> HTML in
                let mark: HTML = version.version == chosen ? " selected" : ""
                return "<option value=\"\(version.version)\"\(mark)>version \(version.version)</option>"
            }
            return "<select name=\"version\" aria-label=\"\(field)\">\(options)</select>"
        }
        return """
            <h2>Versions</h2><form class="bar" method="get" action="/console/compare/versions">\
            <input type="hidden" name="model" value="\(name)">Compare \(select("first version", versions[1].version)) with \
            \(select("second version", versions[0].version))<button>Compare</button></form>
            """
    }

    /// A version: where it stands, how good it is, what it comes from, what it answers in, and its buttons.
    private static func card(_ version: ModelVersion, _ lineage: Lineage, now: Timestamp) -> HTML {
        let aliases = version.aliases.map { Piece.pill("@" + $0, tone: "run plain") }
        let tags = version.tags.filter { !$0.key.hasPrefix("mlflow.") }.map { ($0.key, "\($0.value)" as HTML) }
        let details: HTML = """
            <details><summary>Source and tags</summary>\(Piece.facts([
                ("Source", "<span class=\"mono\">\(version.source)</span>"),
                ("Files", "<span class=\"mono\">\(version.location)</span>"), ("Status", "\(version.status.rawValue.lowercased())"),
            ] + tags))</details>
            """
        let description: HTML = version.description.isEmpty ? "" : "<p class=\"soft\">\(version.description)</p>"
        return """
            <section class="panel version"><div class="facts"><a class="big" href="\(VersionPage.path(version.key))"><b>Version \(version.version)</b></a>\
            \(Piece.pill(version.stage.rawValue))\(aliases)\
            <span class="soft">registered \(Format.ago(version.creationTime, now: now))</span><span class="grow"></span>\
            \(promote(version))</div>\(description)\(metrics(lineage.run))\(self.lineage(version, lineage))\(details)</section>
            """
    }

    static func path(_ name: String) -> String { "/console/models/" + urlEncoded(name) }

    private static let headline = [
        "auc", "f1", "f1_score", "precision", "recall", "accuracy", "average_precision", "log_loss", "rmse", "mae",
        "r2",
    ]

    static func metrics(_ run: Run?) -> HTML {
        guard let run, !run.metrics.isEmpty else { return "" }
        let known = headline.compactMap { key in run.metrics.first { $0.key == key } }
        let shown = (known.isEmpty ? run.metrics : known).prefix(8).map { metric -> HTML in
            "<div><b>\(Format.number(metric.value))</b><span>\(metric.key)</span></div>"
        }
        return "<div class=\"measures\">\(shown)</div>"
    }

    /// Data → pipeline run → training run → version → deployments.
    private static func lineage(_ version: ModelVersion, _ lineage: Lineage) -> HTML {
        func node(_ kind: String, _ what: HTML) -> HTML { "<span class=\"from\"><small>\(kind)</small>\(what)</span>" }
        var chain: [HTML] = []
        if let run = lineage.run {
            chain += run.datasets.prefix(3).map { node("data", "\($0.name)") }
            if run.datasets.isEmpty, let hash = run.params.first(where: { $0.key == "data.sha256" })?.value {
                chain.append(
                    node("data", "<span class=\"mono\" title=\"\(hash)\">sha256 \(String(hash.prefix(10)))</span>"))
            }
            if let id = run.tags.first(where: { $0.key == "aerie.pipelineRun" })?.value {
                chain.append(node("pipeline run", Piece.link(PipelinePages.runPath(id), id)))
            }
            chain.append(node("training run", Piece.link(ExperimentPages.path(run), run.info.name)))
        }
        chain.append(node("model", "<b>\(version.name) v\(version.version)</b>"))
        chain += lineage.deployments.map { node("answers in", Piece.link(DeploymentPages.path($0), $0)) }
        return "<div class=\"lineage\">\(chain.joined("<span class=\"arrow\">→</span>"))</div>"
    }

    /// A button for each way that is open from here: up one stage, or out of use.
    private static func promote(_ version: ModelVersion) -> HTML {
        let next: [ModelStage] =
            switch version.stage {
            case .none, .development: [.staging]
            case .staging: [.production, .archived]
            case .production: [.archived]
            case .archived: [.staging]
            }
        return "\(next.map { stage -> HTML in promote(version, to: stage) })"
    }

    private static func promote(_ version: ModelVersion, to stage: ModelStage) -> HTML {
        let action = "\(path(version.name))/\(version.version)/stage"
        let isUp = stage != .archived
        let button = Piece.action(
            action, isUp ? "Promote to \(stage.rawValue)" : "Archive", style: isUp ? "primary" : "",
            confirm: stage == .production
                ? "Deployments that follow Production will serve version \(version.version)." : nil,
            fields: [("stage", stage.rawValue)])
        return "\(button) "
    }
}
