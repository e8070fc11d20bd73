import AerieCore
import AerieJSON
import Foundation
import Pipelines

/// A run as it goes on, on a terminal as a table that is drawn again in place, elsewhere as a line for each change.
struct PipelineProgress {
    private var run: PipelineRun
    private let isTerminal: Bool
    private var drawnLines = 0
    private var drawn: UInt64 = 0
    /// What has been told of each step, where there is no terminal.
    private var told: [String: String] = [:]
    private let begin = SystemClock().now()

    init(_ run: PipelineRun, isTerminal: Bool) {
        self.run = run
        self.isTerminal = isTerminal
    }

    /// Follows the run until it has ended, through a restart of the server of up to 30 seconds.
    static func follow(_ id: String, _ client: PipelineClient) async throws(AerieError) -> PipelineRun {
        var progress = PipelineProgress(try await client.run(id), isTerminal: isatty(STDOUT_FILENO) == 1)
        var failures = 0
        while true {
            progress.show(isForced: true)
            if progress.run.state.isFinal { return progress.run }
            do throws(AerieError) {
                try await client.events(id) { event in
                    progress.take(event)
                    progress.show()
                    failures = 0
                }
                progress.run = try await client.run(id)
                failures = 0
                // A server that ends the stream early is about to stop, or has lost us: no reason to hurry.
                if !progress.run.state.isFinal { try? await Task.sleep(for: .milliseconds(200)) }
            } catch {
                failures += 1
                if error.code != .unavailable || failures > 60 { throw error }
                try? await Task.sleep(for: .milliseconds(500))
                if let run = try? await client.run(id) { progress.run = run }
            }
        }
    }

    private mutating func take(_ event: JSONValue) {
        switch event["type"]?.string {
        case "run":
            guard var new = try? PipelineClient.run(event["run"] ?? .null) else { return }
            // The first event has the steps too; later ones come step by step.
            if new.steps.isEmpty { new.steps = run.steps }
            run = new
        case "step":
            guard let step = try? StepRun(json: event["step"]?.object ?? [:]),
                let index = run.steps.firstIndex(where: { $0.name == step.name })
            else { return }
            run.steps[index] = step
        case "progress":
            guard let index = run.steps.firstIndex(where: { $0.name == event["step"]?.string }) else { return }
            run.steps[index].progress = event["progress"]?.double ?? 0
            run.steps[index].message = event["message"]?.string ?? ""
        default: break
        }
    }

    private mutating func show(isForced: Bool = false) {
        guard isTerminal else { return showLines() }
        let now = monotonicNanoseconds()
        guard isForced || run.state.isFinal || now &- drawn > 66_000_000 else { return }
        drawn = now
        // A line that is broken by the terminal, or one that has left it at the top, could not be drawn over again.
        let (columns, rows) = Self.terminalSize()
        var lines = Self.table(run, now: SystemClock().now(), width: columns, isColored: true)
        if lines.count >= rows, !run.state.isFinal {
            lines = Array(lines.prefix(1) + lines.dropFirst().suffix(max(1, rows - 3)))
        }
        var out = drawnLines > 0 ? "\u{1b}[\(drawnLines)A" : ""
        for line in lines { out += "\u{1b}[2K\(line)\n" }
        out += "\u{1b}[J"
        drawnLines = lines.count
        FileHandle.standardOutput.write(Data(out.utf8))
    }

    /// Columns and rows; 100 by 40 where the terminal does not say.
    private static func terminalSize() -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20, size.ws_row > 3 else {
            return (100, 40)
        }
        return (min(Int(size.ws_col), 200), Int(size.ws_row))
    }

    private mutating func showLines() {
        for step in run.steps {
            let tenth = Int(step.progress * 10) * 10
            let key = "\(step.state.rawValue)/\(step.attempt)/\(step.state == .running ? tenth : 0)"
            guard told[step.name] != key, step.state != .pending || told[step.name] != nil else { continue }
            told[step.name] = key
            let share = step.state == .running && tenth > 0 ? " \(tenth)%" : ""
            let message = step.message.isEmpty ? "" : ": \(step.message)"
            print("\(SystemClock().now().iso8601) \(step.name) \(step.state.rawValue)\(share)\(message)")
            if step.state == .waiting { print("  decide with: aerie approve \(run.id) \(step.name)") }
        }
        if run.state.isFinal, told["/"] == nil {
            told["/"] = "told"
            let message = run.message.isEmpty ? "" : ": \(run.message)"
            print("\(SystemClock().now().iso8601) \(run.id) \(run.state.rawValue)\(message)")
        }
        fflush(nil)
    }

    /// The run's name and a line for each step: sign, name, state, bar, time, message.
    static func table(_ run: PipelineRun, now: Timestamp, width: Int, isColored: Bool) -> [String] {
        func paint(_ text: String, _ code: Int) -> String { isColored ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
        let nameWidth = run.steps.map(\.name.count).max() ?? 0
        let taken = time(run.created, run.finished ?? now)
        var lines = ["\(run.id)  \(run.state.rawValue)  \(Int(run.progress * 100))%  \(taken)"]
        for step in run.steps {
            let (sign, color) = sign(step.state)
            var line = "  \(paint(sign, color)) \(pad(step.name, nameWidth))  \(paint(pad(step.state.rawValue, 9), color))  "
            line += step.state == .running ? bar(step.progress) : pad("", 12)
            line += "  " + pad(step.started.map { time($0, step.finished ?? now) } ?? "", 7)
            // Sign, state, bar and time with the spaces between them take 40 columns.
            let room = max(0, width - nameWidth - 41)
            line += "  " + String(step.message.replacing("\n", with: " ").prefix(room))
            lines.append(line)
        }
        for step in run.steps where step.state == .waiting {
            lines.append("  decide with: aerie approve \(run.id) \(step.name)")
        }
        if run.state.isFinal, !run.message.isEmpty { lines.append("  \(run.message)") }
        return lines
    }

    private static func sign(_ state: StepRun.State) -> (String, Int) {
        switch state {
        case .pending: ("·", 90)
        case .running: ("▶", 36)
        case .waiting: ("⏸", 33)
        case .succeeded: ("✓", 32)
        case .cached: ("≡", 32)
        case .failed: ("✗", 31)
        case .skipped: ("–", 90)
        case .cancelled: ("■", 33)
        }
    }

    private static func bar(_ fraction: Double) -> String {
        let full = Int((min(max(fraction, 0), 1) * 12).rounded(.down))
        return String(repeating: "█", count: full) + String(repeating: "░", count: 12 - full)
    }

    private static func time(_ from: Timestamp, _ to: Timestamp) -> String {
        let milliseconds = max(0, to.milliseconds - from.milliseconds)
        switch milliseconds {
        case ..<60_000: return "\(milliseconds / 1000).\(milliseconds % 1000 / 100)s"
        case ..<3_600_000: return "\(milliseconds / 60_000)m\(milliseconds % 60_000 / 1000)s"
        default: return "\(milliseconds / 3_600_000)h\(milliseconds % 3_600_000 / 60_000)m"
        }
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
