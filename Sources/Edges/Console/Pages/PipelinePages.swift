import AerieCore
import AerieJSON
import AerieResources
import Pipelines

/// Pipelines as declared, their runs, and one run with its steps drawn and its logs live.
enum PipelinePages {
    static func list(pipelines: [Resource], runs: [PipelineRun], now: Timestamp) -> ConsolePage {
        let newest = Dictionary(grouping: runs, by: \.pipeline)
        let rows = pipelines.map { pipeline -> [HTML] in
            let mine = newest[pipeline.metadata.name] ?? []
            let steps = pipeline.spec["steps"]?.array?.count ?? 0
            return [
                "<b>\(pipeline.metadata.name)</b>", "\(steps)", "\(mine.count)",
                mine.first.map { run -> HTML in
                    "\(Piece.pill(run.state.rawValue)) \(Piece.link(runPath(run.id), Format.ago(run.created, now: now)))"
                } ?? "<span class=\"soft\">never</span>",
                Piece.action("/console/pipelines/\(pipeline.metadata.name)/run", "Run"),
            ]
        }
        let body: HTML = """
            \(Piece.table(["Pipeline", "#Steps", "#Runs", "Last run", ""], rows,
                empty: "No pipelines yet: <code>aerie apply -f pipeline.yaml</code>"))
            <h2>Runs</h2>\(Piece.live("runs", every: 3, runsTable(runs, now: now)))
            """
        return ConsolePage(title: "Pipelines", section: .pipelines, subtitle: "What trains, and how far it is.", body: body)
    }

    static func runsTable(_ runs: [PipelineRun], now: Timestamp) -> HTML {
        let rows = runs.map { run -> [HTML] in
            [
                "<a class=\"mono\" href=\"\(runPath(run.id))\">\(run.id)</a>", "\(run.pipeline)",
                Piece.pill(run.state.rawValue), progress(run.progress),
                "<span data-value=\"\(Int(run.created.milliseconds))\">\(Format.ago(run.created, now: now))</span>",
                "\(Format.duration(milliseconds: (run.finished ?? now).milliseconds - run.created.milliseconds))",
                "<span class=\"soft\">\(String(run.message.prefix(80)))</span>",
            ]
        }
        return Piece.table(
            ["Run", "Pipeline", "State", "Progress", "Started", "Took", "Message"], rows,
            empty: "No runs yet: <code>aerie pipeline run NAME</code>")
    }

    static func run(_ run: PipelineRun, step chosen: StepRun?, log: String, now: Timestamp) -> ConsolePage {
        let isLive = !run.state.isFinal
        let nodes = run.steps.map { step in
            DAGPicture.Node(
                name: step.name, caption: caption(step), tone: tone(step.state), needs: step.needs,
                link: runPath(run.id) + "?step=" + step.name)
        }
        let waiting = run.steps.filter { $0.state == .waiting }
        let body: HTML = """
            \(Piece.live("run", every: isLive ? 1 : nil, """
                \(waiting.map { waitingNotice($0, run: run) })\(failure(run))
                <div class="panel scroll">\(DAGPicture(nodes: nodes).svg())</div>
                <h2>Steps</h2>\(steps(run, now: now))
                \(chosen.map { stepDetail($0, log: log, run: run) })
                """))
            <h2>Parameters</h2><div class="panel">\(values(run.parameters))</div>
            """
        let links: HTML = run.trackingRun.map { "· tracked as <a href=\"/console/runs/\($0)\">\(String($0.prefix(8)))</a>" } ?? ""
        let actions: HTML = isLive
            ? Piece.action(runPath(run.id) + "/cancel", "Cancel", style: "danger", confirm: "Cancel this run?")
            : run.state == .succeeded ? "" : Piece.action(runPath(run.id) + "/retry", "Run again from the failed step")
        return ConsolePage(
            title: "\(run.pipeline) \(run.id)", section: .pipelines, crumbs: [("Pipelines", "/console/pipelines")],
            subtitle: "\(Piece.pill(run.state.rawValue)) started \(Format.time(run.created)) by \(run.startedBy) \(links) \(actions)",
            body: body)
    }

    static func runPath(_ id: String) -> String { "/console/pipelines/runs/" + id }

    private static func failure(_ run: PipelineRun) -> HTML {
        guard run.state == .failed else { return "" }
        return "<div class=\"notice bad\"><b>Failed.</b> \(run.message)</div>"
    }

    private static func waitingNotice(_ step: StepRun, run: PipelineRun) -> HTML {
        """
        <div class="notice"><b>\(step.name)</b> waits for a person. \(step.message) &nbsp;\
        \(Piece.action("\(runPath(run.id))/steps/\(step.name)/approve", "Approve", style: "primary")) \
        \(Piece.action("\(runPath(run.id))/steps/\(step.name)/reject", "Reject", style: "danger", confirm: "Reject?"))</div>
        """
    }

    private static func steps(_ run: PipelineRun, now: Timestamp) -> HTML {
        let rows = run.steps.map { step -> [HTML] in
            let took = step.started.map { Format.duration(milliseconds: (step.finished ?? now).milliseconds - $0.milliseconds) }
            return [
                Piece.link("\(runPath(run.id))?step=\(step.name)", step.name), "<span class=\"soft\">\(step.uses)</span>",
                Piece.pill(step.state.rawValue),
                step.state == .running ? progress(step.progress) : "",
                "\(took ?? "–")", "<span class=\"soft\">\(String(step.message.prefix(110)))</span>",
            ]
        }
        return Piece.table(["Step", "Uses", "State", "Progress", "Took", "Message"], rows, empty: "no steps")
    }

    private static func stepDetail(_ step: StepRun, log: String, run: PipelineRun) -> HTML {
        let artifacts = step.artifacts.sorted { $0.key < $1.key }.map { name, artifact -> (String, HTML) in
            (name, "<span class=\"mono\">\(artifact.path)</span> · \(Format.bytes(artifact.bytes)) · \(String(artifact.digest.prefix(12)))")
        }
        let results: HTML = step.values.isEmpty && artifacts.isEmpty ? "" : """
            <h2>\(step.name): results</h2><div class="panel">\(values(step.values))\(Piece.facts(artifacts))</div>
            """
        return """
            \(results)<h2>\(step.name): log</h2>\(log.isEmpty
                ? "<div class=\"panel empty\">nothing written yet</div>" : "<pre class=\"log\">\(log)</pre>" as HTML)
            """
    }

    private static func values(_ object: JSONObject) -> HTML {
        guard !object.isEmpty else { return "<span class=\"soft\">none</span>" }
        return Piece.facts(object.members.map { member in
            let text = member.value.string ?? member.value.text()
            return (member.key, "\(text.count > 300 ? String(text.prefix(300)) + " …" : text)")
        })
    }

    private static func progress(_ share: Double) -> HTML {
        "<div class=\"progress\" title=\"\(Int(share * 100)) %\"><i style=\"width:\(Int(max(0, min(1, share)) * 100))%\"></i></div>"
    }

    private static func caption(_ step: StepRun) -> String {
        step.state == .running ? "\(step.uses) · \(Int(step.progress * 100)) %" : "\(step.uses) · \(step.state.rawValue)"
    }

    private static func tone(_ state: StepRun.State) -> String {
        switch state {
        case .succeeded, .cached: "good"
        case .failed: "bad"
        case .running: "run"
        case .waiting: "warn"
        case .pending, .skipped, .cancelled: ""
        }
    }
}
