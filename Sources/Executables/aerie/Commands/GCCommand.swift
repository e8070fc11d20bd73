import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

/// `aerie gc`: deletes for good what was deleted long ago.
struct GCCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Delete for good what was deleted long ago.",
        discussion: """
            Runs, logged models and experiments that were deleted before --older-than are removed with their files; \
            the names of experiments become free again. Files that a registered version refers to stay, and are \
            listed. It can be interrupted at any time: the next run takes up what is left.
            """)

    @Option(help: "How long ago it was deleted, such as 45s, 12h, 30d; 0 for all.") var olderThan = "30d"
    @Option(name: .customLong("experiment"), help: "Only this experiment and what is in it; may be repeated.")
    var experiments: [String] = []
    @Option(name: .customLong("run"), help: "Only this run; may be repeated.") var runs: [String] = []
    @Flag(help: "Show what would go, and change nothing.") var dryRun = false
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let seconds = try Self.seconds(olderThan)
            let client = try server.client()
            if dryRun {
                let report = try await preview(client, seconds)
                print(Self.summary(report))
                return
            }
            if !yes {
                guard isatty(STDIN_FILENO) == 1 else {
                    throw AerieError.invalid("--yes", "needed where nobody can be asked; --dry-run shows what would go")
                }
                let report = try await preview(client, seconds)
                print(Self.summary(report))
                print("Delete this for good? Type yes: ", terminator: "")
                fflush(nil)
                guard readLine() == "yes" else { throw AerieError(.cancelled, "nothing was deleted") }
            }
            try await collect(client, seconds)
        }
    }

    private func body(_ seconds: Int64, isDryRun: Bool) -> JSONValue {
        [
            "older_than_seconds": .int(seconds), "dry_run": .bool(isDryRun),
            "experiments": .array(experiments.map { .string($0) }), "runs": .array(runs.map { .string($0) }),
        ]
    }

    private func preview(_ client: PlatformClient, _ seconds: Int64) async throws(AerieError) -> JSONValue {
        var rows: [[String]] = []
        var notes: [String] = []
        let now = SystemClock().now()
        let report = try await client.follow(
            "/api/aerie/v1/gc", body: body(seconds, isDryRun: true)
        ) { line throws(AerieError) in
            if line["type"]?.string == "skipped" { return notes.append(Self.note(line)) }
            let time = line["deleted_time"]?.int.map { Timestamp(milliseconds: $0) }
            rows.append([
                Self.word(line), line["id"]?.string ?? "", line["name"]?.string ?? "",
                ClientOutput.age(of: time, now: now), Self.size(line["bytes"]?.int ?? 0),
                line["holder"]?.string.map { "files stay: \($0)" } ?? "",
            ])
        }
        if !rows.isEmpty {
            print(ClientOutput.table(["KIND", "ID", "NAME", "DELETED", "FILES", "NOTE"], rows), terminator: "")
        }
        notes.forEach(ClientOutput.note)
        return report
    }

    private func collect(_ client: PlatformClient, _ seconds: Int64) async throws(AerieError) {
        var progress = ProgressLine()
        var removed: Int64 = 0
        var places = 0
        var bytes: Int64 = 0
        let report = try await client.follow("/api/aerie/v1/gc", body: body(seconds, isDryRun: false)) {
            line throws(AerieError) in
            switch line["type"]?.string {
            case "removed": removed += line["count"]?.int ?? 0
            case "files":
                places += 1
                bytes += line["bytes"]?.int ?? 0
            default:
                progress.clear()
                ClientOutput.note(Self.note(line))
            }
            progress.show(
                "\(removed) removed, files of \(places) deleted, \(Self.size(bytes))",
                share: removed > 0 ? Double(places) / Double(removed) : 1)
        }
        progress.clear()
        print(Self.summary(report))
    }

    private static func word(_ line: JSONValue) -> String {
        (line["kind"]?.string ?? "").replacing("_", with: " ")
    }

    private static func note(_ line: JSONValue) -> String {
        let what = "\(word(line)) \(line["id"]?.string ?? "")"
        let why = line["why"]?.string ?? ""
        guard line["type"]?.string == "kept" else { return "skipped: \(what): \(why)" }
        return "kept: the files of \(what) at \(line["location"]?.string ?? ""): \(why)"
    }

    private static func summary(_ report: JSONValue) -> String {
        let isDryRun = report["dry_run"]?.bool ?? false
        let words = [
            ("run", "runs"), ("logged_model", "logged models"), ("trace", "traces"), ("experiment", "experiments"),
        ]
        let counts = words.map { "\(report["counts"]?[$0.0]?.int ?? 0) \($0.1)" }.joined(separator: ", ")
        var text = (isDryRun ? "would delete " : "deleted ") + counts + ", \(size(report["bytes"]?.int ?? 0)) of files"
        if let kept = report["kept"]?.int, kept > 0 { text += "; the files of \(kept) stay" }
        if let skipped = report["skipped"]?.int, skipped > 0 { text += "; \(skipped) skipped" }
        return text
    }

    static func size(_ bytes: Int64) -> String {
        guard bytes >= 1000 else { return "\(bytes) B" }
        var value = Double(bytes)
        var unit = "B"
        for next in ["kB", "MB", "GB", "TB"] where value >= 1000 {
            value /= 1000
            unit = next
        }
        return "\(Double(Int(value * 10)) / 10) \(unit)"
    }

    /// `45s`, `12m`, `3h`, `30d`, `2w` or `0`.
    static func seconds(_ text: String) throws(AerieError) -> Int64 {
        if text == "0" { return 0 }
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        guard let last = text.last, let unit = units[last], let count = Int64(text.dropLast()), count >= 0,
            count <= 10_000_000_000 / unit
        else { throw .invalid("--older-than", "\"\(text)\" is no duration; write 45s, 12m, 3h, 30d or 2w") }
        return count * unit
    }
}
