import AerieJSON

/// Where copies of a deployment's requests and answers go: `logger` of a graph's node, or of a KServe predictor.
public struct RequestLogger: Sendable, Hashable {
    public enum Mode: String, Sendable, CaseIterable {
        case all, request, response
    }

    /// Whose types and names the events have.
    public enum Dialect: String, Sendable {
        case seldon, kserve
    }

    public var url: String
    public var mode: Mode
    public var dialect: Dialect

    public init(url: String, mode: Mode = .all, dialect: Dialect = .seldon) {
        self.url = url
        self.mode = mode
        self.dialect = dialect
    }

    /// - Parameter value: of the right shape. `nil` for one without an address: there is no default receiver.
    init?(_ value: JSONValue?, dialect: Dialect = .seldon) {
        guard let url = value?["url"]?.string, !url.isEmpty else { return nil }
        let own = value?["dialect"]?.string.flatMap { Dialect(rawValue: $0) }
        self.init(
            url: url, mode: value?["mode"]?.string.flatMap { Mode(rawValue: $0) } ?? .all, dialect: own ?? dialect)
    }

    /// As a node of a graph has it.
    var json: JSONValue {
        ["url": .string(url), "mode": .string(mode.rawValue), "dialect": .string(dialect.rawValue)]
    }

    /// What is wrong with an address; `nil` if nothing is.
    static func problem(_ url: String) -> String? {
        let scheme = ["http://", "https://"].first { url.lowercased().hasPrefix($0) }
        let isPlain = url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        guard let scheme, isPlain, url.utf8.count > scheme.utf8.count, url.dropFirst(scheme.count).first != "/" else {
            return "\"\(url.prefix(80))\" is no address; write http://host/path"
        }
        return nil
    }
}
