import AerieCore
import AerieJSON
import AerieResources
import Pipelines

/// Pipelines as declared, and their runs.
enum PipelinePages {
    static func list(pipelines: [Resource], runs: [PipelineRun], now: Timestamp) -> ConsolePage {
        let newest = Dictionary(grouping: runs, by: \.pipeline)
        let rows = pipelines.map { pipeline -> [HTML] in
            let mine = newest[pipeline.metadata.name] ?? []
            let steps = pipeline.spec["steps"]?.array?.count ?? 0
            let run = Piece.action(
                "/console/pipelines/\(urlEncoded(pipeline.metadata.name))/run", "Run",
                fields: [("namespace", pipeline.metadata.namespace)])
            return [
                "<b>\(Piece.link(ResourcePages.path(pipeline.key), pipeline.metadata.name))</b>",
                Piece.cut(pipeline.spec["description"]?.string ?? ""), "\(steps)", "\(mine.count)",
                mine.first.map { run -> HTML in
                    "\(Piece.pill(run.state.rawValue)) &nbsp;\(Piece.link(runPath(run.id), Format.ago(run.created, now: now)))"
                } ?? "<span class=\"soft\">never</span>",
                "<div class=\"right\">\(run)</div>",
            ]
        }
        let body: HTML = """
            \(Piece.table(["Pipeline", "Description", "#Steps", "#Runs", "Last run", ""], rows,
                empty: "No pipelines yet: <code>aerie apply -f pipeline.yaml</code>"))
            <h2>Runs</h2>\(Piece.live("runs", every: 3, runsTable(runs, now: now)))
            """
        return ConsolePage(title: "Pipelines", section: .pipelines, subtitle: "What trains, and how far it is.", body: body)
    }

    static func runsTable(_ runs: [PipelineRun], now: Timestamp) -> HTML {
        let rows = runs.map { run -> [HTML] in
            let took = (run.finished ?? now).milliseconds - run.created.milliseconds
            return [
                "<a class=\"mono\" href=\"\(runPath(run.id))\">\(run.id)</a>", "\(run.pipeline)",
                Piece.pill(run.state.rawValue), progress(run),
                Piece.value(run.created.milliseconds, "\(Format.ago(run.created, now: now))"),
                Piece.value(took, "\(Format.duration(milliseconds: took))"), Piece.cut(run.message),
            ]
        }
        return Piece.table(
            ["Run", "Pipeline", "State", "Progress", "Started", "#Took", "Message"], rows,
            empty: "No runs yet: <code>aerie pipeline run NAME</code>")
    }

    static func runPath(_ id: String) -> String { "/console/pipelines/runs/" + urlEncoded(id) }

    /// How much of a run is done, and the steps counted.
    private static func progress(_ run: PipelineRun) -> HTML {
        let done = run.steps.count { $0.state.isDone }
        let share = run.state == .succeeded ? 1 : run.steps.isEmpty ? 0 : max(0, min(1, run.state == .failed
            ? Double(done) / Double(run.steps.count) : run.progress))
        let tone = run.state == .failed ? "bad" : run.state == .succeeded ? "good" : ""
        return """
            <div class="share"><div class="progress \(tone)"><i style="width:\(Int(share * 100))%"></i></div>\
            <span class="soft">\(done)/\(run.steps.count)</span></div>
            """
    }
}
