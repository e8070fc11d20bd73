import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie features streams`: how the streams of views with windows do, and what was set aside.
struct FeatureStreamsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "streams", abstract: "Streams of events: what was counted, and what was set aside.",
        subcommands: [List.self, DeadLetters.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the streams with what they have counted.")

        @OptionGroup var server: ServerOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            try await ClientOutput.reporting {
                let answer = try await server.client().get("/api/aerie/v1/features/streams", query: [])
                if json {
                    Swift.print(answer.text(indent: 2))
                    return
                }
                let rows = (answer["streams"]?.array ?? []).map { row in
                    let stream = row["stream"] ?? .null
                    func number(_ value: JSONValue?) -> String { value?.int.map { "\($0)" } ?? "0" }
                    let events = ["counted", "duplicate", "late", "implausible", "crowded"].map { verdict in
                        number(stream["events"]?[verdict])
                    }
                    return [
                        row["namespace"]?.string ?? "", row["view"]?.string ?? "", stream["topic"]?.string ?? "(push)",
                    ] + events + [
                        number(stream["deadLetters"]), number(stream["lag"]), stream["latestEvent"]?.string ?? "-",
                        stream["problem"]?.string ?? "",
                    ]
                }
                if rows.isEmpty {
                    ClientOutput.note("no feature view has a stream")
                    return
                }
                let titles = [
                    "NAMESPACE", "VIEW", "TOPIC", "COUNTED", "KNOWN", "LATE", "AHEAD", "CROWDED", "SET ASIDE", "LAG", "LATEST",
                    "PROBLEM",
                ]
                Swift.print(ClientOutput.table(titles, rows), terminator: "")
            }
        }
    }

    struct DeadLetters: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "dead-letters", abstract: "Messages that could not be taken in, the newest first, as JSON.")

        @Argument(help: "The feature view.") var view: String
        @Option(help: "How many, up to 10000.") var limit = 100
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let answer = try await server.client().get(
                    "/api/aerie/v1/features/streams/\(PlatformClient.escape(view))/dead-letters",
                    query: [("limit", "\(limit)"), ("namespace", namespace.namespace ?? "default")])
                Swift.print((answer["dead_letters"] ?? []).text(indent: 2))
            }
        }
    }
}
