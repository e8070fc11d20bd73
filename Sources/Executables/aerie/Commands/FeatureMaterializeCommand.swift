import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

struct FeatureViewsOptions: ParsableArguments {
    @Option(help: "Feature views with commas; all that are online otherwise.") var views: String?
    @Option(help: "Which version of the one view, such as v2; the present one otherwise.") var version: String?
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    /// Follows the work to its end, with a bar on a terminal. Errors name the moments as the command's user does.
    /// - Parameter names: of the first moment and the last.
    func materialize(_ names: (start: String, end: String), start: String?, end: String?) async throws {
        let flags = [
            "start": names.start, "start_ts": names.start, "end": names.end, "feature_views": "--views",
        ]
        try await ClientOutput.reporting(flags: flags) { try await materialize(start: start, end: end) }
    }

    private func materialize(start: String?, end: String?) async throws {
        var body = JSONObject()
        if let views { body["feature_views"] = .array(views.split(separator: ",").map { .string(String($0)) }) }
        if let version { body["version"] = .string(version) }
        if let start { body["start"] = .string(start) }
        if let end { body["end"] = .string(end) }
        var progress = ProgressLine()
        let report = try await server.client().follow(
            "/api/aerie/v1/features/materialize", query: [("namespace", namespace.namespace ?? "default")],
            body: .object(body)
        ) { line throws(AerieError) in
            let (view, rows, total) = (line["view"]?.string ?? "", line["rows"]?.int ?? 0, line["total"]?.int ?? 0)
            guard total > 0 else { return progress.show("\(view): reading the source", share: 0) }
            progress.show("\(view): \(rows) of \(total) entities", share: Double(rows) / Double(total))
        }
        progress.clear()
        for view in report["views"]?.array ?? [] {
            print(
                "\(view["view"]?.string ?? ""): \(view["rows"]?.int ?? 0) entities until \(report["until"]?.string ?? "")"
            )
            for note in view["notes"]?.array?.compactMap(\.string) ?? [] {
                ClientOutput.note("warning: \(view["view"]?.string ?? ""): \(note)")
            }
        }
        for view in report["unconnected"]?.array?.compactMap(\.string) ?? [] {
            ClientOutput.note(
                "warning: \(view): passed over, as its source is not connected; name files with its rows by "
                    + "spec.source.path, or by a SourceConnection")
        }
        if report["views"]?.array?.isEmpty ?? true {
            ClientOutput.note("nothing is copied: no feature view is online and has a source that can be read")
        }
    }
}

/// `aerie features materialize START END`.
struct FeatureMaterializeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "materialize", abstract: "Copy the newest values of a range of time into the online store.")

    @Argument(help: "The first moment, such as 2026-01-01T00:00:00Z.") var start: String
    @Argument(help: "The last moment; now otherwise.") var end: String?
    @OptionGroup var options: FeatureViewsOptions

    func run() async throws {
        try await options.materialize(("START", "END"), start: start, end: end)
    }
}

/// `aerie features materialize-incremental [END]`.
struct FeatureIncrementalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "materialize-incremental", abstract: "Copy what is new since the last time.")

    @Argument(help: "The last moment; now otherwise.") var end: String?
    @OptionGroup var options: FeatureViewsOptions

    func run() async throws {
        try await options.materialize(("START", "END"), start: nil, end: end)
    }
}

/// `aerie features backfill --from … --to …`.
struct FeatureBackfillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Copy a range of the past; values that are newer stay.")

    @Option(help: "The first moment.") var from: String
    @Option(help: "The last moment; now otherwise.") var to: String?
    @OptionGroup var options: FeatureViewsOptions

    func run() async throws {
        try await options.materialize(("--from", "--to"), start: from, end: to)
    }
}
