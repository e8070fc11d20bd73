#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Lines over a common horizontal axis, drawn as SVG on the server.
struct LineChart {
    struct Series {
        var name: String
        /// In any order; a line has a gap where its points are not finite.
        var points: [(x: Double, y: Double)]
    }

    var title: String
    var series: [Series]
    var width = 560.0
    var height = 220.0
    var xLabel = "step"
    /// For what cannot be negative and reads best against nothing: rates and times.
    var startsAtZero = false
    /// Drawn faintly behind the lines, in their colours: what was logged, where the lines are smoothed.
    var raw: [Series] = []
    /// The heights are powers of ten; the axis says the numbers themselves.
    var isLog = false

    /// At most as many points a line as pixels, and fewer where there are many lines: each column's lowest and highest.
    func thinned(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        let sorted = points.filter { $0.x.isFinite && $0.y.isFinite }.sorted { $0.x < $1.x }
        let limit = max(80, Int(width) * 8 / max(series.count, 8))
        guard sorted.count > limit else { return sorted }
        let bucket = (sorted.count + limit / 2 - 1) / (limit / 2)
        var kept: [(x: Double, y: Double)] = []
        for start in stride(from: 0, to: sorted.count, by: bucket) {
            let part = sorted[start..<min(start + bucket, sorted.count)]
            guard let low = part.min(by: { $0.y < $1.y }), let high = part.max(by: { $0.y < $1.y }) else { continue }
            kept += low.x <= high.x ? [low, high] : [high, low]
        }
        return kept
    }

    /// The parts of a line between its gaps, each thinned. A line with very many gaps is drawn through.
    func parts(_ points: [(x: Double, y: Double)]) -> [[(x: Double, y: Double)]] {
        let sorted = points.filter { $0.x.isFinite }.sorted { $0.x < $1.x }
        let runs = sorted.split { !$0.y.isFinite }
        guard runs.count <= Self.gapLimit else { return [thinned(points)] }
        return runs.map { thinned(Array($0)) }.filter { !$0.isEmpty }
    }

    private static let gapLimit = 60

    func svg() -> HTML {
        let lines = series.map { parts($0.points) }
        let faint = raw.map { parts($0.points) }
        let all = (lines + faint).flatMap { $0.flatMap { $0 } }
        guard let x0 = all.map(\.x).min(), let x1 = all.map(\.x).max(),
            var y0 = all.map(\.y).min(), var y1 = all.map(\.y).max()
        else { return "<div class=\"empty\">no points</div>" }
        // The greatest finite numbers stand for infinities; nothing can be drawn to their scale.
        guard (y1 - y0).isFinite, (x1 - x0).isFinite, max(abs(y0), abs(y1)) < 1e300 else {
            return "<div class=\"empty\">\(title): values too far apart to draw</div>"
        }
        if startsAtZero { y0 = min(0, y0) }
        if y0 == y1 { (y0, y1) = (y0 - max(abs(y0), 1) * 0.1, y1 + max(abs(y1), 1) * 0.1) }
        let ticks = Ticks.covering(from: y0, to: y1, about: 4)
        (y0, y1) = (min(y0, ticks.first ?? y0), max(y1, ticks.last ?? y1))
        let left = 58.0
        let right = 14.0
        let top = 26.0
        let bottom = 26.0
        func px(_ x: Double) -> Double {
            x1 == x0 ? left + (width - left - right) / 2 : left + (x - x0) / (x1 - x0) * (width - left - right)
        }
        func py(_ y: Double) -> Double { top + (y1 - y) / (y1 - y0) * (height - top - bottom) }

        var out = """
            <svg class="chart" tabindex="0" data-x="\(HTML("\(xLabel)").text)" viewBox="0 0 \(Int(width)) \(Int(height))" \
            role="img" aria-label="\(HTML("\(title)").text)">\
            <text class="title" x="\(Int(left))" y="14">\(HTML("\(title)").text)</text>
            """
        for tick in ticks {
            let y = Format.fixed(py(tick), 1)
            out += "<line class=\"axis\" x1=\"\(left)\" x2=\"\(width - right)\" y1=\"\(y)\" y2=\"\(y)\"/>"
            out +=
                "<text x=\"\(left - 6)\" y=\"\(Format.fixed(py(tick) + 4, 1))\" text-anchor=\"end\">\(label(tick))</text>"
        }
        out += "<text x=\"\(left)\" y=\"\(height - 8)\">\(Format.number(x0))</text>"
        out +=
            "<text x=\"\(width - right)\" y=\"\(height - 8)\" text-anchor=\"end\">\(HTML("\(xLabel)").text) \(Format.number(x1))</text>"
        for (index, parts) in faint.enumerated() {
            for points in parts where points.count > 1 {
                let path = points.map { "\(Format.fixed(px($0.x), 1)),\(Format.fixed(py($0.y), 1))" }.joined(
                    separator: " ")
                out +=
                    "<polyline points=\"\(path)\" fill=\"none\" data-line=\"\(index)\" stroke=\"var(--c\(index % 8))\" opacity=\".28\"/>"
            }
        }
        for (index, parts) in lines.enumerated() {
            for points in parts { out += line(points, index: index, px: px, py: py) }
        }
        return HTML(markup: out + "</svg>")
    }

    /// A line, or a single point, with what it shows in numbers for the reader's cross-hair.
    private func line(
        _ points: [(x: Double, y: Double)], index: Int, px: (Double) -> Double, py: (Double) -> Double
    ) -> String {
        let color = "var(--c\(index % 8))"
        let name = series.count > 1 ? HTML("\(series[index].name)").text : ""
        let values = points.map { "\(exact($0.x)):\(said($0.y))" }.joined(separator: " ")
        let given = "data-line=\"\(index)\" data-name=\"\(name)\" data-v=\"\(values)\""
        if points.count == 1, let point = points.first {
            let x = Format.fixed(px(point.x), 1)
            let y = Format.fixed(py(point.y), 1)
            return
                "<circle \(given) cx=\"\(x)\" cy=\"\(y)\" r=\"\(parts(series[index].points).count > 1 ? 2 : 4)\" fill=\"\(color)\"/>"
        }
        let path = points.map { "\(Format.fixed(px($0.x), 1)),\(Format.fixed(py($0.y), 1))" }.joined(separator: " ")
        // Past eight lines the colours come again, dashed.
        let dash = index < 8 ? "" : " stroke-dasharray=\"\(index < 16 ? "6 3" : "2 3")\""
        return """
            <polyline \(given) points="\(path)" fill="none" stroke="\(color)" stroke-width="1.8" \
            stroke-linejoin="round"\(dash)/>
            """
    }

    private func exact(_ x: Double) -> String {
        x == x.rounded() && abs(x) < 9e15 ? String(Int64(x)) : Format.fixed(x, 3)
    }

    private func said(_ y: Double) -> String { Format.number(isLog ? pow(10, y) : y) }

    private func label(_ tick: Double) -> String {
        guard isLog else { return Ticks.label(tick) }
        var value = 1.0
        for _ in 0..<Int(min(abs(tick.rounded(.towardZero)), 300)) { value *= 10 }
        if tick < 0 { value = 1 / value }
        return tick == tick.rounded() ? Ticks.label(value) : ""
    }

    /// The names of the lines in their colours; empty for a single one.
    func legend() -> HTML {
        guard series.count > 1 else { return "" }
        let items = series.enumerated().map { index, line -> HTML in
            """
            <button type="button" class="line" data-line="\(index)" aria-pressed="true" title="hide or show">\
            <i style="background:var(--c\(index % 8))"></i>\(line.name)</button>
            """
        }
        return "<div class=\"legend\">\(items)</div>"
    }
}

/// Round numbers for an axis.
enum Ticks {
    /// About `count` multiples of 1, 2 or 5 times a power of ten that lie in the range, its ends included if round.
    static func nice(from low: Double, to high: Double, about count: Int) -> [Double] {
        guard low.isFinite, high.isFinite, high > low, count > 0 else { return [] }
        let raw = (high - low) / Double(count)
        guard raw.isFinite else { return [] }
        var power = 1.0
        while power * 10 <= raw { power *= 10 }
        while power > raw { power /= 10 }
        guard power > 0, raw / power < 11 else { return [] }
        let step = power * (raw / power >= 5 ? 10 : raw / power >= 2 ? 5 : raw / power > 1 ? 2 : 1)
        return multiples(of: step, from: low, to: high)
    }

    /// The same, with one more at each end where the range would stick out.
    static func covering(from low: Double, to high: Double, about count: Int) -> [Double] {
        let inner = nice(from: low, to: high, about: count)
        guard inner.count > 1 else { return inner }
        let step = inner[1] - inner[0]
        var ticks = inner
        if inner[0] > low + step * 1e-6 { ticks.insert(inner[0] - step, at: 0) }
        if let last = inner.last, last < high - step * 1e-6 { ticks.append(last + step) }
        return ticks
    }

    /// As short as it goes: `0.9`, not `0.9000`.
    static func label(_ tick: Double) -> String {
        let text = Format.number(tick)
        guard text.contains("."), !text.contains("e") else { return text }
        let short = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return String(short.reversed())
    }

    private static func multiples(of step: Double, from low: Double, to high: Double) -> [Double] {
        var ticks: [Double] = []
        var index = (low / step).rounded(.up)
        while index * step <= high + step * 1e-9, ticks.count < 20 {
            ticks.append(index * step)
            index += 1
        }
        return ticks
    }
}
