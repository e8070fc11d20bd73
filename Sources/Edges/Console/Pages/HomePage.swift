import AerieCore
import Pipelines
import Serving

/// The first page: what runs, what waits for the reader, what is there.
enum HomePage {
    struct Counts {
        var experiments: Int
        var models: Int
        var pipelines: Int
        var deployments: Int
    }

    static func page(counts: Counts, runs: [PipelineRun], deployments: [DeploymentState], dataDirectory: String, now: Timestamp)
        -> ConsolePage
    {
        let waiting = runs.filter { $0.state == .waiting }
        let running = runs.filter { $0.state == .running }
        let troubled = deployments.filter { $0.state != .ready || !$0.reason.isEmpty }
        let waits = waiting.map { run -> HTML in
            let steps = run.steps.filter { $0.state == .waiting }.map(\.name).joined(separator: ", ")
            return """
                <div class="notice">\(Piece.link(PipelinePages.runPath(run.id), run.id)): <b>\(steps)</b> waits for your decision.</div>
                """
        }
        let problems = troubled.map { state -> HTML in
            "<div class=\"notice bad\">\(Piece.link(DeploymentPages.path(state.name), state.name)): \(state.reason)</div>"
        }
        let attention: HTML = waits.isEmpty && problems.isEmpty
            ? "<div class=\"panel empty\">Nothing waits for you.</div>" : "\(waits)\(problems)"
        let body: HTML = """
            <div class="grid">\([
                Piece.tile(String(counts.experiments), "experiments", "/console/experiments"),
                Piece.tile(String(counts.models), "registered models", "/console/models"),
                Piece.tile(String(counts.pipelines), "pipelines", "/console/pipelines"),
                Piece.tile(String(counts.deployments), "deployments", "/console/deployments"),
            ])</div>
            \(Piece.live("now", every: 3, """
                <h2>Waits for you</h2>\(attention)
                <h2>\(running.isEmpty ? "Latest pipeline runs" : "Runs now")</h2>
                \(PipelinePages.runsTable(Array((running.isEmpty ? runs : running).prefix(8)), now: now))
                """))
            """
        return ConsolePage(
            title: "Home", section: .home, subtitle: "Everything on this server · data in <span class=\"mono\">\(dataDirectory)</span>",
            body: body)
    }
}
