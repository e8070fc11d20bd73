import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie experiments`: experiments by number or name.
struct ExperimentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experiments", abstract: "List, describe and change experiments.",
        subcommands: [
            ExperimentsList.self, ExperimentsDescribe.self, ExperimentsCreate.self, ExperimentsDelete.self,
            ExperimentsRestore.self, ExperimentsRename.self, ExperimentsTag.self,
        ], defaultSubcommand: ExperimentsList.self)
}

struct ExperimentsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List experiments.")

    @Option(help: "Only those that fit, such as \"name LIKE 'fraud%' AND tags.team = 'risk'\".") var filter: String?
    @Option(help: "Such as \"creation_time DESC\"; may be repeated.") var orderBy: [String] = []
    @Flag(help: "Those that were deleted.") var deleted = false
    @Option(help: "At most so many; 0 for all.") var limit = 100
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard limit >= 0 else { throw AerieError.invalid("--limit", "must be 0 or more") }
            let (found, hasMore) = try await server.tracking().all(
                .init(
                    path: "experiments/search", key: "experiments",
                    fields: ["view_type": .string(deleted ? "DELETED_ONLY" : "ACTIVE_ONLY")], filter: filter,
                    orderBy: orderBy, limit: limit))
            if found.isEmpty, output.format == .table { return ClientOutput.note("no experiments found") }
            output.show(.array(found)) {
                let now = SystemClock().now()
                var table = TextTable(["id", "name", "created", "updated", "tags"], numbers: [0])
                for one in found {
                    let tags = RunRecord.pairs(one["tags"]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                    table.add([
                        one["experiment_id"]?.string ?? "", one["name"]?.string ?? "",
                        ClientOutput.age(of: RunRecord.time(one["creation_time"]), now: now),
                        ClientOutput.age(of: RunRecord.time(one["last_update_time"]), now: now),
                        tags.joined(separator: ","),
                    ])
                }
                return table.text(width: Terminal.width)
            }
            if hasMore { ClientOutput.note("there are more; --limit 0 lists all") }
        }
    }
}

struct ExperimentsDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "describe", abstract: "Show an experiment.")

    @Argument(help: "The experiment's name or number.") var experiment: String
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let one = try await tracking.experiment(experiment)
            output.show(one) {
                TrackingOutput.fields([
                    ("Id", one["experiment_id"]?.string ?? ""), ("Name", one["name"]?.string ?? ""),
                    ("Stage", one["lifecycle_stage"]?.string ?? ""),
                    ("Created", TrackingOutput.time(one["creation_time"])),
                    ("Updated", TrackingOutput.time(one["last_update_time"])),
                    ("Artifacts", one["artifact_location"]?.string ?? ""),
                ]) + TrackingOutput.pairs("Tags", RunRecord.pairs(one["tags"]))
            }
        }
    }
}

struct ExperimentsCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make an experiment, and print its number.")

    @Argument(help: "The name.") var name: String
    @Option(name: .customLong("tag"), help: "KEY=VALUE; may be repeated.") var tags: [String] = []
    @Option(help: "Where its artifacts go; else where the server keeps them.") var artifactLocation: String?
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            var body: JSONObject = ["name": .string(name)]
            var list: [JSONValue] = []
            for tag in tags {
                guard case .set(let key, let value) = try TagChange(tag) else {
                    throw AerieError.invalid("--tag", "\"\(tag.visible)\" is no tag; write KEY=VALUE")
                }
                list.append(["key": .string(key), "value": .string(value)])
            }
            if !list.isEmpty { body["tags"] = .array(list) }
            if let artifactLocation { body["artifact_location"] = .string(artifactLocation) }
            let made = try await server.tracking().send("experiments/create", body)
            print(made["experiment_id"]?.string ?? "")
        }
    }
}

struct ExperimentsDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete experiments with their runs; `restore` brings them back until `gc`.")

    @Argument(help: "Names or numbers.") var experiments: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ExperimentsChange.each(experiments, server, "experiments/delete", "deleted")
    }
}

struct ExperimentsRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restore", abstract: "Bring deleted experiments back.")

    @Argument(help: "Names or numbers.") var experiments: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ExperimentsChange.each(experiments, server, "experiments/restore", "restored")
    }
}

/// One change to each of several experiments; all are looked up before the first is changed.
private enum ExperimentsChange {
    static func each(
        _ names: [String], _ server: ServerOptions, _ path: String, _ word: String
    ) async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            var found: [JSONValue] = []
            for name in names { found.append(try await tracking.experiment(name)) }
            for one in found {
                try await tracking.send(path, ["experiment_id": one["experiment_id"] ?? .null])
                print(
                    "experiment \(one["experiment_id"]?.string ?? "") \"\((one["name"]?.string ?? "").visible)\" \(word)"
                )
            }
        }
    }
}

struct ExperimentsRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rename", abstract: "Give an experiment a new name.")

    @Argument(help: "The experiment's name or number.") var experiment: String
    @Argument(help: "The new name.") var newName: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            let id = try await tracking.experimentID(experiment)
            try await tracking.send("experiments/update", ["experiment_id": .string(id), "new_name": .string(newName)])
            print("experiment \(id) is now \"\(newName.visible)\"")
        }
    }
}

struct ExperimentsTag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tag", abstract: "Set tags, or remove them.")

    @Argument(help: "The experiment's name or number.") var experiment: String
    @Argument(help: "KEY=VALUE, or KEY- to remove one.") var tags: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let changes = try TagChange.all(tags)
            let tracking = try server.tracking()
            let id = try await tracking.experimentID(experiment)
            try await tracking.apply(
                changes, to: ["experiment_id": .string(id)], set: "experiments/set-experiment-tag"
            ) { body throws(AerieError) in try await tracking.send("experiments/delete-experiment-tag", body) }
            print("experiment \(id) tagged")
        }
    }
}
