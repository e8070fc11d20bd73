import AerieCore
import AerieTelemetry
import Serving

/// Deployments: what answers, with how much traffic, how fast.
enum DeploymentPages {
    static func list(_ states: [DeploymentState], stats: (DeploymentState) -> DeploymentStats?, now: Timestamp) -> ConsolePage {
        let rows = states.map { state -> [HTML] in
            let history = stats(state)?.history ?? []
            let stats = stats(state)?.current
            return [
                Piece.link(path(state.name), state.name), Piece.pill(word(state.state)),
                "\(state.predictors.map { "\($0.modelURI) v\($0.modelVersion)" }.joined(separator: ", "))",
                "\(Format.number(stats?.requestsPerSecond ?? 0))", "\(Format.seconds(stats?.p50 ?? 0))",
                "\(Format.seconds(stats?.p99 ?? 0))", "\(percent(stats?.errorRate ?? 0))",
                Sparkline(values: history.map(\.requestsPerSecond)).svg(),
                "<span class=\"soft\">\(String(state.reason.prefix(90)))</span>",
            ]
        }
        let table = Piece.table(
            ["Deployment", "State", "Models", "#Requests/s", "#P50", "#P99", "#Errors", "Last minutes", "Reason"], rows,
            empty: "No deployments yet: <code>aerie apply -f deployment.yaml</code>")
        return ConsolePage(
            title: "Deployments", section: .deployments, subtitle: "What answers predictions now.",
            body: Piece.live("deployments", every: 2, table))
    }

    static func deployment(_ state: DeploymentState, stats: DeploymentStats?, inference: String, now: Timestamp) -> ConsolePage {
        let notice: HTML = state.reason.isEmpty ? "" : "<div class=\"notice bad\">\(state.reason)</div>"
        let body: HTML = """
            \(Piece.live("deployment", every: 2, """
                \(notice)<div class="grid">\(tiles(stats?.current))</div>
                <h2>Traffic</h2><div class="panel">\(split(state))</div>
                <h2>The last minutes</h2><div class="wide">\(charts(stats))</div>
                """))
            <h2>Ask it</h2><div class="panel"><pre class="mono">\(example(state, inference: inference))</pre></div>
            """
        return ConsolePage(
            title: state.name, section: .deployments, crumbs: [("Deployments", "/console/deployments")],
            subtitle: "\(Piece.pill(word(state.state))) changed \(Format.ago(state.changed, now: now))", body: body)
    }

    static func path(_ name: String) -> String { "/console/deployments/" + urlEncoded(name) }

    static func word(_ state: DeploymentState.State) -> String {
        switch state {
        case .ready: "Available"
        case .loading: "Creating"
        case .unavailable: "Unavailable"
        }
    }

    static func percent(_ share: Double) -> String { Format.fixed(share * 100, share > 0 && share < 0.01 ? 2 : 0) + " %" }

    private static func tiles(_ stats: TrafficStats?) -> [HTML] {
        [
            (Format.number(stats?.requestsPerSecond ?? 0), "requests a second"), (Format.seconds(stats?.p50 ?? 0), "P50"),
            (Format.seconds(stats?.p95 ?? 0), "P95"), (Format.seconds(stats?.p99 ?? 0), "P99"),
            (percent(stats?.errorRate ?? 0), "errors"), (String(stats?.total ?? 0), "requests in all"),
        ].map { number, label -> HTML in
            "<div class=\"panel tile\"><div class=\"n\">\(number)</div><div class=\"l\">\(label)</div></div>"
        }
    }

    private static func split(_ state: DeploymentState) -> HTML {
        let bars = state.predictors.enumerated().map { index, predictor -> HTML in
            "<i style=\"width:\(predictor.weight)%;background:var(--c\(index % 8))\"></i>"
        }
        let rows = state.predictors.map { predictor -> [HTML] in
            [
                "<b>\(predictor.name)</b>", "\(predictor.weight) %\(predictor.isShadow ? " (shadow)" : "")",
                "<span class=\"mono\">\(predictor.modelURI)</span>", "\(predictor.modelVersion)",
                "<span class=\"soft\">\(predictor.platform)</span>", "\(predictor.featureNames.count)",
                "\(predictor.problem)",
            ]
        }
        return """
            <div class="split">\(bars)</div><br>\(Piece.table(
                ["Predictor", "#Traffic", "Model", "Version", "Engine", "#Features", "Problem"], rows, empty: "no predictors"))
            """
    }

    private static func charts(_ stats: DeploymentStats?) -> [HTML] {
        let history = stats?.history ?? []
        let rate = history.enumerated().map { (x: Double($0.offset - history.count + 1), y: $0.element.requestsPerSecond) }
        let p50 = history.enumerated().map { (x: Double($0.offset - history.count + 1), y: ($0.element.p50 ?? .nan) * 1e6) }
        let p99 = history.enumerated().map { (x: Double($0.offset - history.count + 1), y: ($0.element.p99 ?? .nan) * 1e6) }
        let latency = LineChart(
            title: "Latency, µs", series: [.init(name: "P50", points: p50), .init(name: "P99", points: p99)], xLabel: "seconds")
        return [
            "<div class=\"panel\">\(LineChart(title: "Requests a second", series: [.init(name: "rate", points: rate)], xLabel: "seconds").svg())</div>",
            "<div class=\"panel\">\(latency.svg())\(latency.legend())</div>",
        ]
    }

    private static func example(_ state: DeploymentState, inference: String) -> String {
        let count = max(1, state.predictors.first?.featureNames.count ?? 1)
        let zeros = Array(repeating: "0", count: count).joined(separator: ", ")
        return """
            curl \(inference)/v2/models/\(state.name)/infer -d '{"inputs": [
              {"name": "input", "shape": [1, \(count)], "datatype": "FP64", "data": [\(zeros)]}]}'
            """
    }
}
