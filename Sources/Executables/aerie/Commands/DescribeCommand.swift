import AerieCore
import AerieJSON
import AerieResources
import AerieYAML
import ArgumentParser

struct DescribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show everything about one object: spec, status, conditions and history.")

    @Argument(help: "The kind, or KIND/NAME.") var kind: String
    @Argument(help: "The object's name.") var name: String?
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let argument = try ResourceArgument(kind, name)
            guard argument.name != nil else { throw AerieError.invalid("", "name the object: KIND NAME or KIND/NAME") }
            let client = try server.client()
            let path = try argument.path(namespace: namespace.namespace ?? "default")
            let object = try await client.get(path)
            let history = try await client.get(path + "/audit")
            print(Self.text(object, history: history["entries"]?.array ?? [], now: SystemClock().now()), terminator: "")
        }
    }

    static func text(_ object: JSONValue, history: [JSONValue], now: Timestamp) -> String {
        let metadata = object["metadata"]
        func field(_ name: String, _ value: String) -> String {
            name + ":" + String(repeating: " ", count: max(1, 14 - name.count)) + value + "\n"
        }
        var out = field("Name", metadata?["name"]?.string ?? "")
        out += field("Namespace", metadata?["namespace"]?.string ?? "")
        out += field("Kind", "\(object["kind"]?.string ?? "") (\(object["apiVersion"]?.string ?? ""))")
        out += field("Created", metadata?["creationTimestamp"]?.string ?? "-")
        out += field("Generation", "\(metadata?["generation"]?.int ?? 0)")
        for (title, key) in [("Labels", "labels"), ("Annotations", "annotations")] {
            let members = metadata?[key]?.object?.members ?? []
            let pairs = members.map { "\($0.key)=\($0.value.string ?? "")" }
            out += field(title, pairs.isEmpty ? "<none>" : pairs.joined(separator: ", "))
        }
        out += "Spec:\n" + indented(object["spec"])
        var status = object["status"]?.object ?? [:]
        let conditions = status["conditions"]?.array ?? []
        status["conditions"] = nil
        out += "Status:\n" + indented(.object(status))
        out += "Conditions:\n"
        out += conditions.isEmpty ? "  <none>\n" : indented(ClientOutput.table(
            ["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"],
            conditions.map { condition in
                let since = condition["lastTransitionTime"]?.string.flatMap { Timestamp(iso8601: $0) }
                return [
                    condition["type"]?.string ?? "", condition["status"]?.string ?? "",
                    ClientOutput.age(of: since, now: now), condition["reason"]?.string ?? "",
                    condition["message"]?.string ?? "",
                ]
            }))
        out += "History:\n"
        out += history.isEmpty ? "  <none>\n" : indented(ClientOutput.table(
            ["TIME", "ACTION", "GENERATION", "BY"],
            history.map { entry in
                [
                    entry["time"]?.string ?? "", entry["action"]?.string ?? "", "\(entry["generation"]?.int ?? 0)",
                    entry["actor"]?.string ?? "",
                ]
            }))
        return out
    }

    private static func indented(_ value: JSONValue?) -> String {
        guard let value, value.object?.isEmpty == false else { return "  <none>\n" }
        return indented(YAMLWriter.text(value))
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { "  \($0)\n" }.joined()
    }
}
