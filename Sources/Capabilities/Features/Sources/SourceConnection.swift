public import AerieCore
import AerieJSON
public import AerieResources

/// Where tables are that are no files of this machine: a PostgreSQL database, or files that stand for the tables of a
/// warehouse which this process does not reach.
public struct SourceConnection: Sendable, Hashable {
    public enum Place: Sendable, Hashable {
        /// As libpq reads it, without the password, and the variable of the environment that has it.
        case postgres(url: String, passwordVariable: String?)
        /// Name of a table -> path of its files.
        case files([String: String])
    }

    public var name: String
    public var place: Place

    init?(_ resource: Resource) {
        name = resource.metadata.name
        switch resource.spec["type"]?.string {
        case "postgres":
            place = .postgres(
                url: resource.spec["url"]?.string ?? "", passwordVariable: resource.spec["passwordVariable"]?.string)
        case "files":
            var tables: [String: String] = [:]
            for member in resource.spec["tables"]?.object?.members ?? [] { tables[member.key] = member.value.string }
            place = .files(tables)
        default: return nil
        }
    }
}

/// `kind: SourceConnection`.
public struct SourceConnectionKind: ResourceKind {
    public init() {}

    public var name: String { "SourceConnection" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["sourceconnection", "sourceconnections", "connection"] }
    public var columns: [(title: String, path: String)] { [("TYPE", "spec.type"), ("URL", "spec.url")] }

    public var filePaths: [[String]] { [["tables", "*"]] }

    public var schema: FieldSchema {
        .object([
            Field("type", .choice(["postgres", "files"]), required: true),
            Field("url", .string),
            Field("passwordVariable", .string),
            Field("tables", .map(.string)),
            Field("description", .string),
            Field("owner", .string),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        let url = resource.spec["url"]?.string ?? ""
        if resource.spec["type"]?.string == "files" {
            let hasTables = !(resource.spec["tables"]?.object?.members ?? []).isEmpty
            return hasTables ? [] : [.init(field: "spec.tables", problem: "must name at least one table and its files")]
        }
        guard url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") else {
            return [.init(field: "spec.url", problem: "must be postgresql://user@host:port/database")]
        }
        // Whoever may read definitions would read it here.
        let authority = url.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first ?? ""
        let user = authority.contains("@") ? authority.prefix { $0 != "@" } : ""
        guard !user.contains(":"), !url.contains("password=") else {
            return [
                .init(
                    field: "spec.url",
                    problem: "must not hold a password; name the server's environment variable that has it by "
                        + "passwordVariable")
            ]
        }
        return []
    }
}

extension FeatureViewDefinition {
    /// Takes over what a connection says of the source: the database of a table, or files that stand for one.
    mutating func connect(_ connections: [SourceConnection]) {
        for one in connections where connectionName == nil || one.name == connectionName {
            switch one.place {
            case .postgres:
                if sourceType == "postgres" { connection = one }
            case .files(let tables):
                guard ["bigquery", "postgres"].contains(sourceType), let path = tables[location] else { continue }
                sourceType = path.contains(".csv") ? "csv" : "parquet"
                location = path
            }
        }
    }
}
