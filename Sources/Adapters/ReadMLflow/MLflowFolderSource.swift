public import AerieCore
import AerieJSON
import AerieYAML
public import Experiments
import Foundation
public import Imports

/// A folder `mlruns`, as MLflow keeps runs without a server or database: a folder an experiment, in it a folder a run,
/// in it a file a parameter, tag and metric.
///
/// It may have been moved since: what lies in it is found by where it is now. Files are only read.
public final class MLflowFolderSource: ImportSource {
    private let experimentFolders: [(experiment: Experiment, path: String)]
    /// Where runs, logged models and traces are, in an order that stays.
    let runFolders, modelFolders, traceFolders: [String]
    let folder: String
    private let artifacts: LocalArtifacts

    /// - Throws: `notFound` for a folder that is not there, `invalidArgument` for one that is none of MLflow's.
    public init(path: String, artifacts: String?) throws(AerieError) {
        folder = URL(fileURLWithPath: path).standardizedFileURL.path
        self.artifacts = LocalArtifacts(
            root: artifacts.map { URL(fileURLWithPath: $0).standardizedFileURL.path }, folder: folder)
        var found: [(experiment: Experiment, path: String)] = []
        for parent in [folder, folder + "/.trash"] {
            for name in Self.folders(in: parent) {
                let place = parent + "/" + name
                guard let meta = try Self.meta(place), let id = meta["experiment_id"]?.text else { continue }
                found.append((Self.experiment(id, meta, at: place), place))
            }
        }
        guard !found.isEmpty else {
            throw .invalid("from", "\(path) holds no experiments as MLflow keeps them (folders with a meta.yaml)")
        }
        experimentFolders = found.sorted {
            (Int64($0.experiment.id.text) ?? .max, $0.path) < (Int64($1.experiment.id.text) ?? .max, $1.path)
        }
        let apart: Set<String> = ["tags", "datasets", "models", "traces"]
        runFolders = experimentFolders.flatMap { one in
            Self.folders(in: one.path).filter { !apart.contains($0) }.map { one.path + "/" + $0 }
        }
        modelFolders = experimentFolders.flatMap { one in
            Self.folders(in: one.path + "/models").map { "\(one.path)/models/\($0)" }
        }
        traceFolders = experimentFolders.flatMap { one in
            Self.folders(in: one.path + "/traces").map { "\(one.path)/traces/\($0)" }
        }
    }

    public func counts() async throws(AerieError) -> ImportCounts {
        var counts = ImportCounts()
        counts.experiments = experimentFolders.count
        counts.runs = runFolders.count
        counts.loggedModels = modelFolders.count
        counts.traces = traceFolders.count
        counts.registeredModels = Self.folders(in: folder + "/models").count
        return counts
    }

    public func experiments() async throws(AerieError) -> [Experiment] { experimentFolders.map(\.experiment) }

    public func files(at location: String) async throws(AerieError) -> [ImportedFile]? {
        artifacts.files(at: location)
    }

    public func read(
        _ file: ImportedFile,
        into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) { try await LocalArtifacts.read(file, into: body) }

    private static func experiment(_ id: String, _ meta: JSONValue, at place: String) -> Experiment {
        let created = meta.time("creation_time") ?? Timestamp(milliseconds: 0)
        let isDeleted = meta["lifecycle_stage"]?.string == "deleted"
        let location = meta["artifact_location"]?.string ?? ""
        return Experiment(
            id: ExperimentID(id), name: meta["name"]?.text ?? id,
            artifactLocation: location.hasPrefix("file:") || location.hasPrefix("/") || location.isEmpty
                ? place : location,
            stage: isDeleted ? .deleted : .active, creationTime: created,
            lastUpdateTime: meta.time("last_update_time") ?? created,
            tags: tags(place + "/tags"))
    }

    // MARK: Runs

    public func runs(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<Run> {
        try page(runFolders, after: place, limit: limit) { path throws(AerieError) in try self.run(at: path) }
    }

    public func completed(_ runs: [Run]) async throws(AerieError) -> [Run] { runs }

    /// - Returns: `nil` for a folder that is no run's.
    private func run(at path: String) throws(AerieError) -> Run? {
        guard let meta = try Self.meta(path), let id = (meta["run_id"] ?? meta["run_uuid"])?.text,
            let experiment = meta["experiment_id"]?.text
        else { return nil }
        let states: [RunStatus] = [.running, .scheduled, .finished, .failed, .killed]
        let status = Int(meta.integer("status") ?? 3) - 1
        let tags = Self.tags(path + "/tags")
        let files = path + "/artifacts"
        var run = Run(
            info: RunInfo(
                id: RunID(id), experimentID: ExperimentID(experiment),
                name: meta["run_name"]?.text ?? tags.first { $0.key == "mlflow.runName" }?.value ?? "",
                userID: meta["user_id"]?.text ?? "",
                status: states.indices.contains(status) ? states[status] : .finished,
                startTime: meta.time("start_time") ?? Timestamp(milliseconds: 0), endTime: meta.time("end_time"),
                artifactURI: Self.isFolder(files) ? files : meta["artifact_uri"]?.string ?? "",
                stage: meta["lifecycle_stage"]?.string == "deleted" ? .deleted : .active))
        run.tags = tags
        run.params = Self.tags(path + "/params").map { Param(key: $0.key, value: $0.value) }
        for key in Self.files(in: path + "/metrics") {
            for words in try Self.lines(path + "/metrics/" + key) {
                guard let metric = Self.metric(key, words) else { continue }
                run.metrics.append(metric)
            }
        }
        try link(&run, at: path)
        return run
    }

    private func link(_ run: inout Run, at path: String) throws(AerieError) {
        let experiment = (path as NSString).deletingLastPathComponent
        for name in Self.folders(in: path + "/inputs") {
            guard let link = try Self.meta("\(path)/inputs/\(name)") else { continue }
            if link["source_type"]?.string == "MODEL_INPUT" || link["destination_type"]?.string == "MODEL_INPUT" {
                if let model = link["destination_id"]?.text { run.modelInputs.append(LoggedModelID(model)) }
                continue
            }
            guard let source = link["source_id"]?.text,
                let dataset = try Self.meta("\(experiment)/datasets/\(source)"), let title = dataset["name"]?.text
            else { continue }
            run.datasets.append(
                DatasetInput(
                    name: title, digest: dataset["digest"]?.text ?? "", sourceType: dataset["source_type"]?.text ?? "",
                    source: dataset["source"]?.text ?? "", schema: dataset["schema"]?.text,
                    profile: dataset["profile"]?.text,
                    tags: (link["tags"]?.object?.members ?? []).map { Tag(key: $0.key, value: $0.value.text ?? "") }))
        }
        for name in Self.folders(in: path + "/outputs") {
            guard let link = try Self.meta("\(path)/outputs/\(name)"), let model = link["destination_id"]?.text else {
                continue
            }
            run.modelOutputs.append(ModelOutput(modelID: LoggedModelID(model), step: link.integer("step") ?? 0))
        }
    }

    /// A line of a metric's file: time, value, step, and then the data set that it was measured on.
    static func metric(_ key: String, _ words: [String]) -> Metric? {
        guard words.count >= 2, let time = Int64(words[0]), let value = Double(words[1]) else { return nil }
        return Metric(
            key: key, value: value, timestamp: Timestamp(milliseconds: time),
            step: words.count > 2 ? Int64(words[2]) ?? 0 : 0, datasetName: words.count > 4 ? words[3] : nil,
            datasetDigest: words.count > 4 ? words[4] : nil)
    }

    // MARK: Files

    /// Where what lay at an experiment's place before the folder was moved lies now.
    func here(_ location: String) -> String {
        for one in experimentFolders {
            // The name of an experiment's folder is in its address, wherever the rest of that leads.
            let name = (one.path as NSString).lastPathComponent
            guard location.hasPrefix("file:") || location.hasPrefix("/"),
                let place = location.range(of: "/\(name)/")
            else { continue }
            let moved = one.path + "/" + location[place.upperBound...]
            if Self.isFolder(moved) { return moved }
        }
        return location
    }

    func page<Element>(
        _ folders: [String], after place: String?, limit: Int,
        _ read: (String) throws(AerieError) -> Element?
    ) throws(AerieError) -> ImportPage<Element> {
        let start = place.flatMap { Int($0) } ?? 0
        let end = min(start + limit, folders.count)
        var found: [Element] = []
        for path in folders[min(start, end)..<end] {
            if let element = try read(path) { found.append(element) }
        }
        return ImportPage(found, next: end < folders.count ? "\(end)" : nil)
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    static func folders(in path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
            .filter { !$0.hasPrefix(".") && isFolder(path + "/" + $0) }.sorted()
    }

    /// Names of files, also of those in folders below: a key may hold slashes.
    static func files(in path: String) -> [String] {
        (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? [])
            .filter { !isFolder(path + "/" + $0) }.sorted()
    }

    private static func text(_ path: String) throws(AerieError) -> String {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw AerieError(.unavailable, "cannot read \(path)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A file a key, which holds the value.
    static func tags(_ path: String) -> [Tag] {
        files(in: path).compactMap { key in (try? text(path + "/" + key)).map { Tag(key: key, value: $0) } }
    }

    static func lines(_ path: String) throws(AerieError) -> [[String]] {
        try text(path).split(whereSeparator: \.isNewline).map { $0.split(separator: " ").map(String.init) }
    }

    /// - Returns: `nil` if the folder has no such file.
    static func meta(_ folder: String, _ name: String = "meta.yaml") throws(AerieError) -> JSONValue? {
        let path = folder + "/" + name
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        do throws(AerieError) { return try YAMLDocument.parseAll(try text(path)).first?.value } catch {
            throw AerieError(.dataLoss, "\(path) cannot be read: \(error.message)", cause: error)
        }
    }
}

extension JSONValue {
    /// Text, or a number that YAML took for one.
    var text: String? { string ?? int.map { String($0) } }
}
