import AerieCore
import AerieJSON
import Experiments

/// An experiment's traces, and one trace with its spans as a waterfall.
enum TracePages {
    static func path(_ id: TraceID) -> String { "/console/traces/" + urlEncoded(id.text) }

    static func listPath(_ id: ExperimentID) -> String { "/console/experiments/\(urlEncoded(id.text))/traces" }

    /// - Parameter problem: what is wrong with the filter.
    static func list(
        of experiment: Experiment, _ traces: [Trace], filter: String, next: String?, problem: String?, now: Timestamp
    ) -> ConsolePage {
        let rows = traces.map { trace -> [HTML] in
            [
                "<a class=\"mono\" href=\"\(path(trace.id))\">\(ExperimentPages.short(trace.id.text, 18))</a>",
                Piece.pill(trace.state.rawValue, tone: tone(trace.state)), Piece.cut(trace.requestPreview ?? ""),
                Piece.cut(trace.responsePreview ?? ""),
                trace.duration.map { Piece.value($0, "\(Format.duration(milliseconds: $0))") } ?? "–",
                Piece.value(trace.requestTime.milliseconds, "\(Format.ago(trace.requestTime, now: now))"),
            ]
        }
        let address = listPath(experiment.id)
        let error: HTML =
            problem.map { "<div class=\"notice bad\" id=\"problem\" role=\"alert\">\($0)</div>" } ?? ""
        let more: HTML =
            next.map { token -> HTML in
                "<a class=\"button\" rel=\"next\" href=\"\(address)?q=\(urlEncoded(filter))&page=\(urlEncoded(token))\">Next →</a>"
            } ?? ""
        return ConsolePage(
            title: "Traces", section: .experiments,
            crumbs: [
                ("Experiments", "/console/experiments"),
                (experiment.name, "/console/experiments/\(urlEncoded(experiment.id.text))"),
            ],
            subtitle: "What was traced in \(experiment.name).",
            body: """
                <form class="bar" method="get" action="\(address)"><input type="search" id="filter" name="q" \
                class="grow mono" value="\(filter)" placeholder="status = 'ERROR' AND execution_time &gt; 500" \
                aria-label="Filter"><button class="primary">Search</button></form>\(error)\
                \(Piece.table(["Trace", "State", "Request", "Response", "#Took", "When"], rows,
                    empty: filter.isEmpty ? "No traces yet: <code>@mlflow.trace</code>" : "No trace fits this filter."))\
                <nav class="bar pager">\(more)</nav>
                """)
    }

    /// - Parameter spans: `nil` if the trace's file is not there.
    static func trace(_ trace: Trace, experiment: Experiment?, spans: [TraceSpan]?) -> ConsolePage {
        var crumbs = [("Experiments", "/console/experiments")]
        if let experiment { crumbs.append((experiment.name, listPath(experiment.id))) }
        let tags = (trace.tags + trace.metadata).filter { !$0.key.hasPrefix("mlflow.") }
        let took = trace.duration.map(Format.duration(milliseconds:)) ?? "running"
        let picture: HTML =
            switch spans {
            case nil: Piece.nothing("The spans of this trace were not stored.")
            case .some(let spans) where spans.isEmpty: Piece.nothing("This trace has no spans.")
            case .some(let spans): waterfall(spans)
            }
        let labels: HTML =
            tags.isEmpty
            ? "" : "<h2>Tags</h2><div class=\"panel\">\(Piece.facts(tags.map { ($0.key, "\($0.value)") }))</div>"
        return ConsolePage(
            title: "Trace", section: .experiments, crumbs: crumbs,
            subtitle: """
                <div class="facts">\(Piece.pill(trace.state.rawValue, tone: tone(trace.state)))<span>\(took)</span>\
                <span>\(Format.time(trace.requestTime))</span><span class="mono">\(trace.id.text)</span></div>
                """,
            body: "<h2>Spans</h2>\(picture)\(labels)")
    }

    private static func tone(_ state: TraceState) -> String {
        switch state {
        case .ok: "good"
        case .error: "bad"
        case .inProgress: "run"
        case .unspecified: ""
        }
    }

    /// Each span below the one that called it, as a bar from its start to its end; what it was given folds out.
    private static func waterfall(_ spans: [TraceSpan]) -> HTML {
        let start = spans.map(\.start).min() ?? 0
        let whole = max((spans.map(\.end).max() ?? start) - start, 1)
        let rows = TraceSpan.tree(spans).map { span, depth -> HTML in
            let left = Format.fixed(min(max((span.start - start) / whole * 100, 0), 100), 2)
            let width = Format.fixed(min(max((span.end - span.start) / whole * 100, 0.3), 100), 2)
            let kind: HTML = span.kind.isEmpty ? "" : " <span class=\"soft\">\(span.kind.lowercased())</span>"
            let values = [("Inputs", span.inputs), ("Outputs", span.outputs)].compactMap { name, text -> HTML? in
                text.map { "<div class=\"soft\">\(name)</div><pre class=\"mono value\">\($0)</pre>" }
            }
            let more: HTML = values.isEmpty ? "" : "<div class=\"given\">\(values)</div>"
            return """
                <details class="trace-span"><summary><span class="what" style="padding-left:\(min(depth, 20) * 16)px" \
                title="\(span.name)">\(span.name)\(kind)</span><span class="track"><i class="\(span.isError ? "bad" : "")" \
                style="margin-left:\(left)%;width:\(width)%"></i></span>\
                <span class="took">\(Format.seconds((span.end - span.start) / 1e9))</span></summary>\(more)</details>
                """
        }
        return "<div class=\"panel waterfall\">\(rows)</div>"
    }
}
