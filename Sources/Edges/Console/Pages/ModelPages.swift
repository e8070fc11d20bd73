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
                "\(model.latestVersions.map(\.version).max() ?? 0)", "\(stages)",
                "\(model.aliases.map { "@\($0.alias) → v\($0.version)" }.joined(separator: ", "))",
                "<span class=\"soft\">\(Format.ago(model.lastUpdateTime, now: now))</span>",
                "<span class=\"soft\">\(String(model.description.prefix(80)))</span>",
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
        _ model: RegisteredModel, versions: [(version: ModelVersion, lineage: Lineage)], history: [StageTransition], now: Timestamp
    ) -> ConsolePage {
        let rows = versions.map { item -> [HTML] in
            let version = item.version
            return [
                "<b>Version \(version.version)</b>", Piece.pill(version.stage.rawValue),
                "\(version.aliases.map { "@" + $0 }.joined(separator: " "))", metrics(item.lineage.run),
                lineage(item.lineage), "<span class=\"soft\">\(Format.ago(version.creationTime, now: now))</span>",
                "<span class=\"soft\">\(String(version.description.prefix(60)))</span>", promote(version),
            ]
        }
        let moves = history.map { move -> [HTML] in
            [
                "\(Format.time(move.time))", "version \(move.version)",
                "\(Piece.pill(move.from.rawValue)) → \(Piece.pill(move.to.rawValue))", "\(move.actor)",
            ]
        }
        let tags = model.tags.map { ($0.key, "\($0.value)" as HTML) }
        let body: HTML = """
            \(Piece.table(["Version", "Stage", "Aliases", "Metrics", "Lineage", "Registered", "Description", ""], rows, empty: "no versions"))
            <h2>Stage history</h2>\(Piece.table(["Time", "Version", "Move", "By"], moves, empty: "No version has been moved yet."))
            \(tags.isEmpty ? "" : "<h2>Tags</h2><div class=\"panel\">\(Piece.facts(tags))</div>")
            """
        return ConsolePage(
            title: model.name, section: .models, crumbs: [("Models", "/console/models")],
            subtitle: model.description.isEmpty ? "A registered model." : "\(model.description)", body: body)
    }

    static func path(_ name: String) -> String { "/console/models/" + urlEncoded(name) }

    private static func metrics(_ run: Run?) -> HTML {
        guard let run else { return "–" }
        let shown = run.metrics.filter { ["auc", "f1", "precision", "recall", "accuracy", "f1_score"].contains($0.key) }
        let text = (shown.isEmpty ? Array(run.metrics.prefix(3)) : shown).map { "\($0.key) \(Format.number($0.value))" }
        return "\(text.joined(separator: ", "))"
    }

    private static func lineage(_ lineage: Lineage) -> HTML {
        let data = lineage.run?.datasets.map { dataset -> HTML in "\(dataset.name) <span class=\"arrow\">→</span> " } ?? []
        let source = lineage.run?.tags.first { $0.key == "aerie.pipelineRun" }.map { tag -> HTML in
            "\(Piece.link(PipelinePages.runPath(tag.value), tag.value)) <span class=\"arrow\">→</span> "
        }
        let run: HTML = lineage.run.map { "\(Piece.link(ExperimentPages.path($0), "run " + $0.info.name))" } ?? "<span class=\"soft\">no run</span>"
        let answers = lineage.deployments.map { name -> HTML in
            " <span class=\"arrow\">→</span> \(Piece.link("/console/deployments/" + urlEncoded(name), name))"
        }
        return "<span class=\"lineage\">\(data)\(source)\(run)\(answers)</span>"
    }

    /// A button for each way that is open from here: up one stage, or out of use.
    private static func promote(_ version: ModelVersion) -> HTML {
        let next: [ModelStage] = switch version.stage {
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
            confirm: stage == .production ? "Deployments that follow Production will serve version \(version.version)." : nil,
            fields: [("stage", stage.rawValue)])
        return "\(button) "
    }
}
