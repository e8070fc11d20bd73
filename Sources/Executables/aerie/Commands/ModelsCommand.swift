import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie models`: registered models and their versions.
struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "List, describe, compare and change registered models.",
        discussion: "A version is named by its number, by @ALIAS, or as latest.",
        subcommands: [
            ModelsList.self, ModelsDescribe.self, ModelsVersions.self, ModelsDiff.self, ModelsHistory.self,
            ModelsStage.self, ModelsAlias.self, ModelsTag.self, ModelsRename.self, ModelsCopy.self, ModelsDelete.self,
            ModelsExport.self, ModelsDownload.self,
        ], defaultSubcommand: ModelsList.self)
}

struct ModelsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List registered models.")

    @Option(help: "Only those that fit, such as \"name LIKE 'fraud%' AND tags.team = 'risk'\".") var filter: String?
    @Option(help: "Such as \"last_updated_timestamp DESC\"; may be repeated.") var orderBy: [String] = []
    @Option(help: "At most so many; 0 for all.") var limit = 100
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard limit >= 0 else { throw AerieError.invalid("--limit", "must be 0 or more") }
            let (found, hasMore) = try await server.tracking().all(
                .init(
                    path: "registered-models/search", key: "registered_models", filter: filter, orderBy: orderBy,
                    limit: limit, isGet: true))
            if found.isEmpty, output.format == .table { return ClientOutput.note("no models found") }
            output.show(.array(found)) {
                let now = SystemClock().now()
                var table = TextTable(["name", "latest", "stages", "aliases", "updated"], numbers: [1])
                for model in found {
                    let latest = model["latest_versions"]?.array ?? []
                    let stages = latest.filter { $0["current_stage"]?.string != "None" }.map {
                        "\($0["current_stage"]?.string ?? "")=\($0["version"]?.string ?? "")"
                    }
                    table.add([
                        model["name"]?.string ?? "",
                        latest.map { TrackingClient.number($0) }.max().map { "\($0)" } ?? "",
                        stages.joined(separator: ","), Self.aliases(model).joined(separator: ","),
                        ClientOutput.age(of: RunRecord.time(model["last_updated_timestamp"]), now: now),
                    ])
                }
                return table.text(width: Terminal.width)
            }
            if hasMore { ClientOutput.note("there are more; --limit 0 lists all") }
        }
    }

    static func aliases(_ model: JSONValue) -> [String] {
        (model["aliases"]?.array ?? []).map { "\($0["alias"]?.string ?? "")=\($0["version"]?.string ?? "")" }
    }
}

struct ModelsDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show a model, or one version with its signature and files.")

    @Argument(help: "The model.") var name: String
    @Argument(help: "The version.") var version: String?
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            guard let version else {
                let model = try await tracking.model(name)
                let versions = try await tracking.versions(name, filter: nil)
                var object = model.object ?? [:]
                object["versions"] = .array(versions)
                return output.show(.object(object)) { Self.text(model, versions) }
            }
            let details = try await ModelVersionDetails(tracking, try await tracking.version(name, version))
            output.show(details.json) { details.text }
        }
    }

    private static func text(_ model: JSONValue, _ versions: [JSONValue]) -> String {
        TrackingOutput.fields([
            ("Name", model["name"]?.string ?? ""), ("Description", model["description"]?.string ?? ""),
            ("Created", TrackingOutput.time(model["creation_timestamp"])),
            ("Updated", TrackingOutput.time(model["last_updated_timestamp"])),
            ("Aliases", ModelsList.aliases(model).joined(separator: ", ")),
        ]) + TrackingOutput.pairs("Tags", RunRecord.pairs(model["tags"]))
            + (versions.isEmpty ? "" : "\nVersions\n" + ModelsVersions.table(versions).text(width: Terminal.width))
    }
}

struct ModelsVersions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "versions", abstract: "List a model's versions.")

    @Argument(help: "The model.") var name: String
    @Option(help: "Only those that fit, such as \"tags.reviewed = 'yes'\".") var filter: String?
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let versions = try await server.tracking().versions(name, filter: filter)
            if versions.isEmpty, output.format == .table { return ClientOutput.note("no versions found") }
            output.show(.array(versions)) { Self.table(versions).text(width: Terminal.width) }
        }
    }

    static func table(_ versions: [JSONValue]) -> TextTable {
        let now = SystemClock().now()
        var table = TextTable(["version", "stage", "aliases", "status", "created", "run", "source"], numbers: [0])
        for one in versions {
            table.add([
                one["version"]?.string ?? "", one["current_stage"]?.string ?? "",
                (one["aliases"]?.array ?? []).compactMap(\.string).joined(separator: ","),
                one["status"]?.string ?? "", ClientOutput.age(of: RunRecord.time(one["creation_timestamp"]), now: now),
                one["run_id"]?.string ?? "", one["source"]?.string ?? "",
            ])
        }
        return table
    }
}

struct ModelsHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show who moved versions to which stage, newest first.")

    @Argument(help: "The model.") var name: String
    @Option(help: "Only this version's.") var version: Int?
    @Option(help: "At most so many.") var limit = 100
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            var query = [("limit", "\(limit)")]
            if let version { query.append(("version", "\(version)")) }
            let path = "/api/aerie/v1/models/\(PlatformClient.escape(name))/stage-history"
            let found = try await server.client().get(path, query: query)["transitions"]?.array ?? []
            if found.isEmpty, output.format == .table { return ClientOutput.note("no version has changed its stage") }
            output.show(.array(found)) {
                var table = TextTable(["time", "version", "from", "to", "user"], numbers: [1])
                for one in found {
                    table.add(
                        [TrackingOutput.time(one["timestamp"])]
                            + ["version", "from", "to", "user"].map { one[$0]?.string ?? "" })
                }
                return table.text(width: Terminal.width)
            }
        }
    }
}
