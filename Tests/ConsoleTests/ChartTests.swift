import Testing

@testable import Console

@Suite struct ChartTests {
    @Test(
        "numbers show four digits",
        arguments: [
            (0.0, "0"), (42, "42"), (0.99637, "0.9964"), (1234.5, "1235"), (-0.5, "-0.5000"), (9.9999e6, "1.00e7"),
            (1.5e-7, "1.50e-7"), (Double.nan, "NaN"), (-Double.infinity, "-∞"), (1e300, "1.00e300"),
        ])
    func numbers(value: Double, expected: String) { #expect(Format.number(value) == expected) }

    @Test("times and sizes take the unit that fits")
    func units() {
        #expect(Format.duration(milliseconds: 999) == "999 ms" && Format.duration(milliseconds: -5) == "0 ms")
        #expect(Format.duration(milliseconds: 61_000) == "1 min 1 s")
        #expect(Format.bytes(1536) == "1.5 KB")
        #expect(Format.seconds(0.000166) == "166 µs" && Format.seconds(0) == "–" && Format.seconds(.nan) == "–")
    }

    @Test(
        "ticks are round, cover the range, and end for any range",
        arguments: [
            (0.0, 1.0), (0.6, 0.93), (-5, 12_345), (1e-9, 2e-9), (0, 5e-324), (-1.7e308, 1.7e308), (3, 3),
        ])
    func ticks(low: Double, high: Double) {
        let ticks = Ticks.covering(from: low, to: high, about: 4)
        #expect(ticks.count < 24)
        #expect(zip(ticks, ticks.dropFirst()).allSatisfy { $0 < $1 })
        if ticks.count > 1, let first = ticks.first, let last = ticks.last {
            #expect(first <= low + (high - low) * 1e-5 && last >= high - (high - low) * 1e-5)
        }
        #expect(Ticks.label(0.9) == "0.9" && Ticks.label(100) == "100" && Ticks.label(1.5e-7) == "1.50e-7")
    }

    @Test("a long line is thinned to its pixels and keeps its extremes")
    func thinning() {
        var points = (0..<50_000).map { (x: Double($0), y: Double($0 % 7)) }
        points[31_000].y = 900
        points[12_345].y = .nan
        let kept = LineChart(title: "t", series: [.init(name: "a", points: [])]).thinned(points)
        #expect(kept.count <= 560)
        #expect(kept.contains { $0.y == 900 })
        #expect(zip(kept, kept.dropFirst()).allSatisfy { $0.x <= $1.x })
    }

    @Test("no values, one value, infinities and a hostile title draw without harm")
    func hostile() {
        let greatest = Double.greatestFiniteMagnitude
        for points in [[], [(x: 1.0, y: 2.0)], [(x: 0, y: -greatest), (x: 1, y: greatest)], [(x: 0, y: .infinity)]] {
            let svg = LineChart(title: "<b>", series: [.init(name: "<i>", points: points)]).svg().text
            #expect(!svg.contains("<b>") && !svg.contains("nan") && !svg.contains("inf"))
        }
    }

    @Test("steps that need each other, themselves or nothing real are drawn all the same")
    func graph() {
        func node(_ name: String, _ needs: [String]) -> DAGPicture.Node {
            .init(name: name, caption: "", tone: "", needs: needs, link: "/x?step=" + name)
        }
        let svg = DAGPicture(nodes: [
            node("a", ["c"]), node("b", ["a", "missing"]), node("c", ["b"]), node("self", ["self"]), node("<x>", []),
        ]).svg().text
        #expect(svg.components(separatedBy: "<rect").count == 6)
        #expect(!svg.contains("<x>"))
        #expect(DAGPicture(nodes: []).svg().text.contains("no steps"))
        let chain = (0..<8).map { node("s\($0)", $0 == 0 ? [] : ["s\($0 - 1)"]) }
        #expect(DAGPicture(nodes: chain).svg().text.components(separatedBy: "class=\"edge\"").count == 8)
    }
}

extension String {
    fileprivate func components(separatedBy mark: String) -> [Substring] {
        split(separator: mark, omittingEmptySubsequences: false)
    }
}
