import AerieCore
import AerieTelemetry
import Pipelines
import Serving

/// The first page: what runs, what waits for the reader, what is in trouble, what is there.
enum HomePage {
    struct Counts {
        var experiments: Int
        var models: Int
        var pipelines: Int
        var deployments: Int
    }

    static func page(
        counts: Counts, runs: [PipelineRun], deployments: [DeploymentState],
        stats: (DeploymentState) -> DeploymentStats?,
        dataDirectory: String, now: Timestamp
    ) -> ConsolePage {
        let running = runs.filter { $0.state == .running }.count
        let asks = runs.flatMap { run in
            run.steps.filter { $0.state == .waiting }.map { PipelineRunPage.notice(waiting: $0, run: run) }
        }
        let troubles = problems(runs: runs, deployments: deployments)
        let attention: HTML =
            asks.isEmpty && troubles.isEmpty
            ? "<div class=\"panel empty\">Nothing waits for you, and nothing is wrong.</div>" : "\(asks)\(troubles)"
        let now: HTML = """
            <h2>Needs you</h2>\(attention)
            <h2>Deployments</h2>\(DeploymentPages.table(deployments, stats: stats))
            <h2>Pipeline runs \(running == 0 ? "" : Piece.pill("\(running) running", tone: "run"))</h2>\
            \(PipelinePages.runsTable(Array(runs.prefix(8)), now: now))
            """
        let tiles = [
            Piece.tile(String(counts.experiments), "experiments", "/console/experiments"),
            Piece.tile(String(counts.models), "registered models", "/console/models"),
            Piece.tile(String(counts.pipelines), "pipelines", "/console/pipelines"),
            Piece.tile(String(counts.deployments), "deployments", "/console/deployments"),
        ]
        return ConsolePage(
            title: "Home", section: .home,
            subtitle: "Everything on this server · data in <span class=\"mono\">\(dataDirectory)</span>",
            body: "<div class=\"grid\">\(tiles)</div>\(Piece.live("now", every: 3, now))")
    }

    /// Deployments that do not answer, and pipelines whose newest run failed.
    private static func problems(runs: [PipelineRun], deployments: [DeploymentState]) -> [HTML] {
        let troubled = deployments.filter { $0.state != .ready || !$0.reason.isEmpty }.map { state -> HTML in
            "<div class=\"notice bad\">Deployment \(Piece.link(DeploymentPages.path(state.name), state.name)): \(state.reason)</div>"
        }
        var seen: Set<String> = []
        let failed = runs.filter { seen.insert($0.namespace + "/" + $0.pipeline).inserted && $0.state == .failed }
            .map { run -> HTML in
                "<div class=\"notice bad\">Pipeline run \(Piece.link(PipelinePages.runPath(run.id), run.id)): \(run.message)</div>"
            }
        return troubled + failed
    }
}
