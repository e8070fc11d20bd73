import AerieCore
import Experiments
import Registry

/// One run: its numbers and their histories, the models it made, its pictures and files.
enum RunPage {
    /// A model that the run made, its registered versions, and its files.
    struct Made {
        var model: LoggedModel
        var versions: [ModelVersionKey]
        var files: FileList
    }

    /// Files below a root, with their paths from there.
    struct FileList {
        var files: [(path: String, size: Int64)]
        /// What is kept of the contents, by path, where it is asked for.
        var digests: [String: ContentDigest] = [:]
        /// There are more than these.
        var isCut: Bool
    }

    static func page(
        _ run: Run, experiment: Experiment?, histories: [(key: String, values: [Metric])], files: FileList,
        models: [Made], versions: [ModelVersionKey], options: ChartOptions, now: Timestamp
    ) -> ConsolePage {
        let metrics = run.metrics.map { metric -> [HTML] in
            ["\(metric.key)", "<span title=\"\(String(metric.value))\">\(Format.number(metric.value))</span>", "\(Int(metric.step))"]
        }
        let params = run.params.map { param -> [HTML] in
            ["\(param.key)", "<div class=\"value\" title=\"\(param.value)\">\(param.value)</div>"]
        }
        let body: HTML = """
            \(made(models, versions: versions))
            <div class="wide"><div><h2>Metrics</h2>\(Piece.table(["Metric", "#Latest", "#Step"], metrics, empty: "none logged"))</div>
            <div><h2>Parameters</h2>\(Piece.table(["Parameter", "Value"], params, empty: "none logged"))</div></div>
            \(charts(run, histories, options))\(pictures(run, files))
            <h2>Artifacts</h2>\(table(files, run: run, model: nil))
            <h2>Tags and source</h2><div class="panel">\(facts(run))</div>
            """
        var crumbs = [("Experiments", "/console/experiments")]
        if let experiment { crumbs.append((experiment.name, "/console/experiments/\(urlEncoded(experiment.id.text))")) }
        let pipeline: HTML = run.tags.first { $0.key == "aerie.pipelineRun" }.map { tag -> HTML in
            "<span>by pipeline run \(Piece.link(PipelinePages.runPath(tag.value), tag.value))</span>"
        } ?? ""
        return ConsolePage(
            title: ExperimentPages.name(run), section: .experiments, crumbs: crumbs,
            subtitle: """
                <div class="facts">\(Piece.pill(run.info.status.rawValue))<span>\(ExperimentPages.took(run, now: now))</span>\
                <span>started \(Format.time(run.info.startTime)) by \(run.info.userID)</span>\(pipeline)\
                <span class="mono">\(run.info.id.text)</span></div>
                """, body: body)
    }

    /// Small charts, those whose names begin alike (`train/loss`) under one heading.
    private static func charts(
        _ run: Run, _ histories: [(key: String, values: [Metric])], _ options: ChartOptions
    ) -> HTML {
        let drawn = histories.filter { Set($0.values.map(\.step)).count > 1 }
        guard !drawn.isEmpty else { return "" }
        let groups = Dictionary(grouping: drawn) { history in
            history.key.firstIndex(of: "/").map { String(history.key[..<$0]) } ?? ""
        }
        let parts = groups.sorted { $0.key < $1.key }.map { name, members -> HTML in
            let charts = members.map { history -> HTML in
                "<div class=\"panel\">\(options.chart(history.key, [(run.info.name, history.values)]).svg())</div>"
            }
            let heading: HTML = name.isEmpty ? "" : "<h3>\(name)</h3>"
            return "\(heading)<div class=\"wide\">\(charts)</div>"
        }
        return "<h2>Histories</h2>\(options.form())\(parts)"
    }

    private static func pictures(_ run: Run, _ files: FileList) -> HTML {
        let shown = files.files.filter { ArtifactPreview.pictureType($0.path) != nil && $0.size < 2 << 20 }.prefix(8)
            .map { file -> HTML in
                """
                <a class="panel picture" href="\(ArtifactPreview.page(run, file.path))"><img loading="lazy" alt="\(file.path)" \
                src="\(ArtifactPreview.download(run, file.path))"><span>\(file.path)</span></a>
                """
            }
        return shown.isEmpty ? "" : "<h2>Pictures</h2><div class=\"gallery\">\(shown)</div>"
    }

    private static func made(_ models: [Made], versions: [ModelVersionKey]) -> HTML {
        func link(_ key: ModelVersionKey) -> HTML {
            "<a href=\"\(VersionPage.path(key))\">\(key.name) version \(key.version)</a>"
        }
        let known = Set(models.flatMap(\.versions))
        let loose = versions.filter { !known.contains($0) }
        let direct: HTML = loose.isEmpty ? "" : """
            <div class="notice">This run <span class="soft">→</span> \(loose.map(link).joined(", "))</div>
            """
        let panels = models.map { item -> HTML in
            let status = item.model.status.rawValue.replacing("LOGGED_MODEL_", with: "").replacing("_", with: " ")
            let registered: HTML = item.versions.isEmpty
                ? "<span class=\"soft\">not registered</span>"
                : "<span class=\"soft\">registered as</span> \(item.versions.map(link).joined(", "))"
            let kind: HTML = item.model.modelType.isEmpty ? "" : "<span class=\"soft\">\(item.model.modelType)</span>"
            return """
                <div class="panel"><div class="facts"><b>\(item.model.name)</b>\(Piece.pill(status))\(registered)\(kind)\
                <span class="mono soft">\(item.model.id.text)</span></div>\
                <details><summary>\(item.files.files.count)\(item.files.isCut ? "+" : "") files</summary>\
                \(files(item))</details></div>
                """
        }
        return "\(direct)\(panels.isEmpty ? "" : "<h2>Models</h2><div class=\"stack\">\(panels)</div>" as HTML)"
    }

    private static func files(_ item: Made) -> HTML {
        guard let run = item.model.sourceRunID else { return "" }
        return "<ul class=\"files\">\(item.files.files.map { file -> HTML in row(file, run: run, model: item.model.id) })</ul>"
    }

    private static func row(_ file: (path: String, size: Int64), run: RunID, model: LoggedModelID?) -> HTML {
        let target = ArtifactPreview.page(run, file.path, model: model)
        return "<li><a href=\"\(target)\">\(file.path)</a><span class=\"soft\">\(Format.bytes(file.size))</span></li>"
    }

    private static func table(_ list: FileList, run: Run, model: LoggedModelID?) -> HTML {
        guard !list.files.isEmpty else { return "<div class=\"panel empty\">none logged</div>" }
        let more: HTML = list.isCut ? "<p class=\"soft\">There are more files than are listed here.</p>" : ""
        let rows = list.files.map { row($0, run: run.info.id, model: model) }
        return "<div class=\"panel\"><ul class=\"files\">\(rows)</ul>\(more)</div>"
    }

    /// The tags a person set, then what the run says of itself.
    private static func facts(_ run: Run) -> HTML {
        let own = run.tags.filter { !$0.key.hasPrefix("mlflow.") && !$0.key.hasPrefix("aerie.") }
        let source = run.tags.filter { ["mlflow.source.name", "mlflow.source.git.commit", "mlflow.note.content"].contains($0.key) }
        let pairs = own.map { ($0.key, "\($0.value)" as HTML) }
            + run.datasets.map { ("dataset", "\($0.name) <span class=\"mono soft\">\($0.digest)</span>" as HTML) }
            + source.map { (String($0.key.dropFirst(7)), "\($0.value)" as HTML) }
            + [("artifacts at", "<span class=\"mono\">\(run.info.artifactURI)</span>")]
        return Piece.facts(pairs)
    }
}
