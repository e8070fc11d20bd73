import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie runs`: runs by identifier, the beginning of one, or name.
struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "List, describe, compare and export runs.",
        discussion: """
            A run is named by its identifier, by the beginning of it that no other run has (at least 4 characters), or \
            by its name if no other run has it.

              aerie runs list --experiment fraud --filter "metrics.auc > 0.9" --order-by "metrics.auc DESC"
              aerie runs diff 3f2a brave-finch-12
              aerie runs export --experiment fraud --output runs.parquet
            """,
        subcommands: [
            RunsList.self, RunsDescribe.self, RunsMetrics.self, RunsDiff.self, RunsExport.self, RunsArtifacts.self,
            RunsTag.self, RunsDelete.self, RunsRestore.self,
        ])
}

/// Which runs a command is for.
struct RunSelection: ParsableArguments {
    @Option(name: .customLong("experiment"), help: "The experiment's name or number; may be repeated.")
    var experiments: [String] = []
    @Option(help: "Only those that fit, such as \"metrics.auc > 0.9 AND params.depth = '3'\".") var filter: String?
    @Option(help: "Such as \"metrics.auc DESC\"; may be repeated.") var orderBy: [String] = []
    @Flag(help: "Those that were deleted.") var deleted = false

    func search(_ tracking: TrackingClient, limit: Int) async throws(AerieError) -> TrackingClient.Search {
        guard !experiments.isEmpty else {
            throw .invalid("--experiment", "name one: --experiment NAME; see `aerie experiments list`")
        }
        guard limit >= 0 else { throw .invalid("--limit", "must be 0 or more") }
        var ids: [JSONValue] = []
        for name in experiments {
            let id = JSONValue.string(try await tracking.experimentID(name))
            if !ids.contains(id) { ids.append(id) }
        }
        return TrackingClient.Search(
            path: "runs/search", key: "runs",
            fields: [
                "experiment_ids": .array(ids), "run_view_type": .string(deleted ? "DELETED_ONLY" : "ACTIVE_ONLY"),
            ], filter: filter, orderBy: orderBy, limit: limit)
    }
}

struct RunsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the runs of an experiment.")

    @OptionGroup var selection: RunSelection
    @Option(help: "What to show: run_id,name,status,start,duration,metrics.auc,params.depth,tags.team, …")
    var columns: String?
    @Option(help: "At most so many; 0 for all.") var limit = 100
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let asked = try Self.columns(columns)
            let tracking = try server.tracking()
            let (found, hasMore) = try await tracking.all(try await selection.search(tracking, limit: limit))
            if found.isEmpty, output.format == .table { return ClientOutput.note("no runs found") }
            let runs = found.map { RunRecord($0) }
            output.show(.array(asked.map { Self.chosen($0, runs) } ?? found)) {
                Self.table(runs, asked ?? Self.usual(runs), now: SystemClock().now()).text(width: Terminal.width)
            }
            if hasMore { ClientOutput.note("there are more; --limit 0 lists all, and `aerie runs export` keeps them") }
        }
    }

    private static func columns(_ text: String?) throws(AerieError) -> [RunColumn]? {
        guard let text else { return nil }
        var columns: [RunColumn] = []
        for part in text.split(separator: ",") { columns.append(try RunColumn(String(part))) }
        guard !columns.isEmpty else { throw .invalid("--columns", "name at least one") }
        return columns
    }

    private static func chosen(_ columns: [RunColumn], _ runs: [RunRecord]) -> [JSONValue] {
        runs.map { run in .object(JSONObject(columns.map { ($0.title, $0.value(run)) })) }
    }

    /// The metrics and params of these runs behind what every run has.
    static func usual(_ runs: [RunRecord]) -> [RunColumn] {
        let metrics = runs.reduce(into: Set<String>()) { $0.formUnion($1.metrics.keys) }
        let params = runs.reduce(into: Set<String>()) { $0.formUnion($1.params.keys) }
        return [.id, .name, .status, .start, .duration] + metrics.sorted().map { .metric($0) }
            + params.sorted().map { .param($0) }
    }

    static func table(_ runs: [RunRecord], _ columns: [RunColumn], now: Timestamp) -> TextTable {
        let numbers = Set(columns.indices.filter { columns[$0].isNumber })
        var table = TextTable(columns.map(\.title), numbers: numbers)
        for run in runs { table.add(columns.map { $0.cell(run, now: now) }) }
        return table
    }
}

struct RunsDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a run: params, metrics, tags, inputs, outputs and artifacts.")

    @Argument(help: "The run.") var reference: String
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let json = try await tracking.run(reference)
            let run = RunRecord(json)
            var files: [TrackingArtifacts.File] = []
            var note = ""
            do throws(AerieError) {
                files = try await TrackingArtifacts(client: tracking.client, location: run.artifactURI).files()
            } catch {
                if error.code == .unavailable { throw error }
                note = error.message
            }
            var object = json.object ?? [:]
            object["artifacts"] = .array(files.map { ["path": .string($0.path), "file_size": .int($0.size)] })
            output.show(.object(object)) { Self.text(run, json, files, note: note) }
        }
    }

    private static func text(
        _ run: RunRecord, _ json: JSONValue, _ files: [TrackingArtifacts.File], note: String
    ) -> String {
        var text = TrackingOutput.fields([
            ("Id", run.id), ("Name", run.name), ("Experiment", run.experiment), ("Status", run.status),
            ("Stage", run.stage), ("User", run.user), ("Start", run.start?.iso8601 ?? ""),
            ("End", run.end?.iso8601 ?? ""), ("Duration", RunColumn.duration.cell(run, now: nil)),
            ("Artifacts", run.artifactURI),
        ])
        text += TrackingOutput.pairs("Params", run.params)
        if !run.metrics.isEmpty {
            var table = TextTable(["key", "value", "step"], numbers: [1, 2])
            let metrics = (json["data"]?["metrics"]?.array ?? []).sorted {
                ($0["key"]?.string ?? "") < ($1["key"]?.string ?? "")
            }
            for metric in metrics {
                table.add([
                    metric["key"]?.string ?? "", "\(RunRecord.number(metric["value"]))",
                    "\(metric["step"]?.int ?? 0)",
                ])
            }
            text += "\nMetrics\n" + table.text(width: Terminal.width)
        }
        text += TrackingOutput.pairs("Tags", run.tags)
        let inputs =
            (json["inputs"]?["dataset_inputs"]?.array ?? []).map { input -> String in
                let context = RunRecord.pairs(input["tags"])["mlflow.data.context"].map { " (\($0))" } ?? ""
                let dataset = input["dataset"]
                return "dataset \(dataset?["name"]?.string ?? "")@\(dataset?["digest"]?.string ?? "")\(context)"
            } + (json["inputs"]?["model_inputs"]?.array ?? []).map { "model \($0["model_id"]?.string ?? "")" }
        let outputs = (json["outputs"]?["model_outputs"]?.array ?? []).map {
            "model \($0["model_id"]?.string ?? "") at step \($0["step"]?.int ?? 0)"
        }
        for (title, list) in [("Inputs", inputs), ("Outputs", outputs)] where !list.isEmpty {
            text += "\n\(title)\n" + list.map { "  \($0.visible)\n" }.joined()
        }
        if !files.isEmpty { text += "\nArtifacts\n" + ArtifactTree.text(files) }
        if !note.isEmpty { text += "\nArtifacts: \(note)\n" }
        return text
    }
}

/// Files as a tree of folders with their sizes.
enum ArtifactTree {
    /// - Parameter files: ordered by path.
    static func text(_ files: [TrackingArtifacts.File]) -> String {
        var text = ""
        var open: [Substring] = []
        for file in files {
            let parts = file.path.split(separator: "/")
            let folders = parts.dropLast()
            var depth = 0
            while depth < min(open.count, folders.count), open[depth] == folders[depth] { depth += 1 }
            for (level, folder) in folders.enumerated().dropFirst(depth) {
                text += String(repeating: "  ", count: level + 1) + String(folder).visible + "/\n"
            }
            open = Array(folders)
            text +=
                String(repeating: "  ", count: folders.count + 1) + String(parts.last ?? "").visible
                + "  \(GCCommand.size(file.size))\n"
        }
        return text
    }
}

struct RunsMetrics: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "Show a run's metrics, or the history of one.")

    @Argument(help: "The run.") var reference: String
    @Argument(help: "The metric whose history to show.") var metric: String?
    @Option(help: "The same, by name.") var key: String?
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let json = try await tracking.run(reference)
            if let key = metric ?? key {
                try await history(RunRecord(json), key, tracking)
            } else {
                try await overview(json, tracking)
            }
        }
    }

    private func overview(_ json: JSONValue, _ tracking: TrackingClient) async throws(AerieError) {
        let metrics = (json["data"]?["metrics"]?.array ?? []).sorted {
            ($0["key"]?.string ?? "") < ($1["key"]?.string ?? "")
        }
        if metrics.isEmpty, output.format == .table { return ClientOutput.note("the run has no metrics") }
        var lines: [String: String] = [:]
        if output.format == .table, Terminal.isOutput {
            for metric in metrics.prefix(200) {
                let key = metric["key"]?.string ?? ""
                let query = [("run_ids", TrackingClient.id(json)), ("metric_key", key), ("max_results", "100")]
                let points = try await tracking.get("metrics/get-history-bulk-interval", query)["metrics"]?.array ?? []
                lines[key] = TerminalChart.sparkline(points.map { RunRecord.number($0["value"]) }, width: 24)
            }
        }
        output.show(.array(metrics)) {
            var table = TextTable(["key", "last", "step"] + (lines.isEmpty ? [] : ["history"]), numbers: [1, 2])
            for metric in metrics {
                let key = metric["key"]?.string ?? ""
                table.add([
                    key, "\(RunRecord.number(metric["value"]))", "\(metric["step"]?.int ?? 0)", lines[key] ?? "",
                ])
            }
            return table.text(width: Terminal.width)
        }
    }

    private func history(_ run: RunRecord, _ key: String, _ tracking: TrackingClient) async throws(AerieError) {
        guard run.metrics[key] != nil else {
            let keys = run.metrics.keys.sorted().prefix(20).joined(separator: ", ")
            throw .notFound("the run has no metric \"\(key.visible)\"; it has \(keys.isEmpty ? "none" : keys.visible)")
        }
        var points: [JSONValue] = []
        try await tracking.history(run.id, key: key) { page throws(AerieError) in points += page }
        output.show(.array(points)) {
            var text = ""
            if let width = Terminal.width, points.count > 1 {
                let drawn = TerminalChart.thin(points, to: 2000).map {
                    (x: Double($0["step"]?.int ?? 0), y: RunRecord.number($0["value"]))
                }
                text = TerminalChart.braille(drawn, width: min(width, 100), height: 10).map { $0 + "\n" }.joined()
            }
            var table = TextTable(["step", "time", "value"], numbers: [0, 2])
            for point in points {
                table.add([
                    "\(point["step"]?.int ?? 0)", RunRecord.time(point["timestamp"])?.iso8601Milliseconds ?? "",
                    "\(RunRecord.number(point["value"]))",
                ])
            }
            return text + table.text(width: Terminal.width)
        }
    }
}
