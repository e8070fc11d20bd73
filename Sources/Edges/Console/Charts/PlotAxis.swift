import AerieCore
import Experiments

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// One parameter, metric or tag over many runs, and where along an axis each run stands.
struct PlotAxis {
    /// Such as `params.depth`.
    let key: String
    /// From 0 at the axis' start to 1 at its end; `nil` for a run without a value that can be drawn.
    private(set) var positions: [Double?] = []
    private(set) var ticks: [(at: Double, label: String)] = []
    /// What each run has, as it was logged.
    private(set) var texts: [String?] = []
    private(set) var isNumeric = false
    private(set) var isLog = false
    /// The least and the greatest that is drawn.
    private(set) var ends = (low: "", high: "")

    /// More values than these of a category stand together at one place.
    private static let categoryLimit = 24

    var name: String { RunsQuery.kind(of: key)?.key ?? key }

    /// Numbers stand by their size, on a logarithmic axis only those above 0; all else stands as categories.
    init(_ key: String, of runs: [Run], wantsLog: Bool = false) {
        self.key = key
        texts = runs.map { Self.text(key, of: $0) }
        let numbers = texts.map { $0.flatMap(Double.init) }
        isNumeric = zip(texts, numbers).allSatisfy { $0 == nil || $1 != nil } && numbers.contains { $0 != nil }
        guard isNumeric else {
            categorize()
            return
        }
        // The greatest finite numbers stand for infinities; nothing can be drawn to their scale.
        let drawn = numbers.map { value in value.flatMap { $0.isFinite && abs($0) < 1e300 ? $0 : nil } }
        isLog = wantsLog && drawn.contains { ($0 ?? 0) > 0 }
        let isLog = isLog
        place(drawn.map { value in value.flatMap { isLog ? ($0 > 0 ? log10($0) : nil) : $0 } })
    }

    /// Whether its numbers are so far apart, all above 0, that a linear axis would show most of them at one end.
    var spansPowers: Bool {
        let numbers = texts.compactMap { $0.flatMap(Double.init) }.filter(\.isFinite)
        guard isNumeric, let low = numbers.min(), let high = numbers.max() else { return false }
        return low > 0 && high / low >= 100
    }

    private mutating func place(_ values: [Double?]) {
        let known = values.compactMap { $0 }
        guard var low = known.min(), var high = known.max() else {
            positions = values
            return
        }
        ends = (Ticks.label(isLog ? pow(10, low) : low), Ticks.label(isLog ? pow(10, high) : high))
        if low == high { (low, high) = (low - max(abs(low), 1) * 0.1, high + max(abs(high), 1) * 0.1) }
        positions = values.map { $0.map { ($0 - low) / (high - low) } }
        var marks = Ticks.nice(from: low, to: high, about: 5)
        if isLog {
            marks = marks.filter { $0 == $0.rounded() }
            if marks.count < 2 { marks = [low, high] }
        }
        ticks = marks.map { (($0 - low) / (high - low), Ticks.label(isLog ? pow(10, $0) : $0)) }
    }

    private mutating func categorize() {
        var counts: [String: Int] = [:]
        for text in texts { if let text { counts[text, default: 0] += 1 } }
        var kept = counts.keys.sorted { (Double($0) ?? .infinity, $0) < (Double($1) ?? .infinity, $1) }
        if kept.count > Self.categoryLimit {
            let most = Set(
                counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.categoryLimit - 1).map(\.key))
            kept = kept.filter { most.contains($0) }
        }
        let places = kept.count + (kept.count < counts.count ? 1 : 0)
        func place(_ index: Int) -> Double { (Double(index) + 0.5) / Double(max(places, 1)) }
        let index = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1, $0) })
        positions = texts.map { $0.map { place(index[$0] ?? kept.count) } }
        ticks = kept.enumerated().map { (place($0), $1) }
        if places > kept.count { ticks.append((place(kept.count), "others")) }
    }

    private static func text(_ key: String, of run: Run) -> String? {
        guard let (kind, name) = RunsQuery.kind(of: key) else { return nil }
        switch kind {
        case "metrics": return run.metrics.first { $0.key == name }.map { String($0.value) }
        case "params": return run.params.first { $0.key == name }?.value
        default: return run.tags.first { $0.key == name }?.value
        }
    }

    // MARK: Colours

    /// From blue over violet to orange, readable on light and dark.
    static func color(at position: Double?) -> String {
        guard let position else { return "var(--soft)" }
        let stops: [(Double, Double, Double)] = [(59, 91, 219), (150, 70, 190), (217, 72, 95), (232, 120, 12)]
        let scaled = min(max(position, 0), 1) * Double(stops.count - 1)
        let index = min(Int(scaled), stops.count - 2)
        let part = scaled - Double(index)
        let (a, b) = (stops[index], stops[index + 1])
        func mixed(_ x: Double, _ y: Double) -> Int { Int((x + (y - x) * part).rounded()) }
        return "rgb(\(mixed(a.0, b.0)),\(mixed(a.1, b.1)),\(mixed(a.2, b.2)))"
    }

    /// What the colours mean.
    func colorLegend() -> HTML {
        let stops = stride(from: 0.0, through: 1, by: 0.25).map { Self.color(at: $0) }.joined(separator: ",")
        let low = isNumeric ? ends.low : ticks.first?.label ?? ""
        let high = isNumeric ? ends.high : ticks.last?.label ?? ""
        return """
            <div class="legend"><span>\(name)</span><span>\(low)</span>\
            <span class="ramp" style="background:linear-gradient(90deg,\(stops))"></span><span>\(high)</span></div>
            """
    }
}
