import AerieCore
import ArgumentParser

struct ApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Let a waiting step of a pipeline run go on.")
    @OptionGroup var decision: DecisionOptions

    func run() async throws { try await decision.send("approve", "approved") }
}

/// Which step, and what is said of it.
struct DecisionOptions: ParsableArguments {
    @Argument(help: "The pipeline run.")
    var run: String
    @Argument(help: "The step; may be left out if only one waits.")
    var step: String?
    @Option(name: .shortAndLong, help: "Why; kept with the decision.")
    var comment = ""
    @OptionGroup var server: ServerOptions

    func send(_ verb: String, _ past: String) async throws {
        try await ClientOutput.reporting {
            let client = PipelineClient(client: try server.client())
            let step = try await client.decide(verb, run: run, step: step, comment: comment)
            print("\(past): step '\(step)' of \(run)")
        }
    }
}
