import AerieCore
import AerieJSON
import Pipelines

/// One run of a pipeline: the steps drawn, what each took and gave, and a step's log as it grows.
enum PipelineRunPage {
    static func page(_ run: PipelineRun, step chosen: StepRun?, log: String, now: Timestamp) -> ConsolePage {
        let isLive = !run.state.isFinal
        let nodes = run.steps.map { step in
            DAGPicture.Node(
                name: step.name, caption: caption(step, now: now), tone: tone(step.state), needs: step.needs,
                link: PipelinePages.runPath(run.id) + "?step=" + urlEncoded(step.name) + "#step",
                isChosen: step.name == chosen?.name)
        }
        let waiting = run.steps.filter { $0.state == .waiting }.map { notice(waiting: $0, run: run) }
        let body: HTML = """
            \(Piece.live("run", every: isLive ? 1 : nil, """
                <div class="sub">\(status(run, now: now))</div>\(waiting)\(failure(run))
                <div class="panel scroll dag">\(DAGPicture(nodes: nodes).svg())</div>
                <h2>Steps</h2>\(steps(run, now: now))
                \(chosen.map { detail($0, log: log) })
                """))
            <h2>Parameters</h2><div class="panel">\(values(run.parameters))</div>
            """
        return ConsolePage(
            title: run.id, section: .pipelines,
            crumbs: [("Pipelines", "/console/pipelines"), (run.pipeline, "/console/pipelines")], body: body)
    }

    private static func status(_ run: PipelineRun, now: Timestamp) -> HTML {
        let tracked: HTML =
            run.trackingRun.map { id -> HTML in
                "<span>tracked as \(Piece.link("/console/runs/" + urlEncoded(id), "run " + String(id.prefix(8))))</span>"
            } ?? ""
        let path = PipelinePages.runPath(run.id)
        let actions: HTML =
            if !run.state.isFinal {
                Piece.action(path + "/cancel", "Cancel", style: "danger", confirm: "Cancel this run?")
            } else if run.state == .succeeded { "" } else {
                Piece.action(path + "/retry", "Run again from the failed step")
            }
        let took = Format.duration(milliseconds: (run.finished ?? now).milliseconds - run.created.milliseconds)
        return """
            <div class="facts">\(Piece.pill(run.state.rawValue))<span>\(took)</span>\
            <span>started \(Format.time(run.created)) by \(run.startedBy)</span>\(tracked)<span class="grow"></span>\(actions)</div>
            """
    }

    private static func failure(_ run: PipelineRun) -> HTML {
        guard run.state == .failed else { return "" }
        return "<div class=\"notice bad\"><b>Failed.</b> \(run.message)</div>"
    }

    /// What waits for a person, with the two buttons that answer it.
    static func notice(waiting step: StepRun, run: PipelineRun) -> HTML {
        let path = "\(PipelinePages.runPath(run.id))/steps/\(urlEncoded(step.name))"
        return """
            <div class="notice warn"><div class="facts"><span><b>\(step.name)</b> of \
            \(Piece.link(PipelinePages.runPath(run.id), run.id)) waits for your decision.</span><span class="grow"></span>\
            \(Piece.action(path + "/approve", "Approve", style: "primary"))\
            \(Piece.action(path + "/reject", "Reject", style: "danger", confirm: "Reject? The run will fail."))</div></div>
            """
    }

    private static func steps(_ run: PipelineRun, now: Timestamp) -> HTML {
        let start = run.steps.compactMap(\.started).map(\.milliseconds).min() ?? run.created.milliseconds
        let end = max(start + 1, (run.finished ?? now).milliseconds)
        let rows = run.steps.map { step -> [HTML] in
            let uses = step.uses == step.name ? "" : step.uses
            let name: HTML = """
                \(Piece.link("\(PipelinePages.runPath(run.id))?step=\(urlEncoded(step.name))#step", step.name)) \
                <span class="soft">\(uses)</span>
                """
            guard let began = step.started?.milliseconds else {
                return [name, Piece.pill(step.state.rawValue), "–", "", result(step)]
            }
            let stop = max(began, (step.finished ?? now).milliseconds)
            let left = Double(max(0, began - start)) / Double(end - start) * 100
            let width = min(max(0.6, Double(stop - began) / Double(end - start) * 100), 100)
            let bar: HTML = """
                <div class="span"><i class="\(tone(step.state))" style="margin-left:\(Format.fixed(min(left, 99.4), 2))%;\
                width:\(Format.fixed(width, 2))%"></i></div>
                """
            return [
                name, Piece.pill(step.state.rawValue),
                Piece.value(stop - began, "\(Format.duration(milliseconds: stop - began))"), bar, result(step),
            ]
        }
        return Piece.table(["Step", "State", "#Took", "Timeline", "Result"], rows, empty: "no steps")
    }

    /// What the step says of itself, else the first few short values it gave.
    private static func result(_ step: StepRun) -> HTML {
        if let origin = step.cachedFrom, step.state == .cached { return "<span class=\"soft\">as in \(origin)</span>" }
        if !step.state.isDone {
            let share = step.state == .running && step.progress > 0 ? "\(Int(step.progress * 100)) % " : ""
            return Piece.cut(share + step.message)
        }
        let shown = step.values.members.compactMap { member -> HTML? in
            if let number = member.value.double {
                return "<span class=\"given\">\(member.key) <b>\(Format.number(number))</b></span>"
            }
            guard let text = member.value.string, !text.isEmpty, text.count <= 26, !text.hasPrefix("/") else {
                return nil
            }
            return "<span class=\"given\">\(member.key) <b>\(text)</b></span>"
        }
        return "<div class=\"results\">\(Array(shown.prefix(4)))</div>"
    }

    private static func detail(_ step: StepRun, log: String) -> HTML {
        let artifacts = step.artifacts.sorted { $0.key < $1.key }.map { name, artifact -> (String, HTML) in
            let digest = String(artifact.digest.prefix(12))
            return (
                name,
                """
                <span class="mono">\(artifact.path)</span> <span class="soft">\(Format.bytes(artifact.bytes)) · \(digest)</span>
                """
            )
        }
        let isBare = step.values.isEmpty && artifacts.isEmpty
        let given: HTML = step.values.isEmpty ? "" : values(step.values)
        let files: HTML = artifacts.isEmpty ? "" : Piece.facts(artifacts)
        let results: HTML = isBare ? "" : "<div class=\"panel\">\(given)\(files)</div>"
        let text: HTML =
            log.isEmpty
            ? "<div class=\"panel empty\">nothing written yet</div>" : "<pre class=\"log\">\(lines(log))</pre>"
        return """
            <h2 id="step">\(step.name) <span class="soft">\(step.uses), attempt \(step.attempt)</span></h2>\
            <div class="stack">\(text)\(results)</div>
            """
    }

    /// The last lines, their time of day apart from what they say.
    private static func lines(_ log: String) -> [HTML] {
        log.split(separator: "\n").suffix(2000).map { line -> HTML in
            let words = line.split(separator: " ", maxSplits: 1)
            guard let stamp = words.first, stamp.count == 24, stamp.hasSuffix("Z"), words.count == 2 else {
                return "\(String(line))\n"
            }
            let text = String(words[1])
            let style = text.hasPrefix("failed") ? "bad" : text.hasPrefix("succeeded") ? "good" : ""
            return
                "<span class=\"t\">\(String(stamp.dropFirst(11).prefix(12)))</span> <span class=\"\(style)\">\(text)</span>\n"
        }
    }

    private static func values(_ object: JSONObject) -> HTML {
        guard !object.isEmpty else { return "<span class=\"soft\">none</span>" }
        return Piece.facts(
            object.members.map { member in
                let text = member.value.double.map(Format.number) ?? member.value.string ?? member.value.text()
                let value: HTML =
                    text.isEmpty
                    ? "<span class=\"soft\">empty</span>"
                    : "\(text.count > 300 ? String(text.prefix(300)) + " …" : text)"
                return (member.key, value)
            })
    }

    private static func caption(_ step: StepRun, now: Timestamp) -> String {
        switch step.state {
        case .running where step.progress > 0: return "\(Int(step.progress * 100)) %"
        case .succeeded:
            guard let began = step.started, let ended = step.finished else { return step.state.rawValue }
            return Format.duration(milliseconds: ended.milliseconds - began.milliseconds)
        default: return step.state.rawValue
        }
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
