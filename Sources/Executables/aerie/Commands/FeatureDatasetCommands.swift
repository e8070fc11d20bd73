import AerieCore
import AerieJSON
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// `aerie features datasets`: point-in-time tables that were saved.
struct FeatureDatasetsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "datasets", abstract: "Saved point-in-time tables: versioned, unchanging, with their lineage.",
        subcommands: [List.self, Show.self, Get.self, Compare.self], defaultSubcommand: List.self)

    struct Options: ParsableArguments {
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions

        func get(_ path: String, _ query: [(String, String)] = []) async throws -> JSONValue {
            try await server.client().get(
                "/api/aerie/v1/features/datasets\(path)",
                query: query + [("namespace", namespace.namespace ?? "default")])
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List datasets and versions.")

        @Argument(help: "A dataset's name; all otherwise.") var name: String?
        @OptionGroup var options: Options
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            try await ClientOutput.reporting {
                let answer = try await options.get(name.map { "/\(PlatformClient.escape($0))" } ?? "")
                if json {
                    print(answer.text(indent: 2))
                    return
                }
                let rows = (answer["datasets"]?.array ?? []).map { dataset in
                    [
                        dataset["name"]?.string ?? "", "\(dataset["version"]?.int ?? 0)",
                        "\(dataset["rows"]?.int ?? 0)", "\(dataset["columns"]?.array?.count ?? 0)",
                        Timestamp(milliseconds: dataset["created"]?.int ?? 0).iso8601, dataset["actor"]?.string ?? "",
                        dataset["service"]?.string
                            ?? dataset["features"]?.array?.compactMap(\.string).joined(separator: ",") ?? "",
                    ]
                }
                if rows.isEmpty {
                    ClientOutput.note("no datasets")
                    return
                }
                print(
                    ClientOutput.table(["NAME", "VERSION", "ROWS", "COLUMNS", "CREATED", "BY", "FEATURES"], rows),
                    terminator: "")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Say what a version holds, and what it was made of, as JSON.")

        @Argument var name: String
        @Argument var version: Int
        @OptionGroup var options: Options

        func run() async throws {
            try await ClientOutput.reporting {
                print(try await options.get("/\(PlatformClient.escape(name))/\(version)").text(indent: 2))
            }
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "get", abstract: "Copy a version's table.")

        @Argument var name: String
        @Argument var version: Int
        @Option(name: .shortAndLong, help: "The Parquet file to write.") var output: String
        @OptionGroup var options: Options

        func run() async throws {
            try await ClientOutput.reporting {
                let client = try options.server.client()
                let path = "/api/aerie/v1/features/datasets/\(PlatformClient.escape(name))/\(version)/table"
                let request = client.request(.GET, path, [("namespace", options.namespace.namespace ?? "default")], nil)
                let response = try await client.execute(request, deadline: .distantFuture)
                if response.status.code >= 400 { throw await PlatformClient.error(response) }
                try await client.save(response, to: output)
                ClientOutput.note("\(response.headers.first(name: "x-aerie-rows") ?? "?") rows written to \(output)")
            }
        }
    }

    struct Compare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "compare", abstract: "Say what differs between two versions: lineage, rows and columns.")

        @Argument var name: String
        @Argument var first: Int
        @Argument var second: Int
        @OptionGroup var options: Options
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            try await ClientOutput.reporting {
                let answer = try await options.get(
                    "/\(PlatformClient.escape(name))/\(first)/compare", [("with", "\(second)")])
                print(json ? answer.text(indent: 2) : Self.text(answer), terminator: json ? "\n" : "")
            }
        }

        private static func text(_ answer: JSONValue) -> String {
            var rows: [[String]] = []
            func text(_ value: JSONValue?) -> String { value.map { $0.string ?? $0.text() } ?? "-" }
            for member in answer.object?.members ?? [] where member.value.array == nil {
                rows.append([member.key, text(member.value["from"]), text(member.value["to"])])
            }
            for view in answer["views"]?.array ?? [] {
                rows.append([
                    "view \(text(view["name"]))", "version \(text(view["from"]))", "version \(text(view["to"]))",
                ])
            }
            for column in answer["columns"]?.array ?? [] {
                func values(_ side: String) -> String {
                    guard let value = column[side], !value.isNull else { return "-" }
                    return "\(text(value["type"])), \(text(value["nulls"])) nulls, mean \(text(value["mean"]))"
                }
                rows.append(["column \(text(column["name"]))", values("from"), values("to")])
            }
            return rows.isEmpty ? "the versions are the same\n" : ClientOutput.table(["", "FROM", "TO"], rows)
        }
    }
}
