import ArgumentParser

struct RejectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject", abstract: "Refuse a waiting step of a pipeline run; the run fails with the comment.")
    @OptionGroup var decision: DecisionOptions

    func run() async throws { try await decision.send("reject", "rejected") }
}
