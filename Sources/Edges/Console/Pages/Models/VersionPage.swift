import AerieCore
import Experiments
import Registry
import Serving

/// One version of a registered model: where it stands, what it takes and gives, what it is made of and from.
struct VersionPage {
    var version: ModelVersion
    var lineage: ModelPages.Lineage
    /// What its `MLmodel` file says; `nil` without one that can be read.
    var description: ModelDescription?
    /// Its input example as a preview.
    var example: HTML?
    var files: RunPage.FileList
    /// Leads to a file's preview, where the console has one.
    var filePath: (String) -> String?
    var history: [StageTransition]
    var now: Timestamp

    static func path(_ key: ModelVersionKey) -> String { "\(ModelPages.path(key.name))/\(key.version)" }

    func page() -> ConsolePage {
        let aliases = version.aliases.map { Piece.pill("@" + $0, tone: "run plain") }
        let by: HTML = version.userID.isEmpty ? "" : "<span>by \(version.userID)</span>"
        let problem: HTML =
            version.status == .ready ? "" : Piece.pill(version.status.rawValue.replacing("_", with: " "))
        let said: HTML =
            version.description.isEmpty ? "" : "<div class=\"panel prose\">\(Markdown.html(version.description))</div>"
        let body: HTML = """
            \(said)\(ModelPages.describe(Self.path(version.key) + "/description", version.description))
            <h2>Where it stands</h2><div class="panel">\(standing())</div>
            <h2>Lineage</h2><div class="panel dag scroll">\(picture())</div>
            \(measured())<h2>Signature</h2>\(description?.signature() ?? Piece.nothing("It has no MLmodel file that can be read."))
            \(example.map { "<h2>Input example</h2>\($0)" as HTML })
            <h2>Files</h2>\(fileList())<h2>Tags and source</h2>\(tags())
            <h2>Stage history</h2>\(Self.table(history))
            """
        return ConsolePage(
            title: "\(version.name) version \(version.version)", section: .models,
            crumbs: [("Models", "/console/models"), (version.name, ModelPages.path(version.name))],
            subtitle: """
                <div class="facts">\(Piece.pill(version.stage.rawValue))\(aliases)\(problem)\
                <span>registered \(Format.time(version.creationTime))</span>\(by)</div>
                """, body: body)
    }

    static func table(_ history: [StageTransition]) -> HTML {
        let moves = history.map { move -> [HTML] in
            [
                "\(Format.time(move.time))",
                "\(Piece.pill(move.from.rawValue)) <span class=\"soft\">→</span> \(Piece.pill(move.to.rawValue))",
                "\(move.actor)",
            ]
        }
        return Piece.table(["Time", "Move", "By"], moves, empty: "It has not been moved yet.")
    }

    // MARK: Forms

    private func standing() -> HTML {
        let path = Self.path(version.key)
        let stages = ModelStage.allCases.map { stage -> HTML in
            let mark: HTML = stage == version.stage ? " selected" : ""
            return "<option value=\"\(stage.rawValue)\"\(mark)>\(stage.rawValue)</option>"
        }
        let aliases = version.aliases.map { alias -> HTML in
            """
            <form class="inline" method="post" action="\(path)/alias" data-confirm="Take the alias \(alias) away?">\
            <input type="hidden" name="alias" value="\(alias)"><input type="hidden" name="do" value="delete">\
            <button aria-label="take the alias \(alias) away">@\(alias) ✕</button></form>
            """
        }
        return """
            <form class="bar" method="post" action="\(path)/stage"><label>Stage <select name="stage">\(stages)</select></label>\
            <label><input type="checkbox" name="archive" value="yes"> archive those that are in that stage</label>\
            <input type="hidden" name="back" value="version"><button class="primary">Move</button></form>\
            <form class="bar" method="post" action="\(path)/alias"><label>Alias <input type="text" name="alias" required \
            maxlength="255" pattern="[\\w\\-]+" placeholder="champion"></label><input type="hidden" name="do" value="set">\
            <button>Set</button>\(aliases)</form>\
            <form class="bar last" method="post" action="\(path)/tag"><label>Tag <input type="text" name="key" required maxlength="250" \
            placeholder="name"></label><input type="text" name="value" aria-label="Tag's value" placeholder="value">\
            <button>Tag</button></form>
            """
    }

    // MARK: What it comes from

    /// Datasets → training run → version → deployments.
    private func picture() -> HTML {
        var nodes: [DAGPicture.Node] = []
        let here = "version"
        var before: [String] = []
        if let run = lineage.run {
            var needs: [String] = []
            for (index, data) in run.datasets.prefix(6).enumerated() {
                nodes.append(
                    .init(name: "data\(index)", label: data.name, caption: "data \(data.digest)", tone: "", needs: []))
                needs.append("data\(index)")
            }
            if let id = run.tags.first(where: { $0.key == "aerie.pipelineRun" })?.value {
                nodes.append(
                    .init(
                        name: "pipeline", label: id, caption: "pipeline run", tone: "", needs: needs,
                        link: PipelinePages.runPath(id)))
                needs = ["pipeline"]
            }
            nodes.append(
                .init(
                    name: "run", label: ExperimentPages.name(run), caption: "training run",
                    tone: Piece.tone(run.info.status.rawValue), needs: needs, link: ExperimentPages.path(run)))
            before = ["run"]
        }
        nodes.append(
            .init(
                name: here, label: "\(version.name) v\(version.version)", caption: version.stage.rawValue, tone: "run",
                needs: before, isChosen: true))
        for deployment in lineage.deployments.prefix(12) {
            nodes.append(
                .init(
                    name: "deployment " + deployment, label: deployment, caption: "answers here", tone: "good",
                    needs: [here], link: DeploymentPages.path(deployment)))
        }
        return DAGPicture(nodes: nodes, boxWidth: 190, title: "lineage").svg()
    }

    private func measured() -> HTML {
        guard let run = lineage.run else { return "" }
        let metrics = run.metrics.prefix(200).map { metric -> [HTML] in
            ["\(metric.key)", "<span title=\"\(String(metric.value))\">\(Format.number(metric.value))</span>"]
        }
        let params = run.params.prefix(200).map { param -> [HTML] in
            ["\(param.key)", "<div class=\"value\">\(param.value)</div>"]
        }
        return """
            <h2>Its run <span class="soft">\(Piece.link(ExperimentPages.path(run), ExperimentPages.name(run)))</span></h2>\
            <div class="wide top"><div>\(Piece.table(["Metric", "#Latest"], metrics, empty: "no metrics"))</div>\
            <div>\(Piece.table(["Parameter", "Value"], params, empty: "no parameters"))</div></div>
            """
    }

    private func fileList() -> HTML {
        guard !files.files.isEmpty else { return Piece.nothing("Its files are not kept by this server.") }
        let rows = files.files.map { file -> HTML in
            let name: HTML = filePath(file.path).map { Piece.link($0, file.path) } ?? "<span>\(file.path)</span>"
            return "<li>\(name)<span class=\"soft\">\(Format.bytes(file.size))</span></li>"
        }
        let more: HTML = files.isCut ? "<p class=\"soft\">There are more files than are listed here.</p>" : ""
        return "<div class=\"panel\"><ul class=\"files\">\(rows)</ul>\(more)</div>"
    }

    private func tags() -> HTML {
        let own = version.tags.filter { !$0.key.hasPrefix("mlflow.") }.map { ($0.key, "\($0.value)" as HTML) }
        let about: [(String, HTML)] =
            own + [
                ("source", "<span class=\"mono\">\(version.source)</span>"),
                ("files at", "<span class=\"mono\">\(version.location)</span>"),
            ]
        let model = (description?.facts ?? []).map { ($0.0, "<span class=\"mono\">\($0.1)</span>" as HTML) }
        return "<div class=\"panel\">\(Piece.facts(about + model))</div>"
    }
}
