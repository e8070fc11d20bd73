import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

struct ModelsStage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stage", abstract: "Move a version to a stage.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The version.") var version: String
    @Argument(help: "None, Development, Staging, Production or Archived.") var stage: String
    @Flag(help: "Archive the versions that are in that stage now.") var archiveExisting = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let one = try await tracking.version(name, version)
            let moved = try await tracking.send(
                "model-versions/transition-stage",
                [
                    "name": .string(name), "version": one["version"] ?? .null, "stage": .string(stage),
                    "archive_existing_versions": .bool(archiveExisting),
                ])["model_version"]
            print(
                "\(name.visible) version \(one["version"]?.string ?? "") is now \(moved?["current_stage"]?.string ?? stage)"
            )
        }
    }
}

struct ModelsAlias: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alias", abstract: "Point an alias at a version, or delete it.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The alias, such as champion.") var alias: String
    @Argument(help: "The version.") var version: String?
    @Flag(help: "Delete the alias.") var delete = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard delete != (version != nil) else {
                throw AerieError.invalid("", "name a version to point the alias at, or --delete, and not both")
            }
            let tracking = try server.tracking()
            var body: JSONObject = ["name": .string(name), "alias": .string(alias)]
            guard let version else {
                let model = try await tracking.model(name)
                guard ModelsList.aliases(model).contains(where: { $0.hasPrefix("\(alias)=") }) else {
                    throw AerieError.notFound("the model \"\(name.visible)\" has no alias \"\(alias.visible)\"")
                }
                try await tracking.delete("registered-models/alias", body)
                return print("the alias \(alias.visible) of \(name.visible) is deleted")
            }
            let number = try await tracking.version(name, version)["version"]
            body["version"] = number
            try await tracking.send("registered-models/alias", body)
            print("\(name.visible)@\(alias.visible) is now version \(number?.string ?? "")")
        }
    }
}

struct ModelsTag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Set tags of a model or of one of its versions, or remove them.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "KEY=VALUE, or KEY- to remove one.") var tags: [String]
    @Option(help: "The version; else the model itself is tagged.") var version: String?
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let changes = try TagChange.all(tags)
            let tracking = try server.tracking()
            var owner: JSONObject = ["name": .string(name)]
            if let version { owner["version"] = try await tracking.version(name, version)["version"] }
            let kind = version == nil ? "registered-models" : "model-versions"
            try await tracking.apply(changes, to: owner, set: "\(kind)/set-tag") { body throws(AerieError) in
                try await tracking.delete("\(kind)/delete-tag", body)
            }
            print("\(name.visible)\(owner["version"]?.string.map { " version \($0)" } ?? "") tagged")
        }
    }
}

struct ModelsRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Give a model a new name.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The new name.") var newName: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let body: JSONObject = ["name": .string(name), "new_name": .string(newName)]
            try await server.tracking().send("registered-models/rename", body)
            print("\(name.visible) is now \(newName.visible)")
        }
    }
}

struct ModelsCopy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy", abstract: "Register a version as a new version of another model.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The version.") var version: String
    @Argument(help: "The model to copy to, made if it is not there.") var destination: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let one = try await tracking.version(name, version)
            do throws(AerieError) {
                try await tracking.send("registered-models/create", ["name": .string(destination)])
            } catch { if error.code != .alreadyExists { throw error } }
            var body: JSONObject = [
                "name": .string(destination), "source": .string("models:/\(name)/\(one["version"]?.string ?? "")"),
                "description": one["description"] ?? "", "tags": one["tags"] ?? [],
            ]
            for key in ["run_id", "run_link", "model_id"] {
                if let text = one[key]?.string, !text.isEmpty { body[key] = .string(text) }
            }
            let made = try await tracking.send("model-versions/create", body)["model_version"]
            print("\(destination.visible) version \(made?["version"]?.string ?? "")")
        }
    }
}

struct ModelsDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a model with all its versions, or one version. It cannot be undone.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The version; else all.") var version: String?
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            _ = try await tracking.model(name)
            var body: JSONObject = ["name": .string(name)]
            var what = "the model \(name.visible) with all its versions"
            if let version {
                let number = try await tracking.version(name, version)["version"]
                body["version"] = number
                what = "\(name.visible) version \(number?.string ?? "")"
            }
            if !yes {
                guard isatty(STDIN_FILENO) == 1 else {
                    throw AerieError.invalid("--yes", "needed where nobody can be asked")
                }
                print("Delete \(what) for good? Type yes: ", terminator: "")
                fflush(nil)
                guard readLine() == "yes" else { throw AerieError(.cancelled, "nothing was deleted") }
            }
            let path = version == nil ? "registered-models/delete" : "model-versions/delete"
            try await tracking.delete(path, body)
            print("deleted \(what)")
        }
    }
}

struct ModelsExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write all versions of all models into a file.",
        discussion: "The ending says the form: .csv, .parquet, .json or .ndjson. The file appears when it is whole.")

    @Option(name: .shortAndLong, help: "The file to write: .csv, .parquet, .json or .ndjson.") var output: String
    @Option(help: "Only versions that fit, such as \"name = 'fraud'\".") var filter: String?
    @OptionGroup var server: ServerOptions

    private static let texts = [
        ("name", "name"), ("version", "version"), ("stage", "current_stage"), ("status", "status"),
        ("run_id", "run_id"), ("model_id", "model_id"), ("source", "source"), ("description", "description"),
    ]
    private static let times = [("created", "creation_timestamp"), ("updated", "last_updated_timestamp")]

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let export = try TableExport(path: output)
            do throws(AerieError) {
                var tags: Set<String> = []
                var progress = ProgressLine()
                let search = TrackingClient.Search(
                    path: "model-versions/search", key: "model_versions", filter: filter, isGet: true)
                try await tracking.pages(search) { page throws(AerieError) in
                    for version in page {
                        tags.formUnion(RunRecord.pairs(version["tags"]).keys)
                        try export.add(nested: version, flat: Self.row(version))
                        progress.show("\(export.count) versions fetched")
                    }
                }
                progress.clear()
                try await export.finish(Self.columns + tags.sorted().map { .init(name: "tags.\($0)", kind: .text) })
            } catch {
                export.discard()
                throw error
            }
            ClientOutput.note("\(export.count) \(export.count == 1 ? "row" : "rows") written to \(output.visible)")
        }
    }

    private static var columns: [TableExport.Column] {
        texts.map { .init(name: $0.0, kind: $0.0 == "version" ? .integer : .text) }
            + [.init(name: "aliases", kind: .text)] + times.map { .init(name: $0.0, kind: .time) }
    }

    private static func row(_ version: JSONValue) -> JSONObject {
        var row = JSONObject()
        for (name, key) in texts {
            if let text = version[key]?.string, !text.isEmpty { row[name] = .string(text) }
        }
        row["version"] = .int(Int64(TrackingClient.number(version)))
        let aliases = (version["aliases"]?.array ?? []).compactMap(\.string)
        if !aliases.isEmpty { row["aliases"] = .string(aliases.joined(separator: ",")) }
        for (name, key) in times {
            if let time = RunRecord.time(version[key]) { row[name] = .string(time.iso8601Milliseconds) }
        }
        for (key, value) in RunRecord.pairs(version["tags"]) { row["tags.\(key)"] = .string(value) }
        return row
    }
}

struct ModelsDownload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download", abstract: "Download a version's files into a folder.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The version.") var version: String
    @Argument(help: "The folder, made if it is not there.") var folder: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let one = try await tracking.version(name, version)
            let query = [("name", name), ("version", one["version"]?.string ?? "")]
            let answer = try await tracking.get("model-versions/get-download-uri", query)
            let location = answer["artifact_uri"]?.string ?? ""
            let artifacts = try TrackingArtifacts(client: tracking.client, location: location)
            try await ArtifactTransfer.download(artifacts, below: "", to: folder)
        }
    }
}
