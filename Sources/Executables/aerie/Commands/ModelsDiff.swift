import AerieCore
import AerieJSON
import AerieYAML
import ArgumentParser

/// A version of a model with what its run, its logged model and its MLmodel file say.
struct ModelVersionDetails: Sendable {
    let version: JSONValue
    let params: [String: String]
    let metrics: [String: Double]
    let files: [TrackingArtifacts.File]
    let artifacts: TrackingArtifacts?
    /// `inputs`, `outputs` and `params` of the signature, as far as there are some.
    let signature: [String: String]
    let flavors: [String]

    init(_ tracking: TrackingClient, _ version: JSONValue) async throws(AerieError) {
        self.version = version
        var params: [String: String] = [:]
        var metrics: [String: Double] = [:]
        if let id = version["run_id"]?.string, !id.isEmpty, let json = try await Self.optional(tracking, "runs/get", id)
        {
            let run = RunRecord(json["run"] ?? .null)
            (params, metrics) = (run.params, run.metrics)
        }
        if let id = version["model_id"]?.string, !id.isEmpty,
            let data = try await Self.optional(tracking, "logged-models/\(PlatformClient.escape(id))", nil)?["model"]?[
                "data"]
        {
            params.merge(RunRecord.pairs(data["params"])) { $1 }
            for one in data["metrics"]?.array ?? [] {
                metrics[one["key"]?.string ?? ""] = RunRecord.number(one["value"])
            }
        }
        (self.params, self.metrics) = (params, metrics)
        let query = [("name", version["name"]?.string ?? ""), ("version", version["version"]?.string ?? "")]
        let location = try await tracking.get("model-versions/get-download-uri", query)["artifact_uri"]?.string ?? ""
        artifacts = try? TrackingArtifacts(client: tracking.client, location: location)
        files = try await artifacts?.files() ?? []
        var manifest: JSONValue = .null
        if let artifacts, let file = files.first(where: { $0.path == "MLmodel" }),
            let text = try await artifacts.text(file)
        {
            manifest = (try? YAMLDocument.parseAll(text).first?.value) ?? .null
        }
        var signature: [String: String] = [:]
        for part in manifest["signature"]?.object?.members ?? [] {
            if let text = part.value.string { signature[part.key] = Self.columns(text) }
        }
        self.signature = signature
        flavors = manifest["flavors"]?.object?.keys ?? []
    }

    /// What is not there any more is no reason to fail.
    private static func optional(
        _ tracking: TrackingClient, _ path: String, _ run: String?
    ) async throws(AerieError) -> JSONValue? {
        do throws(AerieError) { return try await tracking.get(path, run.map { [("run_id", $0)] } ?? []) } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// `age: long, amount: double` for columns with names and types; anything else as it is written.
    static func columns(_ text: String) -> String {
        guard let list = try? JSONValue.parse(text).array else { return text }
        let columns = list.map { column -> String? in
            guard let type = column["type"]?.string else { return nil }
            if type == "tensor" {
                let shape = column["tensor-spec"]?["shape"]?.text() ?? ""
                return
                    "\(column["name"]?.string.map { "\($0): " } ?? "")\(column["tensor-spec"]?["dtype"]?.string ?? "")\(shape)"
            }
            let mark = column["required"]?.bool == false ? "?" : ""
            return "\(column["name"]?.string.map { "\($0): " } ?? "")\(type)\(mark)"
        }
        return columns.contains(nil) ? text : columns.compactMap { $0 }.joined(separator: ", ")
    }

    private func field(_ key: String) -> String { version[key]?.string ?? "" }

    var fields: [String: String] {
        var fields: [String: String] = [:]
        for key in ["source", "run_id", "model_id", "current_stage", "status", "description", "user_id"] {
            if !field(key).isEmpty { fields[key] = field(key) }
        }
        if !flavors.isEmpty { fields["flavors"] = flavors.sorted().joined(separator: ", ") }
        let aliases = (version["aliases"]?.array ?? []).compactMap(\.string).sorted()
        if !aliases.isEmpty { fields["aliases"] = aliases.joined(separator: ", ") }
        return fields
    }

    var name: String { "\(field("name")) version \(field("version"))" }

    var json: JSONValue {
        var object = version.object ?? [:]
        object["params"] = .object(JSONObject(params.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        object["metrics"] = .object(
            JSONObject(metrics.sorted { $0.key < $1.key }.map { ($0.key, RunColumn.number($0.value)) }))
        object["signature"] = .object(
            JSONObject(signature.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        object["flavors"] = .array(flavors.map { .string($0) })
        object["files"] = .array(files.map { ["path": .string($0.path), "file_size": .int($0.size)] })
        return .object(object)
    }

    var text: String {
        TrackingOutput.fields([
            ("Model", field("name")), ("Version", field("version")), ("Stage", field("current_stage")),
            ("Aliases", fields["aliases"] ?? ""), ("Status", field("status")),
            ("Created", TrackingOutput.time(version["creation_timestamp"])),
            ("Updated", TrackingOutput.time(version["last_updated_timestamp"])), ("Run", field("run_id")),
            ("Source", field("source")), ("Flavors", fields["flavors"] ?? ""), ("Description", field("description")),
        ]) + TrackingOutput.pairs("Signature", signature)
            + TrackingOutput.pairs("Params", params)
            + TrackingOutput.pairs("Metrics", metrics.mapValues { "\($0)" })
            + TrackingOutput.pairs("Tags", RunRecord.pairs(version["tags"]))
            + (files.isEmpty ? "" : "\nFiles\n" + ArtifactTree.text(files))
    }
}

struct ModelsDiff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what differs between two versions of a model.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The one version.") var first: String
    @Argument(help: "The other.") var second: String
    @OptionGroup var diffOptions: DiffOptions
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let a = try await ModelVersionDetails(tracking, try await tracking.version(name, first))
            let b = try await ModelVersionDetails(tracking, try await tracking.version(name, second))
            var diff = TrackingDiff(names: (a.name, b.name))
            diff.add("version", a.fields, b.fields)
            diff.add("params", a.params, b.params)
            diff.add("metrics", metrics: a.metrics, b.metrics)
            diff.add("tags", RunRecord.pairs(a.version["tags"]), RunRecord.pairs(b.version["tags"]))
            diff.add("signature", a.signature, b.signature)
            if let left = a.artifacts, let right = b.artifacts {
                try await diff.addFiles("files", left, right, comparesText: diffOptions.artifacts)
            }
            try diffOptions.show(diff, output)
        }
    }
}
