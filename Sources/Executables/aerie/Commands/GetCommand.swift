import AerieCore
import AerieJSON
import AerieYAML
import ArgumentParser

struct GetCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, wide, json, yaml }

    static let configuration = CommandConfiguration(commandName: "get", abstract: "List objects, or show one.")

    @Argument(help: "The kind, or KIND/NAME.") var kind: String
    @Argument(help: "The object's name.") var name: String?
    @OptionGroup var namespace: NamespaceOptions
    @Flag(name: [.customShort("A"), .long], help: "Objects of all namespaces.") var allNamespaces = false
    @Option(
        name: [.customShort("o"), .customLong("output")], help: "table, wide, json or yaml.") var format = Format.table
    @Option(name: [.customShort("l"), .customLong("selector")], help: "Only those with these labels: label=value, …")
    var selector: String?
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let argument = try ResourceArgument(kind, name)
            if allNamespaces, argument.name != nil {
                throw AerieError.invalid("", "--all-namespaces lists; it does not go with a name")
            }
            let client = try server.client()
            let namespace = allNamespaces ? "-" : namespace.namespace ?? "default"
            let answer = try await client.get(
                try argument.path(namespace: namespace), query: selector.map { [("labelSelector", $0)] } ?? [])
            switch format {
            case .json: print(answer.text(indent: 2))
            case .yaml: print(YAMLWriter.text(answer), terminator: "")
            case .table, .wide:
                let items = argument.name == nil ? answer["items"]?.array ?? [] : [answer]
                guard !items.isEmpty else {
                    let place = allNamespaces ? "in any namespace" : "in the namespace \"\(namespace)\""
                    return ClientOutput.note("no \(argument.kind) found \(place)")
                }
                let layout = try await ResourceTable.fetch(
                    kind: items[0]["kind"]?.string ?? "", client: client, showsNamespace: allNamespaces,
                    isWide: format == .wide)
                print(layout.text(items, now: SystemClock().now()), terminator: "")
            }
        }
    }
}
