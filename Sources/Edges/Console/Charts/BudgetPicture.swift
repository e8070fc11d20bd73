import AerieTelemetry
import RequestTracing

/// Times laid end to end on one axis, a bar for each way of telling them: the budget, the median, the slowest of a
/// hundred. Where a bar ends past the budget's end, the line shows it.
struct BudgetPicture {
    struct Bar {
        var name: String
        /// By stage, in seconds.
        var parts: [(stage: RequestStage, seconds: Double)]
        /// What stands before the first stage: the network's part of the budget.
        var before = 0.0

        var end: Double { before + parts.reduce(0) { $0 + $1.seconds } }
    }

    var bars: [Bar]
    /// Where the line stands, in seconds.
    var limit: Double
    private static let (width, left, step, bar) = (760.0, 92.0, 34.0, 20.0)

    static func color(_ stage: RequestStage) -> String { "var(--c\(stage.rawValue % 8))" }

    func svg() -> HTML {
        let span = max(limit, bars.map(\.end).max() ?? 0) * 1.04
        guard span > 0 else { return "" }
        let height = Double(bars.count) * Self.step + 26
        func x(_ seconds: Double) -> Double { Self.left + seconds / span * (Self.width - Self.left) }
        let rows = bars.enumerated().map { index, bar -> HTML in
            let top = Double(index) * Self.step + 4
            var at = bar.before
            let outside = "network and load balancer"
            let before = rectangle(x(0), top, x(bar.before) - x(0), "var(--line)", outside, bar.before)
            let parts = bar.parts.map { part -> HTML in
                defer { at += part.seconds }
                let (color, name) = (Self.color(part.stage), Self.name(part.stage))
                return rectangle(x(at), top, x(at + part.seconds) - x(at), color, name, part.seconds)
            }
            return """
                <text x="0" y="\(Format.fixed(top + 14, 0))">\(bar.name)</text>\(bar.before > 0 ? before : "")\(parts)
                """
        }
        let bottom = Format.fixed(height - 22, 0)
        let line = Format.fixed(x(limit), 1)
        return """
            <svg class="budget" width="\(Int(Self.width))" height="\(Int(height))" \
            viewBox="0 0 \(Int(Self.width)) \(Int(height))" role="img" aria-label="stages against the budget">\(rows)\
            <line x1="\(line)" x2="\(line)" y1="0" y2="\(bottom)" stroke="var(--bad)" stroke-dasharray="4 3"/>\
            <text x="\(line)" y="\(Format.fixed(height - 8, 0))" text-anchor="end">\(Format.seconds(limit))</text></svg>
            """
    }

    private func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ color: String, _ name: String, _ seconds: Double
    ) -> HTML {
        """
        <rect x="\(Format.fixed(x, 1))" y="\(Format.fixed(y, 0))" width="\(Format.fixed(max(0.5, width), 1))" \
        height="\(Format.fixed(Self.bar, 0))" fill="\(color)"><title>\(name): \(Format.seconds(seconds))</title></rect>
        """
    }

    static func name(_ stage: RequestStage) -> String {
        switch stage {
        case .route: "Router"
        case .featureFetch: "Feature fetch"
        case .preprocess: "Preprocessing"
        case .queue: "Queue"
        case .inference: "Model inference"
        case .postprocess: "Postprocessing"
        case .serialize: "Response"
        }
    }
}
