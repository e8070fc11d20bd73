import AerieCore
import AerieJSON
import AerieYAML
import ArgumentParser
import Foundation

/// `-o table|json|yaml`.
struct TrackingOutput: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, yaml }

    @Option(name: [.customShort("o"), .customLong("output")], help: "table, json or yaml.") var format = Format.table

    /// Prints the value, or the text where people read.
    func show(_ value: @autoclosure () -> JSONValue, table: () -> String) {
        switch format {
        case .table: print(table(), terminator: "")
        case .json: print(value().text(indent: 2))
        case .yaml: print(YAMLWriter.text(value()), terminator: "")
        }
    }

    /// Names and values, one on a line; a list under its title where there are several.
    static func fields(_ fields: [(String, String)]) -> String {
        let width = (fields.map(\.0.count).max() ?? 0) + 2
        return fields.map { name, value in
            "\(name):".padding(toLength: width, withPad: " ", startingAt: 0) + (value.isEmpty ? "-" : value.visible)
                + "\n"
        }.joined()
    }

    static func pairs(_ title: String, _ pairs: [String: String]) -> String {
        guard !pairs.isEmpty else { return "" }
        var table = TextTable(["key", "value"])
        for (key, value) in pairs.sorted(by: { $0.key < $1.key }) { table.add([key, value]) }
        return "\n\(title)\n" + table.text(width: Terminal.width)
    }

    static func time(_ value: JSONValue?) -> String { RunRecord.time(value)?.iso8601 ?? "" }
}

extension ServerOptions {
    func tracking() throws(AerieError) -> TrackingClient { TrackingClient(client: try client()) }
}

/// `KEY=VALUE`, or `KEY-` to take the tag away.
enum TagChange: Equatable {
    case set(String, String)
    case remove(String)

    init(_ text: String) throws(AerieError) {
        if let equals = text.firstIndex(of: "="), equals > text.startIndex {
            self = .set(String(text[..<equals]), String(text[text.index(after: equals)...]))
        } else if text.hasSuffix("-"), text.count > 1, !text.contains("=") {
            self = .remove(String(text.dropLast()))
        } else {
            throw .invalid("", "\"\(text.visible)\" is no tag; write KEY=VALUE, or KEY- to remove one")
        }
    }

    /// - Throws: `invalidArgument` before any is applied.
    static func all(_ texts: [String]) throws(AerieError) -> [TagChange] {
        guard !texts.isEmpty else { throw .invalid("", "name a tag: KEY=VALUE, or KEY- to remove one") }
        var changes: [TagChange] = []
        for text in texts { changes.append(try TagChange(text)) }
        return changes
    }
}
