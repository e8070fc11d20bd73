import AerieCore
import ArgumentParser
import Foundation
import Pipelines
import RunSubprocess

/// One step of a pipeline run in this process; the server starts it, nobody types it.
///
/// `StepCommand.catalog`, the kinds that there are, is a closure that the composition supplies in an extension.
struct StepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Run one step of a pipeline (used by the server).", shouldDisplay: false)

    @Option(help: "The file that describes the step.")
    var spec: String

    func run() async throws {
        var status: Int32 = 1
        try await ClientOutput.reporting {
            status = try await StepProcess.main(specFile: spec, catalog: try StepCommand.catalog())
        }
        if status != 0 { throw ExitCode(status) }
    }
}
