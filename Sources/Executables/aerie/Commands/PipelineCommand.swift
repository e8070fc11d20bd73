import AerieCore
import AerieJSON
import AerieYAML
import ArgumentParser
import Foundation
import Pipelines

struct PipelineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipeline", abstract: "Run pipelines and look after their runs.",
        subcommands: [Run.self, List.self, Runs.self, Status.self, Logs.self, Cancel.self, Retry.self])
}

extension PipelineCommand {
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a run and follow it.",
            discussion: "With -f the file is applied first. Ends with 0 only if the run succeeded.")

        @Argument(help: "The pipeline; may be left out if the file has just one.")
        var name: String?
        @Option(name: .shortAndLong, help: "A file with the pipeline, and with what else is to be applied.")
        var file: String?
        @Option(name: .customLong("param"), parsing: .singleValue, help: "A parameter's value, as NAME=VALUE; may be given again.")
        var parameters: [String] = []
        @Flag(inversion: .prefixedNo, help: "Stay until the run has ended, or only start it.")
        var wait = true
        @Flag(help: "The same as --wait.")
        var follow = false
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let client = PipelineClient(client: try server.client())
                var values = JSONObject()
                for parameter in parameters {
                    guard let at = parameter.firstIndex(of: "="), at > parameter.startIndex else {
                        throw AerieError.invalid("--param", "\"\(parameter)\" is not NAME=VALUE")
                    }
                    values[String(parameter[..<at])] = .string(String(parameter[parameter.index(after: at)...]))
                }
                let (name, namespace) = try await target(client.client)
                let run = try await client.start(name, namespace: namespace, parameters: values)
                guard wait || follow else { return print(run.id) }
                try PipelineCommand.finish(try await PipelineProgress.follow(run.id, client))
            }
        }

        /// Applies the file, if there is one, and says which pipeline to run.
        private func target(_ client: PlatformClient) async throws -> (name: String, namespace: String) {
            guard let file else {
                guard let name else { throw AerieError.invalid("", "name a pipeline, or a file with -f") }
                return (name, namespace.namespace ?? "default")
            }
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw AerieError.invalid("-f", "cannot read \(file)")
            }
            let pipelines = try YAMLDocument.parseAll(text).map(\.value).filter { $0["kind"]?.string == "Pipeline" }
                .filter { name == nil || $0["metadata"]?["name"]?.string == name }
            guard pipelines.count == 1, let found = pipelines[0]["metadata"]?["name"]?.string else {
                throw AerieError.invalid(
                    "-f", "\(file) has \(pipelines.count) pipelines\(name.map { " named '\($0)'" } ?? "; name one of them")")
            }
            let query = namespace.namespace.map { [("namespace", $0)] } ?? []
            do { _ = try await client.post("/api/v1/apply", query: query, body: text) } catch {
                ClientOutput.fail(error, file: file)
                throw ExitCode(2)
            }
            return (found, pipelines[0]["metadata"]?["namespace"]?.string ?? namespace.namespace ?? "default")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The pipelines that have been applied, with their last runs.")
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let client = PipelineClient(client: try server.client())
                let items = try await client.client.get("/api/v1/namespaces/\(namespace.namespace ?? "-")/pipelines")["items"]?.array ?? []
                let runs = try await client.runs(pipeline: nil, namespace: namespace.namespace, limit: 1000)
                let now = SystemClock().now()
                let rows = items.map { item -> [String] in
                    let name = item["metadata"]?["name"]?.string ?? ""
                    let space = item["metadata"]?["namespace"]?.string ?? "default"
                    let last = runs.first { $0["pipeline"]?.string == name && $0["namespace"]?.string == space }
                    let created = last?["created"]?.int.map { Timestamp(milliseconds: $0) }
                    return [
                        space, name, "\(item["spec"]?["steps"]?.array?.count ?? 0)", last?["id"]?.string ?? "-",
                        last?["state"]?.string ?? "-", ClientOutput.age(of: created, now: now),
                    ]
                }
                print(ClientOutput.table(["NAMESPACE", "NAME", "STEPS", "LAST RUN", "STATE", "STARTED"], rows), terminator: "")
            }
        }
    }

    struct Runs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Runs, newest first.")
        @Argument(help: "Only those of this pipeline.")
        var pipeline: String?
        @Option(help: "At most so many, from 1 to 1000.")
        var limit = 20
        @Option(name: .shortAndLong, help: "table or json.")
        var output = "table"
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let client = PipelineClient(client: try server.client())
                let runs = try await client.runs(pipeline: pipeline, namespace: namespace.namespace, limit: limit)
                if try PipelineCommand.isJSON(output) { return print(JSONValue.array(runs).text(indent: 2)) }
                let now = SystemClock().now()
                let rows = runs.map { run -> [String] in
                    [
                        run["id"]?.string ?? "", run["pipeline"]?.string ?? "", run["state"]?.string ?? "",
                        "\(Int((run["progress"]?.double ?? 0) * 100))%",
                        ClientOutput.age(of: run["created"]?.int.map { Timestamp(milliseconds: $0) }, now: now),
                        run["startedBy"]?.string ?? "", run["message"]?.string ?? "",
                    ]
                }
                print(ClientOutput.table(["RUN", "PIPELINE", "STATE", "DONE", "STARTED", "BY", "MESSAGE"], rows), terminator: "")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "A run and its steps.")
        @Argument(help: "The run.")
        var id: String
        @Option(name: .shortAndLong, help: "table or json.")
        var output = "table"
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let value = try await PipelineClient(client: try server.client()).json(id)
                if try PipelineCommand.isJSON(output) { return print(value.text(indent: 2)) }
                let run = try PipelineClient.run(value)
                for line in PipelineProgress.table(
                    run, now: SystemClock().now(), width: 160, isColored: isatty(STDOUT_FILENO) == 1)
                { print(line) }
            }
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The log of a step.")
        @Argument(help: "The run.")
        var id: String
        @Argument(help: "The step.")
        var step: String
        @Flag(name: .shortAndLong, help: "Stay until the step has ended.")
        var follow = false
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let client = PipelineClient(client: try server.client())
                var offset: Int64 = 0
                while true {
                    let chunk = try await client.log(id, step: step, offset: offset)
                    offset = chunk.nextOffset
                    print(chunk.text, terminator: "")
                    fflush(nil)
                    if chunk.isComplete || (chunk.text.isEmpty && !follow) { return }
                    if chunk.text.isEmpty { try await Task.sleep(for: .milliseconds(300)) }
                }
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a run: its steps are killed.")
        @Argument(help: "The run.")
        var id: String
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let run = try await PipelineClient(client: try server.client()).change(id, "cancel")
                print("\(run.id): \(run.state.isFinal ? run.state.rawValue : "being cancelled")")
            }
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Go on with a failed or cancelled run from where it failed.")
        @Argument(help: "The run.")
        var id: String
        @Flag(inversion: .prefixedNo, help: "Stay until the run has ended, or only start it.")
        var wait = true
        @OptionGroup var server: ServerOptions

        func run() async throws {
            try await ClientOutput.reporting {
                let client = PipelineClient(client: try server.client())
                let run = try await client.change(id, "retry")
                guard wait else { return print(run.id) }
                try PipelineCommand.finish(try await PipelineProgress.follow(run.id, client))
            }
        }
    }

    /// A run that did not succeed makes the command fail.
    static func finish(_ run: PipelineRun) throws {
        if run.state != .succeeded { throw ExitCode(1) }
    }

    static func isJSON(_ output: String) throws(AerieError) -> Bool {
        guard ["table", "json"].contains(output) else { throw .invalid("--output", "\"\(output)\" is neither table nor json") }
        return output == "json"
    }
}
