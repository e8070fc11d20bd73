import AerieCore
import AerieJSON
import AerieResources
import ArgumentParser

struct RunsDiff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what differs between two runs.")

    @Argument(help: "The one run.") var first: String
    @Argument(help: "The other.") var second: String
    @OptionGroup var diffOptions: DiffOptions
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let (a, b) = (RunRecord(try await tracking.run(first)), RunRecord(try await tracking.run(second)))
            var diff = TrackingDiff(names: ("\(a.id) \(a.name)", "\(b.id) \(b.name)"))
            diff.add("params", a.params, b.params)
            diff.add("metrics", metrics: a.metrics, b.metrics)
            diff.add("tags", a.tags, b.tags)
            let left = try TrackingArtifacts(client: tracking.client, location: a.artifactURI)
            let right = try TrackingArtifacts(client: tracking.client, location: b.artifactURI)
            try await diff.addFiles("artifacts", left, right, comparesText: diffOptions.artifacts)
            try diffOptions.show(diff, output)
        }
    }
}

extension TrackingDiff {
    /// Names and sizes of the files of both sides, and on demand what differs in the text of those that both have.
    mutating func addFiles(
        _ name: String, _ a: TrackingArtifacts, _ b: TrackingArtifacts, comparesText: Bool
    ) async throws(AerieError) {
        let (left, right) = (try await a.files(), try await b.files())
        add(name, files: left, right)
        guard comparesText else { return }
        for file in left {
            guard let other = right.first(where: { $0.path == file.path }), let old = try await a.text(file),
                let new = try await b.text(other), old != new
            else { continue }
            let diff = UnifiedDiff.text(from: old, to: new, oldName: "a/\(file.path)", newName: "b/\(file.path)")
            texts.append((file.path, diff))
        }
    }
}

struct RunsExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the runs of an experiment into a file.",
        discussion: """
            The ending says the form: .csv (RFC 4180), .parquet, .json (an array) or .ndjson (a line for each run). \
            Columns are run_id, experiment_id, name, status, start, end, params.*, metrics.* and tags.*; what a run \
            lacks is null. With --history there is a row for each value: run_id, metric, step, time, value. The file \
            appears when it is whole.
            """)

    @OptionGroup var selection: RunSelection
    @Option(name: .shortAndLong, help: "The file to write: .csv, .parquet, .json or .ndjson.") var output: String
    @Flag(help: "Every value of every metric instead of the last ones.") var history = false
    @Option(help: "At most so many runs; 0 for all.") var limit = 0
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let search = try await selection.search(tracking, limit: limit)
            var export = try RunExport(tracking, path: output)
            let rows = try await export.run(search, history: history)
            ClientOutput.note("\(rows) \(rows == 1 ? "row" : "rows") written to \(output.visible)")
        }
    }
}
