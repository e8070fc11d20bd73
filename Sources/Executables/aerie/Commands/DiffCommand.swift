import AerieCore
import AerieJSON
import ArgumentParser

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what applying a manifest would change.",
        discussion: "Ends with 0 if nothing would, with 1 if something would, and with more for an error.")

    @OptionGroup var manifests: ManifestOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        var differs = false
        try await ClientOutput.reporting {
            let client = try server.client()
            for source in try manifests.read() {
                let answer = try await DeclarationRequest.send(
                    "diff", source, client: client, namespace: namespace.namespace, dryRun: false)
                for item in answer["items"]?.array ?? [] {
                    guard let diff = item["diff"]?.string, !diff.isEmpty else { continue }
                    differs = true
                    print(diff, terminator: "")
                }
            }
        }
        if differs { throw ExitCode(1) }
    }
}
