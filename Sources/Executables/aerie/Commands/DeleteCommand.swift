import AerieCore
import AerieJSON
import AerieYAML
import ArgumentParser

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete an object, or everything that a manifest declares.")

    @Argument(help: "The kind, or KIND/NAME.") var kind: String?
    @Argument(help: "The object's name.") var name: String?
    @OptionGroup var manifests: ManifestOptions
    @OptionGroup var namespace: NamespaceOptions
    @Flag(name: .long, help: "It is no error if the object is not there.") var ignoreNotFound = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let paths = try paths()
            let client = try server.client()
            for path in paths {
                do {
                    let gone = try await client.delete(path)
                    print("\(gone["kind"]?.string ?? "")/\(gone["metadata"]?["name"]?.string ?? "") deleted")
                } catch let error as AerieError {
                    guard ignoreNotFound, error.code == .notFound, error.reason != "kind.unknown" else { throw error }
                }
            }
        }
    }

    /// The addresses of what is to be deleted; those of a manifest in reverse, so that users go before what they use.
    private func paths() throws -> [String] {
        guard let kind else {
            return try manifests.read().flatMap { try Self.paths($0, namespace: namespace.namespace) }.reversed()
        }
        guard manifests.files.isEmpty else { throw AerieError.invalid("", "name an object or a manifest, not both") }
        let argument = try ResourceArgument(kind, name)
        guard argument.name != nil else { throw AerieError.invalid("", "name the object: KIND NAME or KIND/NAME") }
        return [try argument.path(namespace: namespace.namespace ?? "default")]
    }

    static func paths(_ source: ManifestOptions.Source, namespace: String?) throws(AerieError) -> [String] {
        var paths: [String] = []
        for document in try YAMLDocument.parseAll(source.text) {
            guard let kind = document.value["kind"]?.string, let name = document.value["metadata"]?["name"]?.string
            else {
                throw .invalid(
                    "", "kind and metadata.name are needed to delete it", line: document.line(of: "metadata"))
            }
            let written = document.value["metadata"]?["namespace"]?.string
            if let written, let namespace, written != namespace {
                throw .invalid(
                    "metadata.namespace", "is \"\(written)\", but -n says \"\(namespace)\"",
                    line: document.line(of: "metadata.namespace"))
            }
            let place = written ?? namespace ?? "default"
            paths.append(try ResourceArgument(kind, name).path(namespace: place))
        }
        return paths
    }
}
