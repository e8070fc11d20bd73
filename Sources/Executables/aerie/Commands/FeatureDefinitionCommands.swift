import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie features impact FILE`.
struct FeatureImpactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "impact", abstract: "Say whom a change concerns, and change nothing.",
        discussion: "Services, deployments, registered models and saved datasets that use a feature that changes.")

    @Argument(help: "Manifests, as with -f.") var paths: [String] = []
    @OptionGroup var manifests: ManifestOptions
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let client = try server.client()
            var lines: [String] = []
            var all = manifests
            all.files += paths
            for source in try all.read() {
                let answer = try await DeclarationRequest.send(
                    "apply", source, client: client, namespace: namespace.namespace, dryRun: true)
                for item in answer["items"]?.array ?? [] {
                    lines += item["impact"]?.array?.compactMap(\.string) ?? []
                }
            }
            print(lines.isEmpty ? "nothing changes for anybody" : lines.joined(separator: "\n"))
        }
    }
}

/// `aerie features versions NAME`.
struct FeatureVersionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions", abstract: "List, compare and bring back the versions of a definition.")

    @Argument(help: "The name of a feature view, or of what --kind says.") var name: String
    @Option(help: "featureview, featureservice or entity.") var kind = "featureview"
    @Option(help: "Two versions, as 1,3: show what differs.") var diff: String?
    @Option(help: "Declare again what this version said.") var restore: Int?
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        try await ClientOutput.reporting {
            let client = try server.client()
            let place =
                "/api/aerie/v1/features/definitions/\(PlatformClient.escape(kind))/\(PlatformClient.escape(name))"
            let space = [("namespace", namespace.namespace ?? "default")]
            if let diff {
                let numbers = diff.split(separator: ",").map { String($0) }
                guard numbers.count == 2 else { throw AerieError.invalid("--diff", "'\(diff)' is no 1,3") }
                let answer = try await client.get(
                    "\(place)/diff", query: space + [("from", numbers[0]), ("to", numbers[1])])
                let text = answer["diff"]?.string ?? ""
                print(text.isEmpty ? "the versions say the same" : text, terminator: text.isEmpty ? "\n" : "")
                return
            }
            if let restore {
                let answer = try await client.post("\(place)/restore", query: space + [("version", "\(restore)")])
                for warning in answer["warnings"]?.array?.compactMap(\.string) ?? [] {
                    ClientOutput.note("warning: \(warning)")
                }
                print("\(name) \(answer["outcome"]?.string ?? "")")
                return
            }
            let answer = try await client.get("\(place)/versions", query: space)
            if json {
                print(answer.text(indent: 2))
                return
            }
            let rows = (answer["versions"]?.array ?? []).map { version in
                [
                    "\(version["version"]?.int ?? 0)", Timestamp(milliseconds: version["time"]?.int ?? 0).iso8601,
                    version["actor"]?.string ?? "", version["current"]?.bool == true ? "current" : "",
                    version["feature_view_version"]?.int.map { "v\($0)" } ?? "",
                ]
            }
            let isKeptApart = rows.contains { $0.last?.isEmpty == false }
            print(ClientOutput.table(["VERSION", "TIME", "BY", "", isKeptApart ? "ROWS" : ""], rows), terminator: "")
        }
    }
}
