import AerieCore
import AerieJSON
import ArgumentParser
import ErrorMapping

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Create or update what a manifest declares.",
        discussion: "All manifests are checked before the first object is written.")

    @OptionGroup var manifests: ManifestOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions
    @Flag(name: .long, help: "Check and compare on the server; write nothing.")
    var dryRun = false

    func run() async throws {
        try await ClientOutput.reporting {
            let client = try server.client()
            let sources = try manifests.read()
            // One request is all or nothing already; several are made so by trying them first.
            if sources.count > 1 || dryRun {
                try await DeclarationRequest.tryAll(
                    sources, client: client, namespace: namespace.namespace, show: dryRun)
            }
            guard !dryRun else { return }
            for source in sources {
                let answer = try await DeclarationRequest.send(
                    "apply", source, client: client, namespace: namespace.namespace, dryRun: false)
                DeclarationRequest.show(answer, suffix: "")
            }
        }
    }
}

/// What `apply` and `diff` send, and how their answers are shown.
enum DeclarationRequest {
    static func send(
        _ verb: String, _ source: ManifestOptions.Source, client: PlatformClient, namespace: String?, dryRun: Bool
    ) async throws -> JSONValue {
        var query: [(String, String)] = []
        if dryRun { query.append(("dryRun", "true")) }
        if let namespace { query.append(("namespace", namespace)) }
        if let folder = source.folder { query.append(("folder", folder)) }
        do { return try await client.post("/api/v1/\(verb)", query: query, body: source.text) } catch let error {
            guard !error.details.isEmpty else { throw error }
            ClientOutput.fail(error, file: source.name)
            throw ExitCode(error.code.exitStatus)
        }
    }

    /// Tries every source without writing, and reports what is wrong with any of them.
    static func tryAll(
        _ sources: [ManifestOptions.Source], client: PlatformClient, namespace: String?, show: Bool
    ) async throws {
        var failure: ExitCode?
        for source in sources {
            do {
                let answer = try await send("apply", source, client: client, namespace: namespace, dryRun: true)
                if show { Self.show(answer, suffix: " (dry run)") }
            } catch let code as ExitCode {
                failure = failure ?? code
            }
        }
        if let failure { throw failure }
    }

    static func show(_ answer: JSONValue, suffix: String) {
        for item in answer["items"]?.array ?? [] {
            for warning in item["warnings"]?.array ?? [] {
                if let text = warning.string { ClientOutput.note("warning: \(name(item)): \(text)") }
            }
            print("\(name(item)) \(item["outcome"]?.string ?? "")\(suffix)")
            for line in item["impact"]?.array?.compactMap(\.string) ?? [] { print("  \(line)") }
        }
    }

    /// `SeldonDeployment/fraud`, with the namespace if that is not the default one.
    static func name(_ item: JSONValue) -> String {
        let namespace = item["namespace"]?.string ?? "default"
        let middle = namespace == "default" ? "" : "\(namespace)/"
        return "\(item["kind"]?.string ?? "")/\(middle)\(item["name"]?.string ?? "")"
    }
}
