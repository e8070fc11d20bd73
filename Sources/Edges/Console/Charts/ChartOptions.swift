import AerieCore
import Experiments
import Hummingbird

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How histories are drawn, as the page's address says it.
struct ChartOptions: Equatable {
    enum Axis: String, CaseIterable { case step, time, relative }

    var isLog = false
    /// The weight of what came before, from 0 (as it is) to 0.99.
    var smoothing = 0.0
    var axis = Axis.step

    init() {}

    init(_ request: Request) { self.init { request.uri.queryParameters.getAll($0) } }

    init(values: (String) -> [String]) {
        isLog = values("scale").last == "log"
        let asked = values("smooth").last.flatMap(Double.init) ?? 0
        smoothing = asked.isFinite ? min(max(asked, 0), 0.99) : 0
        axis = values("x").last.flatMap(Axis.init) ?? .step
    }

    /// Where a value stands: its step, or seconds since 1970 or since the history's first value.
    func points(_ values: [Metric]) -> [(x: Double, y: Double)] {
        let start = axis == .relative ? values.map(\.timestamp.milliseconds).min() ?? 0 : 0
        return values.map { value in
            let x = axis == .step ? Double(value.step) : Double(value.timestamp.milliseconds - start) / 1000
            return (x, value.y(isLog: isLog))
        }
    }

    var xLabel: String {
        switch axis {
        case .step: "step"
        case .time: "s since 1970"
        case .relative: "s"
        }
    }

    /// An exponential average that is not drawn towards 0 at its beginning; what is not finite counts nothing.
    func smoothed(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        var sum = 0.0
        var weight = 0.0
        return points.sorted { $0.x < $1.x }.map { point in
            guard point.y.isFinite else { return point }
            sum = smoothing * sum + (1 - smoothing) * point.y
            weight = smoothing * weight + (1 - smoothing)
            return (point.x, sum / weight)
        }
    }

    /// One chart of several histories, smoothed lines over what was logged.
    func chart(_ title: String, _ histories: [(name: String, values: [Metric])]) -> LineChart {
        var raw: [LineChart.Series] = []
        var lines: [LineChart.Series] = []
        for history in histories {
            let points = points(history.values)
            if smoothing > 0 { raw.append(.init(name: history.name, points: points)) }
            lines.append(.init(name: history.name, points: smoothing > 0 ? smoothed(points) : points))
        }
        return LineChart(title: title, series: lines, xLabel: xLabel, raw: raw, isLog: isLog)
    }

    /// The choices as a form; it works without a script.
    /// - Parameter kept: what else is in the address.
    func form(keeping kept: [(String, String)] = []) -> HTML {
        func option(_ value: String, _ text: String, _ isChosen: Bool) -> HTML {
            let mark: HTML = isChosen ? " selected" : ""
            return "<option value=\"\(value)\"\(mark)>\(text)</option>"
        }
        let hidden = kept.map { item -> HTML in "<input type=\"hidden\" name=\"\(item.0)\" value=\"\(item.1)\">" }
        let weights = [0, 0.3, 0.6, 0.9, 0.97].map { option("\($0)", $0 == 0 ? "none" : "\($0)", $0 == smoothing) }
        let names: [Axis: String] = [.step: "step", .time: "wall time", .relative: "relative time"]
        let axes = Axis.allCases.map { option($0.rawValue, names[$0] ?? $0.rawValue, $0 == axis) }
        return """
            <form class="bar choices" method="get">\(hidden)<label>Across <select name="x">\(axes)</select></label>\
            <label>Scale <select name="scale">\(option("linear", "linear", !isLog))\(option("log", "logarithmic", isLog))\
            </select></label><label>Smoothing <select name="smooth">\(weights)</select></label><button>Draw</button></form>
            """
    }
}

extension Metric {
    /// The height in a chart: on a logarithmic scale the power of ten, and none for what has no logarithm.
    fileprivate func y(isLog: Bool) -> Double { isLog ? (value > 0 ? log10(value) : .nan) : value }
}
