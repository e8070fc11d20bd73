/// How often values fall between bounds: bars of equal width.
struct HistogramPicture {
    var counts: [Double]
    var low: Double
    var high: Double
    var width = 220.0
    var height = 64.0
    /// Without numbers below, for a cell of a table.
    var isSmall = false
    var title = "histogram"

    func svg() -> HTML {
        guard let most = counts.max(), most > 0 else { return "<span class=\"soft\">no values</span>" }
        let foot = isSmall ? 0.0 : 16.0
        let step = width / Double(counts.count)
        let bars = counts.enumerated().map { place, count -> HTML in
            let tall = count > 0 ? max(1, count / most * (height - foot - 2)) : 0
            let from = low + (high - low) * Double(place) / Double(counts.count)
            let to = low + (high - low) * Double(place + 1) / Double(counts.count)
            return """
                <rect x="\(Format.fixed(Double(place) * step + 0.5, 1))" y="\(Format.fixed(height - foot - tall, 1))" \
                width="\(Format.fixed(max(1, step - 1), 1))" height="\(Format.fixed(tall, 1))" fill="var(--c0)" opacity=".75">\
                <title>\(Format.number(from)) to \(Format.number(to)): \(Format.number(count))</title></rect>
                """
        }
        let ends: HTML =
            isSmall
            ? ""
            : """
            <text x="0" y="\(Int(height) - 3)">\(Format.number(low))</text>\
            <text x="\(Int(width))" y="\(Int(height) - 3)" text-anchor="end">\(Format.number(high))</text>
            """
        return """
            <svg class="histogram" width="\(Int(width))" height="\(Int(height))" viewBox="0 0 \(Int(width)) \(Int(height))" \
            role="img" aria-label="\(title)">\(bars)<line class="axis" x1="0" x2="\(Int(width))" \
            y1="\(Format.fixed(height - foot, 1))" y2="\(Format.fixed(height - foot, 1))"/>\(ends)</svg>
            """
    }
}
