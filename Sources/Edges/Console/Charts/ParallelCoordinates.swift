import Experiments

/// Each run as a line across parallel axes, coloured by one of its values. Ranges are brushed on the axes by script.
struct ParallelCoordinates {
    var axes: [PlotAxis]
    var color: PlotAxis?
    /// Names and addresses, in the order of the axes' positions.
    var runs: [(name: String, path: String)]

    private static let width = 1160.0
    private static let height = 380.0
    private static let top = 40.0
    /// Runs without a value pass below the axis.
    private static let missing = 26.0

    func svg() -> HTML {
        guard axes.count > 1, !runs.isEmpty else { return Piece.nothing("Choose two or more axes that runs have.") }
        let left = 70.0
        let right = 90.0
        let bottom = Self.height - 24 - Self.missing
        func px(_ index: Int) -> Double {
            left + Double(index) / Double(axes.count - 1) * (Self.width - left - right)
        }
        func py(_ at: Double?) -> Double { at.map { bottom - $0 * (bottom - Self.top) } ?? bottom + Self.missing }
        var out = """
            <svg class="parallel" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" \
            aria-label="\(HTML("parallel coordinates of \(runs.count) runs").text)">
            """
        for index in runs.indices {
            let path = axes.enumerated().map { axis, values in
                "\(Format.fixed(px(axis), 1)),\(Format.fixed(py(values.positions[index]), 1))"
            }.joined(separator: " ")
            let at = axes.map { $0.positions[index].map { Format.fixed($0, 4) } ?? "" }.joined(separator: ",")
            let stroke = color.map { PlotAxis.color(at: $0.positions[index]) } ?? "var(--c0)"
            let run: HTML = """
                <a href="\(runs[index].path)" tabindex="-1"><polyline data-at="\(at)" points="\(path)" fill="none" \
                stroke="\(stroke)"><title>\(title(index))</title></polyline></a>
                """
            out += run.text
        }
        for (index, axis) in axes.enumerated() {
            out += drawn(axis, index: index, x: px(index), bottom: bottom, at: { py($0) }).text
        }
        return HTML(markup: out + "</svg>")
    }

    private func title(_ index: Int) -> String {
        let values = axes.map { "\($0.name): \(ExperimentPages.short($0.texts[index] ?? "–", 40))" }
        return ([runs[index].name] + values).joined(separator: "\n")
    }

    private func drawn(
        _ axis: PlotAxis, index: Int, x: Double, bottom: Double, at: (Double?) -> Double
    ) -> HTML {
        let ticks = axis.ticks.map { tick -> HTML in
            """
            <text x="\(Format.fixed(x - 6, 1))" y="\(Format.fixed(at(tick.at) + 4, 1))" \
            text-anchor="end">\(ExperimentPages.short(tick.label, 12))</text>
            """
        }
        let none: HTML =
            axis.positions.contains { $0 == nil }
            ? "<text x=\"\(Format.fixed(x - 6, 1))\" y=\"\(Format.fixed(at(nil) + 4, 1))\" text-anchor=\"end\">none</text>"
            : ""
        let kind: HTML = axis.isLog ? "log" : ""
        return """
            <line class="axis strong" x1="\(Format.fixed(x, 1))" x2="\(Format.fixed(x, 1))" y1="\(Format.fixed(Self.top, 1))" \
            y2="\(Format.fixed(bottom, 1))"/>\
            <text class="title" x="\(Format.fixed(x, 1))" y="\(index % 2 == 0 ? "13" : "29")" text-anchor="middle">\
            \(ExperimentPages.short(axis.name, 26))<title>\(axis.key)</title></text>\
            <text x="\(Format.fixed(x + 6, 1))" y="\(Format.fixed(bottom, 1))">\(kind)</text>\(ticks)\(none)\
            <rect class="brush" x="\(Format.fixed(x - 7, 1))" y="0" width="14" height="0"/>\
            <rect class="grip" x="\(Format.fixed(x - 12, 1))" y="\(Format.fixed(Self.top, 1))" width="24" \
            height="\(Format.fixed(bottom - Self.top, 1))"/>
            """
    }
}
