import AerieCore
import AerieJSON
import ArgumentParser
import Capacity
import Foundation

/// `aerie capacity`: pods, nodes and money for a load, and a day of it under an autoscaler.
struct CapacityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capacity", abstract: "Work out pods, nodes, cost and headroom for a load.",
        discussion: """
            What a pod answers comes from a measurement of this node (aerie bench MODEL --find-rate --p99 5ms --json \
            FILE), or from --per-pod. The day is simulated second by second under Kubernetes' \
            HorizontalPodAutoscaler.

            aerie capacity --rps 1000000 --p99 5ms --measured rates.json --node-price 240
            aerie capacity --rps 1000000 --per-pod 5000 --chart day.svg --csv day.csv
            """)

    @Option(help: "Requests a second at the peak.") var rps: Double
    @Option(help: "The latency that 99 of 100 requests must keep, such as 5ms.") var p99 = "5ms"
    @Option(help: "A file of aerie bench --find-rate --json.") var measured: String?
    @Option(help: "Requests a second of one pod, instead of a measurement.") var perPod: Double?
    @Option(help: "Cores of a pod.") var podCores = 2.0
    @Option(help: "The utilization that the autoscaler aims for.") var utilization = 0.7
    @Option(help: "Pods more than the peak needs, as a share.") var overhead = 0.2
    @Option(help: "Pods on a node.") var podsPerNode = 8
    @Option(help: "Availability zones; the loss of one costs no capacity.") var zones = 3
    @Option(help: "The share of the nodes that may be in maintenance.") var maintenance = 0.1
    @Option(help: "A node's price a month.") var nodePrice: Double?
    @Option(name: .customLong("fixed"), help: "NAME=PRICE a month that does not grow with the nodes; may be repeated.")
    var fixed: [String] = []
    @Option(help: "The fewest pods of the autoscaler.") var minReplicas = 50
    @Option(help: "The most pods of the autoscaler.") var maxReplicas = 300
    @Option(help: "The night's traffic as a share of the peak.") var valley = 0.25
    @Option(help: "A burst at noon: so much more than the curve, as a share.") var burst = 0.0
    @Option(help: "Seconds until a new pod answers.") var podStart = 15
    @Option(help: "Write the day as a picture (SVG).") var chart: String?
    @Option(help: "Write the day as comma-separated values.") var csv: String?
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        try await ClientOutput.reporting {
            let perPod = try capacityOfPod()
            let plan = try CapacityPlan(
                CapacityDemand(
                    perSecond: rps, perPod: perPod, overhead: overhead, podsPerNode: podsPerNode, zones: zones,
                    maintenance: maintenance), prices: try prices())
            let day = try simulate(perPod)
            if let chart { try ExportFile.write(DayChart.svg(day, maximum: rps * (1 + max(0, burst))), to: chart) }
            if let csv { try ExportFile.write(DayChart.csv(day), to: csv) }
            if json { return print((["plan": plan.json(), "day": day.json()] as JSONValue).text()) }
            print(Self.table(plan, day), terminator: "")
        }
    }

    // MARK: What is known

    private func capacityOfPod() throws(AerieError) -> Double {
        guard utilization > 0, utilization <= 1 else {
            throw .invalid("--utilization", "\(utilization) is not above 0 and at most 1")
        }
        switch (perPod, measured) {
        case (let perPod?, nil): return perPod
        case (nil, let file?): return try measuredPod(file)
        case (nil, nil): throw .invalid("--measured", "give a measurement, or --per-pod")
        case (.some, .some): throw .invalid("--per-pod", "is given beside --measured; give one of them")
        }
    }

    /// The node's rate within the limit, by the pod's share of its cores, at the utilization that is aimed for.
    private func measuredPod(_ file: String) throws(AerieError) -> Double {
        guard podCores > 0, podCores <= 1024 else { throw .invalid("--pod-cores", "\(podCores) is not from 0 to 1024") }
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw .invalid("--measured", "\(file) cannot be read")
        }
        let json: JSONValue
        do { json = try JSONValue.parse(Array(bytes)) } catch { throw error.asAerieError(in: file) }
        let measured = try MeasuredCapacity(json: json)
        let limit = try Self.seconds(p99)
        guard let rate = measured.rate(within: limit) else {
            throw AerieError(
                .failedPrecondition,
                "\(file): no measured rate keeps a P99 of \(p99); measure lower ones, or allow more")
        }
        return rate * podCores / Double(max(1, measured.cores)) * utilization
    }

    private static let prices = 0...1e12

    private func prices() throws(AerieError) -> CapacityPrices? {
        guard let nodePrice else {
            if !fixed.isEmpty { throw .invalid("--fixed", "needs --node-price") }
            return nil
        }
        var items: [CapacityPrices.Item] = []
        for text in fixed {
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let price = Double(parts[1]), Self.prices.contains(price) else {
                throw .invalid("--fixed", "\"\(text)\" is not NAME=PRICE")
            }
            items.append(.init(String(parts[0]), price))
        }
        guard Self.prices.contains(nodePrice) else { throw .invalid("--node-price", "\(nodePrice) is not from 0 to 1e12") }
        return CapacityPrices(node: nodePrice, fixed: items)
    }

    private func simulate(_ perPod: Double) throws(AerieError) -> DaySimulation {
        guard minReplicas >= 1, minReplicas <= maxReplicas, maxReplicas <= 1_000_000 else {
            throw .invalid("--max-replicas", "\(minReplicas) to \(maxReplicas) is no range of pods")
        }
        guard (0...1).contains(valley) else { throw .invalid("--valley", "\(valley) is not from 0 to 1") }
        guard (0...100).contains(burst) else { throw .invalid("--burst", "\(burst) is not from 0 to 100") }
        guard (0...3600).contains(podStart) else { throw .invalid("--pod-start", "\(podStart) is not from 0 to 3600") }
        return DaySimulation(
            .init(peak: rps, valley: valley, burst: burst), perPod: perPod,
            settings: .init(
                minimum: minReplicas, maximum: maxReplicas, target: utilization, startSeconds: podStart))
    }

    /// `5ms`, `800us`, `0.5s`.
    static func seconds(_ text: String) throws(AerieError) -> Double {
        for (unit, factor) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)] where text.hasSuffix(unit) {
            if let number = Double(text.dropLast(unit.count)), number > 0, number * factor <= 60 {
                return number * factor
            }
            break
        }
        throw .invalid("--p99", "\"\(text)\" is no latency; write 800us, 5ms or 0.5s")
    }

    // MARK: Output

    private static func table(_ plan: CapacityPlan, _ day: DaySimulation) -> String {
        var rows = [
            ["one pod", "\(BenchTable.whole(plan.demand.perPod)) requests/s"],
            ["pods for the peak", "\(plan.requiredPods)"],
            ["pods with overhead", "\(plan.pods)"],
            ["nodes, at least", "\(plan.minimumNodes)"],
            ["nodes, recommended", "\(plan.recommendedNodes)  (a zone may be lost, and some be in maintenance)"],
            ["headroom there", "\(Int((plan.headroom * 100).rounded())) %"],
        ]
        if let monthly = plan.monthly, let each = plan.perPrediction {
            rows.append(["a month", String(format: "%.0f", monthly)])
            rows.append(["a million predictions", String(format: "%.4f", each * 1e6)])
        }
        rows.append([
            "a day's pods", "\(day.fewestPods) to \(day.mostPods), \(BenchTable.whole(day.podHours)) pod-hours",
        ])
        rows.append(["saved by scaling", "\(Int((day.saving * 100).rounded())) % of the peak's pods all day"])
        rows.append([
            "overloaded",
            day.overloadedSeconds == 0
                ? "never"
                : "\(day.overloadedSeconds) s, "
                    + "\(BenchTable.whole(day.shed)) requests turned away",
        ])
        return rows.map { $0[0].padding(toLength: 24, withPad: " ", startingAt: 0) + $0[1] + "\n" }.joined()
    }
}

/// A simulated day as a picture and as a table.
enum DayChart {
    static func csv(_ day: DaySimulation) -> String {
        day.samples.reduce(into: "second,requests_per_second,pods_ready,pods_asked,utilization\n") { text, sample in
            text += "\(sample.second),\(sample.perSecond),\(sample.ready),\(sample.asked),\(sample.utilization)\n"
        }
    }

    /// Traffic as an area, ready pods as a line, each on a scale of its own, over 24 hours.
    static func svg(_ day: DaySimulation, maximum: Double) -> String {
        let (width, height, left, bottom) = (960.0, 360.0, 56.0, 30.0)
        let mostPods = Double(max(1, day.mostPods)) * 1.1
        func x(_ second: Int) -> String { number(left + Double(second) / 86_400 * (width - 2 * left)) }
        func y(_ share: Double) -> String { number(10 + (1 - min(1, share)) * (height - bottom - 10)) }
        let samples = day.samples.enumerated().filter { $0.offset.isMultiple(of: 8) }.map(\.element)
        let traffic = samples.map { "\(x($0.second)),\(y($0.perSecond / (maximum * 1.1)))" }.joined(separator: " ")
        let pods = samples.map { "\(x($0.second)),\(y(Double($0.ready) / mostPods))" }.joined(separator: " ")
        let base = y(0)
        var marks = ""
        for hour in stride(from: 0, through: 24, by: 4) {
            let at = x(hour * 3600)
            marks += "<line x1=\"\(at)\" y1=\"10\" x2=\"\(at)\" y2=\"\(base)\" stroke=\"#ddd\"/>"
            marks += "<text x=\"\(at)\" y=\"\(number(height - 10))\" text-anchor=\"middle\">\(hour):00</text>"
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 360" font-family="sans-serif" font-size="12">
            <title>Traffic and pods over a day</title>
            <rect width="960" height="360" fill="#fff"/>
            \(marks)
            <polygon points="\(x(0)),\(base) \(traffic) \(x(86_400)),\(base)" fill="#9ec5e8" fill-opacity="0.6"/>
            <polyline points="\(pods)" fill="none" stroke="#b3261e" stroke-width="2"/>
            <text x="\(number(left + 6))" y="24" fill="#2a6099">traffic, up to \(BenchTable.whole(maximum)) requests/s</text>
            <text x="\(number(left + 6))" y="42" fill="#b3261e">pods, \(day.fewestPods) to \(day.mostPods)</text>
            </svg>

            """
    }

    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
}
