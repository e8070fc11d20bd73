import AerieCore
public import AerieTelemetry
public import RequestTracing

/// What is known of where the time of a deployment's requests goes.
public struct LatencyReport: Sendable {
    public var stages: StageTotals
    /// Whole traces that were kept, the newest first; empty where nothing is traced.
    public var traces: [RequestTrace]

    public init(stages: StageTotals = StageTotals(), traces: [RequestTrace] = []) {
        self.stages = stages
        self.traces = traces
    }
}

/// A deployment's stages against the founding document's table of 5 ms, and traced requests against the same.
enum LatencyPage {
    static func path(_ name: String) -> String { DeploymentPages.path(name) + "/latency" }

    /// - Parameter chosen: the identifier of a trace to show span by span.
    static func page(_ name: String, _ report: LatencyReport, chosen: String?) -> ConsolePage {
        let trace = chosen.flatMap { id in report.traces.first { Self.id($0) == id } }
        let gone: HTML =
            chosen != nil && trace == nil
            ? "<div class=\"notice\">This trace is not among the newest any more; the collector may have it.</div>" : ""
        let body: HTML = """
            \(gone)\(trace.map(waterfall))\(Piece.live("latency", every: 5, stages(report.stages)))
            <h2>Traced requests</h2>\(list(name, report.traces))
            """
        return ConsolePage(
            title: "Latency budget", section: .deployments,
            crumbs: [("Deployments", "/console/deployments"), (name, DeploymentPages.path(name))],
            subtitle: "Where the 5 ms of a prediction go.", body: body)
    }

    // MARK: Stages

    private static func stages(_ totals: StageTotals) -> HTML {
        guard totals.count > 0 else { return Piece.nothing("No request has been answered yet.") }
        func bar(_ name: String, _ quantile: Double) -> BudgetPicture.Bar {
            .init(name: name, parts: RequestStage.allCases.compactMap { stage in
                totals[stage].count > 0 ? (stage, totals[stage].quantile(quantile)) : nil
            })
        }
        let budget = BudgetPicture.Bar(
            name: "Budget",
            parts: RequestStage.allCases.compactMap { stage in
                stage.budgetNanoseconds.map { (stage, Double($0) / 1e9) }
            }, before: Double(RequestStage.outsideNanoseconds) / 1e9)
        let picture = BudgetPicture(bars: [budget, bar("P50", 0.5), bar("P99", 0.99)], limit: 0.005)
        let legend = RequestStage.allCases.map { stage -> HTML in
            "<span><i style=\"background:\(BudgetPicture.color(stage))\"></i>\(BudgetPicture.name(stage))</span>"
        }
        return """
            <div class="panel">\(picture.svg())<div class="legend">\(legend)</div></div>
            \(Piece.table(
                ["Stage", "#Budget", "#P50", "#P99", "#Share of budget at P99", "Within", "#Requests"],
                RequestStage.allCases.compactMap { row($0, totals[$0]) }, empty: "no stages"))
            """
    }

    private static func row(_ stage: RequestStage, _ histogram: LatencyHistogram) -> [HTML]? {
        guard histogram.count > 0 else { return nil }
        let (p50, p99) = (histogram.quantile(0.5), histogram.quantile(0.99))
        let budget = stage.budgetNanoseconds.map { Double($0) / 1e9 }
        let share = budget.map { p99 / $0 }
        return [
            "<i class=\"dot\" style=\"background:\(BudgetPicture.color(stage))\"></i>\(BudgetPicture.name(stage))",
            budget.map { "\(Format.seconds($0))" } ?? "–", "\(Format.seconds(p50))", "\(Format.seconds(p99))",
            share.map { "\(Format.fixed($0 * 100, 0)) %" } ?? "–",
            share.map { $0 <= 1 ? Piece.pill("within", tone: "good") : Piece.pill("over", tone: "bad") } ?? "–",
            "\(histogram.count)",
        ]
    }

    // MARK: Traces

    private static func id(_ trace: RequestTrace) -> String {
        guard let root = trace.spans.first else { return "" }
        return TraceContext.hexadecimal(root.traceHigh) + TraceContext.hexadecimal(root.traceLow)
    }

    private static func list(_ name: String, _ traces: [RequestTrace]) -> HTML {
        let rows = traces.compactMap { trace -> [HTML]? in
            guard let root = trace.spans.first else { return nil }
            let id = id(trace)
            return [
                "<a class=\"mono\" href=\"\(path(name))?trace=\(id)\">\(id)</a>", "\(root.name)",
                "\(Format.time(Timestamp(milliseconds: Int64(root.start / 1_000_000))))",
                Piece.value(Int64(root.nanoseconds / 1000), "\(Format.seconds(Double(root.nanoseconds) / 1e9))"),
                Piece.pill(trace.reason.rawValue, tone: trace.reason == .failed ? "bad" : ""),
            ]
        }
        return Piece.table(
            ["Trace", "Request", "When", "#Duration", "Kept for"], rows,
            empty: "None: start with <code>--otlp-endpoint</code> to trace slow and failed requests.")
    }

    /// One trace's spans, each with the share of the 5 ms that it has.
    private static func waterfall(_ trace: RequestTrace) -> HTML {
        guard let root = trace.spans.first else { return "" }
        let whole = Double(max(1, root.nanoseconds))
        let rows = trace.spans.map { span -> HTML in
            let from = Double(span.start > root.start ? span.start - root.start : 0) / whole * 100
            let share = max(0.3, min(100 - from, Double(span.nanoseconds) / whole * 100))
            let budget = budget(of: span)
            let isOver = budget.map { Double(span.nanoseconds) / 1e6 > $0 } ?? false
            let told: HTML = budget.map { " of \(Format.seconds($0 / 1000))" } ?? ""
            let bad = isOver || span.failure != nil ? "bad" : ""
            return """
                <div class="spanrow"><span class="name">\(span.name)</span><span class="track">\
                <i class="\(bad)" style="margin-left:\(Format.fixed(from, 2))%;width:\(Format.fixed(share, 2))%"></i></span>\
                <span class="num">\(Format.seconds(Double(span.nanoseconds) / 1e9))\(told)</span></div>
                """
        }
        let failure: HTML = root.failure.map { "<div class=\"notice bad\">\($0)</div>" } ?? ""
        return "<h2>Trace <span class=\"mono\">\(id(trace))</span></h2>\(failure)<div class=\"panel waterfall\">\(rows)</div>"
    }

    private static func budget(of span: Span) -> Double? {
        for attribute in span.attributes where attribute.key == "aerie.budget_ms" {
            if case .number(let milliseconds) = attribute.value { return milliseconds }
        }
        return nil
    }
}
