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

extension TrackingClient {
    /// Carries out changes of tags, one after the other.
    /// - Parameters:
    ///   - owner: what names the thing in each call's body.
    ///   - set: where a tag is set, by POST.
    ///   - remove: takes a tag away, by the method that the thing's kind has for it.
    func apply(
        _ changes: [TagChange], to owner: JSONObject, set: String, remove: (JSONObject) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        for change in changes {
            var body = owner
            switch change {
            case .set(let key, let value):
                body["key"] = .string(key)
                body["value"] = .string(value)
                try await send(set, body)
            case .remove(let key):
                body["key"] = .string(key)
                try await remove(body)
            }
        }
    }
}

/// How much a comparison shows.
struct DiffOptions: ParsableArguments {
    @Flag(help: "Also what is equal.") var all = false
    @Flag(help: "Compare the text of files that both have, up to 1 MiB each.") var artifacts = false
    @Flag(help: "End with 1 if they differ.") var exitCode = false

    func show(_ diff: TrackingDiff, _ output: TrackingOutput) throws {
        output.show(diff.json) { diff.text(width: Terminal.width, showsAll: all) }
        if exitCode, !diff.isEqual { throw ExitCode(1) }
    }
}
