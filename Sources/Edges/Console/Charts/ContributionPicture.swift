/// What each column did to one prediction: bars from the expected answer to the one that was given (a waterfall), or
/// from zero where the values do not add up. The largest first, the rest together.
public struct ContributionPicture {
    public struct Bar: Sendable {
        public var label: String
        public var value: Double

        public init(label: String, value: Double) {
            self.label = label
            self.value = value
        }
    }

    var base: Double
    var bars: [Bar]
    /// Whether the bars lead from the base to the answer.
    var isSum: Bool
    var title: String
    /// Every bar, for a table.
    var all: [Bar] = []

    private static let most = 14
    private static let width = 760.0
    private static let labelWidth = 230.0
    private static let rowHeight = 24.0
    private static let up = "#d1495b"
    private static let down = "#2f6f9f"

    public init(title: String, base: Double, bars: [Bar], isSum: Bool) {
        self.title = title
        self.base = base
        self.isSum = isSum
        let sorted = bars.sorted { (-abs($0.value), $0.label) < (-abs($1.value), $1.label) }
        all = sorted
        guard sorted.count > Self.most else {
            self.bars = sorted
            return
        }
        let rest = sorted[(Self.most - 1)...]
        self.bars = Array(sorted[..<(Self.most - 1)]) + [
            Bar(label: "\(rest.count) other columns", value: rest.reduce(0) { $0 + $1.value })
        ]
    }

    /// A file of its own: a browser shows it without the console's style.
    public func file() -> String { svg(isFile: true).text }

    func svg(isFile: Bool = false) -> HTML {
        var edges = [base]
        for bar in bars { edges.append((isSum ? edges.last ?? base : 0) + bar.value) }
        let seen = isSum ? edges : [0] + edges.dropFirst()
        let (low, high) = (seen.min() ?? 0, seen.max() ?? 0)
        let room = Self.width - Self.labelWidth - 90
        let scale = high > low ? room / (high - low) : 0
        func place(_ value: Double) -> Double { Self.labelWidth + 20 + (value - low) * scale }
        var y = isSum ? 44.0 : 22.0
        let rows = bars.enumerated().map { index, bar -> HTML in
            let (from, to) = (isSum ? edges[index] : 0, edges[index + 1])
            defer { y += Self.rowHeight }
            return row(bar, from: place(min(from, to)), to: place(max(from, to)), y: y)
        }
        let height = y + (isSum ? 30 : 8)
        let ends: HTML = isSum
            ? """
            \(mark(place(base), "expected \(Format.number(base))", y: 34, height: height))\
            \(mark(place(edges.last ?? base), "answer \(Format.number(edges.last ?? base))", y: height - 6, height: height))
            """
            : mark(place(0), "0", y: 14, height: height)
        let space: HTML = isFile ? " xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\"" : ""
        let size = "0 0 \(Int(Self.width)) \(Int(height))"
        return """
            <svg class="contributions"\(space) width="\(Int(Self.width))" height="\(Int(height))" viewBox="\(size)" \
            role="img" aria-label="\(title)" font-size="12"><title>\(title)</title>\(ends)\(rows)</svg>
            """
    }

    private func row(_ bar: Bar, from: Double, to: Double, y: Double) -> HTML {
        let color = bar.value < 0 ? Self.down : Self.up
        let sign = bar.value > 0 ? "+" : ""
        let label = bar.label.count > 34 ? bar.label.prefix(33) + "…" : bar.label[...]
        return """
            <text x="\(Int(Self.labelWidth))" y="\(Format.fixed(y + 14, 1))" text-anchor="end" \
            fill="currentColor">\(String(label))<title>\(bar.label)</title></text>\
            <rect x="\(Format.fixed(from, 1))" y="\(Format.fixed(y + 3, 1))" \
            width="\(Format.fixed(max(1, to - from), 1))" height="16" rx="2" fill="\(color)">\
            <title>\(bar.label): \(sign)\(Format.number(bar.value))</title></rect>\
            <text x="\(Format.fixed(to + 5, 1))" y="\(Format.fixed(y + 15, 1))" \
            fill="\(color)">\(sign)\(Format.number(bar.value))</text>
            """
    }

    private func mark(_ x: Double, _ text: String, y: Double, height: Double) -> HTML {
        """
        <line x1="\(Format.fixed(x, 1))" x2="\(Format.fixed(x, 1))" y1="18" y2="\(Format.fixed(height - 18, 1))" \
        stroke="currentColor" stroke-opacity=".25" stroke-dasharray="3 3"/>\
        <text x="\(Format.fixed(x, 1))" y="\(Format.fixed(y, 1))" text-anchor="middle" fill="currentColor" \
        fill-opacity=".75">\(text)</text>
        """
    }
}
