import AerieCore
import AerieTelemetry
import Serving

/// Deployments: what answers, with how much traffic, how fast.
enum DeploymentPages {
    static func list(_ states: [DeploymentState], stats: (DeploymentState) -> DeploymentStats?, now: Timestamp)
        -> ConsolePage
    {
        ConsolePage(
            title: "Deployments", section: .deployments, subtitle: "What answers predictions now.",
            body: Piece.live("deployments", every: 2, table(states, stats: stats)))
    }

    static func table(_ states: [DeploymentState], stats: (DeploymentState) -> DeploymentStats?) -> HTML {
        let rows = states.map { state -> [HTML] in
            let found = stats(state)
            let now = found?.current
            let models = state.predictors.map { predictor -> HTML in
                let version: HTML =
                    predictor.modelVersion.isEmpty ? "" : " <span class=\"soft\">v\(predictor.modelVersion)</span>"
                return "<span class=\"mono\">\(predictor.modelURI)</span>\(version)"
            }
            let isQuiet = (now?.total ?? 0) == 0
            return [
                Piece.link(path(state.name), state.name), Piece.pill(word(state.state)),
                state.reason.isEmpty ? models.joined(", ") : Piece.cut(state.reason),
                "\(Format.number(now?.requestsPerSecond ?? 0))", latency(now?.p50), latency(now?.p99),
                isQuiet ? "–" : "\(percent(now?.errorRate ?? 0))",
                Sparkline(values: (found?.history ?? []).suffix(120).map(\.requestsPerSecond)).svg(),
            ]
        }
        return Piece.table(
            ["Deployment", "State", "Model", "#Requests/s", "#P50", "#P99", "#Errors", "Last 2 min"], rows,
            empty: "No deployments yet: <code>aerie apply -f deployment.yaml</code>")
    }

    /// Sorts by microseconds, whatever the unit that shows.
    private static func latency(_ seconds: Double?) -> HTML {
        guard let seconds, seconds.isFinite, seconds > 0, seconds < 1e6 else { return "–" }
        return Piece.value(Int64(seconds * 1e6), "\(Format.seconds(seconds))")
    }

    static func deployment(_ state: DeploymentState, stats: DeploymentStats?, inference: String, now: Timestamp)
        -> ConsolePage
    {
        let notice: HTML = state.reason.isEmpty ? "" : "<div class=\"notice bad\">\(state.reason)</div>"
        let body: HTML = """
            \(Piece.live("deployment", every: 2, """
                <div class="sub">\(Piece.pill(word(state.state))) changed \(Format.ago(state.changed, now: now))</div>\
                \(notice)\
                <div class="grid small">\(tiles(stats?.current))</div>
                <p>\(Piece.link(LatencyPage.path(state.name), "Where the 5 ms go"))</p>
                <h2>Predictors</h2>\(split(state, stats: stats))
                <h2>The last five minutes</h2><div class="wide">\(charts(stats))</div>
                """))
            <p>\(Piece.link(ExplanationPage.path(state.name), "Explain a prediction"))</p>
            <h2>Ask it</h2><div class="panel"><pre class="mono">\(example(state, inference: inference))</pre></div>
            """
        return ConsolePage(
            title: state.name, section: .deployments, crumbs: [("Deployments", "/console/deployments")],
            body: body)
    }

    static func path(_ name: String) -> String { "/console/deployments/" + urlEncoded(name) }

    static func word(_ state: DeploymentState.State) -> String {
        switch state {
        case .ready: "Available"
        case .loading: "Creating"
        case .unavailable: "Unavailable"
        }
    }

    static func percent(_ share: Double) -> String {
        Format.fixed(share * 100, share > 0 && share < 0.1 ? 2 : 0) + " %"
    }

    private static func tiles(_ stats: TrafficStats?) -> [HTML] {
        [
            (Format.number(stats?.requestsPerSecond ?? 0), "requests a second"),
            (Format.seconds(stats?.p50 ?? 0), "P50"),
            (Format.seconds(stats?.p95 ?? 0), "P95"), (Format.seconds(stats?.p99 ?? 0), "P99"),
            (percent(stats?.errorRate ?? 0), "errors"), (String(stats?.total ?? 0), "requests in all"),
        ].map { number, label -> HTML in
            "<div class=\"panel tile\"><div class=\"n\">\(number)</div><div class=\"l\">\(label)</div></div>"
        }
    }

    private static func split(_ state: DeploymentState, stats: DeploymentStats?) -> HTML {
        let bars = state.predictors.enumerated().map { index, predictor -> HTML in
            "<i style=\"width:\(predictor.weight)%;background:var(--c\(index % 8))\"></i>"
        }
        let rows = state.predictors.enumerated().map { index, predictor -> [HTML] in
            let own = stats?.predictors[predictor.name]
            let shadow: HTML = predictor.isShadow ? " \(Piece.pill("shadow"))" : ""
            return [
                "<i class=\"dot\" style=\"background:var(--c\(index % 8))\"></i><b>\(predictor.name)</b>\(shadow)",
                "\(predictor.weight) %",
                model(predictor), "\(predictor.modelVersion.isEmpty ? "–" : predictor.modelVersion)",
                "<span class=\"soft\">\(predictor.platform.isEmpty ? "–" : predictor.platform)</span>",
                "\(predictor.featureNames.count)", "\(own?.total ?? 0)", latency(own?.p50), latency(own?.p99),
                "\(percent(own?.errorRate ?? 0))",
            ]
        }
        let share: HTML = state.predictors.count > 1 ? "<div class=\"split\">\(bars)</div>" : ""
        let problems = state.predictors.filter { !$0.problem.isEmpty && !state.reason.contains($0.problem) }.map {
            predictor -> HTML in
            "<div class=\"notice bad\">\(predictor.name): \(predictor.problem)</div>"
        }
        return """
            \(share)\(problems)\(Piece.table(
                ["Predictor", "#Traffic", "Model", "#Version", "Engine", "#Features", "#Requests", "#P50", "#P99", "#Errors"],
                rows, empty: "no predictors"))
            """
    }

    /// The model's address, leading to its page if it is a registered one.
    private static func model(_ predictor: DeploymentState.Predictor) -> HTML {
        let uri: HTML = "<span class=\"mono\">\(predictor.modelURI)</span>"
        let parts = predictor.modelURI.split(separator: "/")
        guard parts.count >= 2, parts[0] == "models:", let name = parts[1].split(separator: "@").first else {
            return uri
        }
        return "<a href=\"\(ModelPages.path(String(name)))\">\(uri)</a>"
    }

    private static func charts(_ stats: DeploymentStats?) -> [HTML] {
        let history = stats?.history ?? []
        let rate = history.enumerated().map {
            (x: Double($0.offset + 1 - history.count), y: $0.element.requestsPerSecond)
        }
        let p50 = history.enumerated().map {
            (x: Double($0.offset + 1 - history.count), y: ($0.element.p50 ?? .nan) * 1e6)
        }
        let p99 = history.enumerated().map {
            (x: Double($0.offset + 1 - history.count), y: ($0.element.p99 ?? .nan) * 1e6)
        }
        let errors = history.enumerated().map {
            (x: Double($0.offset + 1 - history.count), y: $0.element.errorsPerSecond)
        }
        let traffic = LineChart(
            title: "Requests a second",
            series: [.init(name: "requests", points: rate), .init(name: "errors", points: errors)],
            xLabel: "seconds", startsAtZero: true)
        let latency = LineChart(
            title: "Latency, µs", series: [.init(name: "P50", points: p50), .init(name: "P99", points: p99)],
            xLabel: "seconds", startsAtZero: true)
        return [
            "<div class=\"panel\">\(traffic.svg())\(traffic.legend())</div>",
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
