/// A small line without axes: how a number went lately.
struct Sparkline {
    var values: [Double]
    var width = 120.0
    var height = 26.0
    var color = "var(--c0)"

    func svg() -> HTML {
        let finite = values.map { $0.isFinite ? max(0, $0) : 0 }
        guard finite.count > 1, let high = finite.max() else {
            return HTML(markup: "<svg width=\"\(Int(width))\" height=\"\(Int(height))\"></svg>")
        }
        let scale = high > 0 ? (height - 4) / high : 0
        let step = width / Double(finite.count - 1)
        let line = finite.enumerated().map {
            "\(Format.fixed(Double($0) * step, 1)),\(Format.fixed(height - 2 - $1 * scale, 1))"
        }.joined(separator: " ")
        return HTML(
            markup: """
                <svg width="\(Int(width))" height="\(Int(height))" viewBox="0 0 \(Int(width)) \(Int(height))">\
                <polygon points="0,\(height) \(line) \(width),\(height)" fill="\(color)" opacity=".13"/>\
                <polyline points="\(line)" fill="none" stroke="\(color)" stroke-width="1.6"/></svg>
                """)
    }
}
