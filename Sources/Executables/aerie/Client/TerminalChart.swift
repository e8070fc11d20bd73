import Foundation

/// Numbers drawn with characters.
enum TerminalChart {
    /// One line of blocks of eight heights, `width` wide at most. What is not finite leaves a gap.
    static func sparkline(_ values: [Double], width: Int) -> String {
        let bars = Array("▁▂▃▄▅▆▇█")
        let points = thin(values, to: width)
        let finite = points.filter(\.isFinite)
        guard let low = finite.min(), let high = finite.max() else { return "" }
        return String(
            points.map { value -> Character in
                guard value.isFinite else { return " " }
                return bars[high > low ? min(7, Int((value - low) / (high - low) * 8)) : 3]
            })
    }

    /// A line chart of braille dots with the scale at its left; each character is two dots wide and four high.
    static func braille(_ points: [(x: Double, y: Double)], width: Int, height: Int) -> [String] {
        let finite = points.filter { $0.x.isFinite && $0.y.isFinite }
        guard let low = finite.map(\.y).min(), let high = finite.map(\.y).max(),
            let first = finite.map(\.x).min(), let last = finite.map(\.x).max()
        else { return [] }
        let labels = [number(high), number(low)]
        let margin = (labels.map(\.count).max() ?? 0) + 1
        let columns = max(4, width - margin - 1)
        var cells = [UInt32](repeating: 0, count: columns * height)
        func dot(_ x: Int, _ y: Int) {
            let bit: [[UInt32]] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]]
            cells[(y / 4) * columns + x / 2] |= bit[x % 2][y % 4]
        }
        let (right, bottom) = (columns * 2 - 1, height * 4 - 1)
        var before: (x: Int, y: Int)?
        for point in finite {
            let x = last > first ? Int((point.x - first) / (last - first) * Double(right)) : 0
            let y = high > low ? Int((high - point.y) / (high - low) * Double(bottom)) : bottom / 2
            let from = before ?? (x, y)
            let steps = max(abs(x - from.x), abs(y - from.y), 1)
            for step in 0...steps {
                dot(from.x + (x - from.x) * step / steps, from.y + (y - from.y) * step / steps)
            }
            before = (x, y)
        }
        return (0..<height).map { row in
            let label = row == 0 ? labels[0] : row == height - 1 ? labels[1] : ""
            let drawn = cells[(row * columns)..<((row + 1) * columns)].compactMap { Unicode.Scalar(0x2800 + $0) }
            return String(repeating: " ", count: margin - 1 - label.count) + label + " │"
                + String(String.UnicodeScalarView(drawn))
        }
    }

    /// Evenly `count` of them, with the first and the last.
    static func thin<Element>(_ values: [Element], to count: Int) -> [Element] {
        guard values.count > count, count > 1 else { return values }
        return (0..<count).map { values[$0 * (values.count - 1) / (count - 1)] }
    }

    /// Six significant digits at most.
    static func number(_ value: Double) -> String {
        let exact = "\(value)"
        if let whole = Int64(exactly: value), abs(whole) < 1_000_000_000 { return "\(whole)" }
        return exact.count <= 8 ? exact : String(format: "%.6g", value)
    }
}
