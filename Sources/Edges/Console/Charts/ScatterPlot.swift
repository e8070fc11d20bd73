/// Each run as a point by two of its values, coloured by a third.
struct ScatterPlot {
    var x: PlotAxis
    var y: PlotAxis
    var color: PlotAxis?
    /// Names and addresses, in the order of the axes' positions.
    var runs: [(name: String, path: String)]

    private static let width = 1160.0
    private static let height = 420.0

    func svg() -> HTML {
        let drawn = runs.indices.filter { x.positions[$0] != nil && y.positions[$0] != nil }
        guard !drawn.isEmpty else { return Piece.nothing("No run has both values.") }
        let left = 90.0
        let right = 24.0
        let top = 16.0
        let bottom = Self.height - 52
        func px(_ at: Double) -> Double { left + 8 + at * (Self.width - left - right - 16) }
        func py(_ at: Double) -> Double { bottom - 8 - at * (bottom - top - 16) }
        var parts: [HTML] = y.ticks.map { tick in
            let at = Format.fixed(py(tick.at), 1)
            return """
                <line class="axis" x1="\(Int(left))" x2="\(Int(Self.width - right))" y1="\(at)" y2="\(at)"/>\
                <text x="\(Int(left) - 6)" y="\(Format.fixed(py(tick.at) + 4, 1))" text-anchor="end">\
                \(ExperimentPages.short(tick.label, 13))</text>
                """
        }
        let room = max(4, Int((Self.width - left - right) / Double(max(x.ticks.count, 1)) / 7))
        parts += x.ticks.map { tick in
            let at = Format.fixed(px(tick.at), 1)
            return """
                <line class="axis" x1="\(at)" x2="\(at)" y1="\(Int(top))" y2="\(Int(bottom))"/>\
                <text x="\(at)" y="\(Int(bottom) + 16)" text-anchor="middle">\(ExperimentPages.short(tick.label, room))</text>
                """
        }
        parts.append(
            """
            <text class="title" x="\(Int(Self.width / 2))" y="\(Int(Self.height) - 8)" text-anchor="middle">\
            \(x.name)\(x.isLog ? ", logarithmic" : "")</text>\
            <text class="title" transform="translate(14 \(Int(bottom / 2))) rotate(-90)" text-anchor="middle">\
            \(y.name)\(y.isLog ? ", logarithmic" : "")</text>
            """)
        parts += drawn.map { index in
            let said = [x, y, color].compactMap { axis in axis.map { "\($0.name): \($0.texts[index] ?? "–")" } }
            return """
                <a href="\(runs[index].path)" aria-label="\(runs[index].name)"><circle \
                cx="\(Format.fixed(px(x.positions[index] ?? 0), 1))" cy="\(Format.fixed(py(y.positions[index] ?? 0), 1))" r="4.5" \
                fill="\(color.map { PlotAxis.color(at: $0.positions[index]) } ?? "var(--c0)")">\
                <title>\(([runs[index].name] + said).joined(separator: "\n"))</title></circle></a>
                """
        }
        return """
            <svg class="scatter" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" \
            aria-label="\(y.name) by \(x.name) of \(drawn.count) runs">\(parts)</svg>
            """
    }
}
