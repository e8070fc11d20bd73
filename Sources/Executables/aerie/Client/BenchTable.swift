import AerieCore
import Foundation
import Load
import Synchronization

/// Results of `aerie bench` as people read them.
enum BenchTable {
    static func text(_ results: [(target: String, result: LoadResult)]) -> String {
        var table = TextTable(
            ["target", "requests/s", "predictions/s", "p50", "p90", "p99", "p99.9", "max", "failed"],
            numbers: Set(1...8))
        for (target, result) in results {
            table.add([
                target, whole(result.perSecond), whole(result.rowsPerSecond), time(result.latency.quantile(0.5)),
                time(result.latency.quantile(0.9)), time(result.latency.quantile(0.99)),
                time(result.latency.quantile(0.999)), time(result.latency.maximum), String(result.failed),
            ])
        }
        return table.text(width: Terminal.width) + notes(results.map(\.result))
    }

    static func text(_ comparison: LoadComparison, _ first: String, _ second: String) -> String {
        let rows = comparison.rounds.flatMap { [(first, $0.first), (second, $0.second)] }
        func line(_ name: String, _ ratio: LoadComparison.Ratio) -> String {
            "\(name): \(two(ratio.mean))x (95 %: \(two(ratio.low)) to \(two(ratio.high)))\n"
        }
        return text(rows) + line("requests/s, first / second", comparison.throughput)
            + line("P50, first / second", comparison.latency(0.5))
            + line("P99, first / second", comparison.latency(0.99))
    }

    private static func notes(_ results: [LoadResult]) -> String {
        var text = ""
        for result in results where result.failed > 0 {
            let parts = result.statuses.filter { $0.value > 0 }.sorted { $0.key < $1.key }
            text += "answers: " + parts.map { "\(LoadResult.word($0.key)): \($0.value)" }.joined(separator: ", ") + "\n"
        }
        if let latest = results.map(\.latest).max(), latest > 0.001 {
            text += "sent late by up to \(time(latest)); the wait is part of the latencies\n"
        }
        return text
    }

    static func whole(_ value: Double) -> String { value.isFinite ? String(Int(value.rounded())) : "-" }

    private static func two(_ value: Double) -> String {
        value.isFinite ? String(format: "%.2f", value) : value.isNaN ? "-" : "∞"
    }

    /// `85 µs`, `1.24 ms`, `2.1 s`.
    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "-" }
        switch seconds {
        case ..<0.001: return "\(Int((seconds * 1e6).rounded())) µs"
        case ..<1: return String(format: "%.2f ms", seconds * 1e3)
        default: return String(format: "%.1f s", seconds)
        }
    }
}

/// The present state of a run on a terminal.
final class BenchView: Sendable {
    private let line = Mutex(ProgressLine())
    private let label: String

    init(label: String) { self.label = label }

    func show(_ progress: LoadProgress) {
        let state = progress.isWarmingUp ? "warming up" : "\(BenchTable.whole(progress.perSecond))/s"
        let failed = progress.failed > 0 ? ", \(progress.failed) failed" : ""
        line.withLock { line in
            line.show(
                "\(label)  \(state)  p50 \(BenchTable.time(progress.p50))  p99 \(BenchTable.time(progress.p99))\(failed)",
                share: progress.fraction)
        }
    }

    func clear() { line.withLock { $0.clear() } }
}
