import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

struct WatchCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show objects, and then every change of them, until interrupted.")

    @Argument(help: "The kind, or KIND/NAME.") var kind: String
    @Argument(help: "The object's name.") var name: String?
    @OptionGroup var namespace: NamespaceOptions
    @Flag(name: [.customShort("A"), .long], help: "Objects of all namespaces.") var allNamespaces = false
    @Option(name: [.customShort("o"), .customLong("output")], help: "table, or json: one event a line.")
    var format = Format.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let argument = try ResourceArgument(kind, name)
            let client = try server.client()
            let path = try argument.path(namespace: allNamespaces ? "-" : namespace.namespace ?? "default")
            var layout: ResourceTable?
            var widths: [Int] = []
            try await client.stream(path, query: [("watch", "true")]) { event throws(AerieError) in
                guard format == .table else { return Self.show(event.text()) }
                guard let object = event["object"] else { return }
                if layout == nil {
                    let table = try await ResourceTable.fetch(
                        kind: object["kind"]?.string ?? "", client: client, showsNamespace: allNamespaces,
                        isWide: false)
                    layout = table
                    widths = (["EVENT"] + table.titles).map { max(9, $0.count) }
                    Self.show(Self.line(["EVENT"] + table.titles, &widths))
                }
                let row = layout?.row(object, now: SystemClock().now()) ?? []
                Self.show(Self.line([event["type"]?.string ?? ""] + row, &widths))
            }
            throw AerieError(.unavailable, "the server ended the watch")
        }
    }

    /// Written at once: lines must come as they happen, also into a pipe.
    private static func show(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    /// Columns grow with what has been seen so far, as what comes later is not known.
    private static func line(_ cells: [String], _ widths: inout [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() where index < widths.count {
            widths[index] = max(widths[index], cell.count)
            line += index + 1 < cells.count ? cell + String(
                repeating: " ", count: widths[index] - cell.count + 3) : cell
        }
        return line
    }
}
