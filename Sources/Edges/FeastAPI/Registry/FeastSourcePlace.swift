import AerieJSON
import Features

/// Where a view's rows are, as it stands in the path of Feast's `FileSource`, which alone its SDK can be given without
/// the packages of a warehouse: the path of files, or one of
///
/// | path | |
/// | --- | --- |
/// | `table:schema.name` | a table of the SQL engine |
/// | `duckdb:/data/stats.duckdb#main.drivers` | a table of a DuckDB file |
/// | `postgres:warehouse#stats.drivers` | a table that a `SourceConnection` of that name reaches |
/// | `push:` | rows that are pushed, and nothing else |
/// | `none:` | nothing: of a view of windows or of features on demand, which has no rows of its own |
enum FeastSourcePlace: Equatable {
    case files(String)
    case table(String)
    case duckdb(path: String, table: String)
    case postgres(connection: String, table: String)
    case push
    case nothing

    /// - Returns: `nil` for an empty path, and for one that names a database without a table.
    init?(path: String) {
        func parts(_ prefix: String) -> (String, table: String)? {
            let rest = path.dropFirst(prefix.count)
            guard let at = rest.lastIndex(of: "#"), at != rest.startIndex else { return nil }
            let table = rest[rest.index(after: at)...]
            return table.isEmpty ? nil : (String(rest[..<at]), String(table))
        }
        if path.isEmpty { return nil }
        if path.hasPrefix("table:") {
            self = .table(String(path.dropFirst("table:".count)))
        } else if path.hasPrefix("duckdb:") {
            guard let (file, table) = parts("duckdb:") else { return nil }
            self = .duckdb(path: file, table: table)
        } else if path.hasPrefix("postgres:") {
            guard let (connection, table) = parts("postgres:") else { return nil }
            self = .postgres(connection: connection, table: table)
        } else if path == "push:" {
            self = .push
        } else if path == "none:" {
            self = .nothing
        } else {
            self = .files(path.hasPrefix("file://") ? String(path.dropFirst("file://".count)) : path)
        }
    }

    /// - Returns: `nil` for a source that Feast has a class for.
    init?(_ view: FeatureViewDefinition) {
        guard view.hasSource else {
            self = .nothing
            return
        }
        guard view.isConnected else { return nil }
        switch view.sourceType {
        case "table": self = .table(view.location)
        case "duckdb": self = .duckdb(path: view.database ?? "", table: view.location)
        case "postgres": self = .postgres(connection: view.connectionName ?? "", table: view.location)
        case "push": self = .push
        default: self = .files(view.location)
        }
    }

    var path: String {
        switch self {
        case .files(let path): path
        case .table(let table): "table:\(table)"
        case .duckdb(let path, let table): "duckdb:\(path)#\(table)"
        case .postgres(let connection, let table): "postgres:\(connection)#\(table)"
        case .push: "push:"
        case .nothing: "none:"
        }
    }

    /// `spec.source` of a feature view; for `nothing` a type that none can have, so that it stands in no declaration.
    var source: JSONObject {
        switch self {
        case .files(let path): ["type": "file", "path": .string(path)]
        case .table(let table): ["type": "table", "table": .string(table)]
        case .duckdb(let path, let table): ["type": "duckdb", "path": .string(path), "table": .string(table)]
        case .postgres(let connection, let table):
            ["type": "postgres", "connection": .string(connection), "table": .string(table)]
        case .push: ["type": "push"]
        case .nothing: ["type": "none"]
        }
    }
}
