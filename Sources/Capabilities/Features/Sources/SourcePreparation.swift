import AerieCore
import Datasets
import Foundation
import Streaming

/// Makes a view's source readable by one engine: attaches its database, copies its table, adds what was pushed.
struct SourcePreparation {
    let view: FeatureViewDefinition
    let engine: any SQLEngine
    let access: SourceAccess

    /// Where a row of Parquet files stands, in 64 bits: 2^40 rows a file.
    private static let place = "file_index::BIGINT * 1099511627776 + file_row_number"

    /// - Returns: what stands after `FROM`, and SQL that grows from row to row if there is such.
    func relation() async throws(AerieError) -> (relation: String, position: String?) {
        let files = try await pushed()
        if view.sourceType == "push" {
            guard !files.isEmpty else { return ("(SELECT \(nulls(wanted)) WHERE false)", nil) }
            return try await read(files)
        }
        let own = try await base()
        guard !files.isEmpty else { return own }
        // In this order, so that of equal times what was pushed counts.
        let columns = wanted.map(sqlIdentifier).joined(separator: ", ")
        let rows = try await read(files).relation
        return ("(SELECT \(columns) FROM \(own.relation) UNION ALL BY NAME SELECT \(columns) FROM \(rows))", nil)
    }

    /// What was pushed. Columns that no push has brought, such as those of a feature that came later, are null.
    private func read(_ files: [String]) async throws(AerieError) -> (relation: String, position: String?) {
        let rows = "read_parquet([\(files.map(sqlString).joined(separator: ", "))], union_by_name = true)"
        let known = Set(try await engine.columns(of: rows).map(\.name))
        let missing = wanted.filter { !known.contains($0) }
        return missing.isEmpty ? (rows, Self.place) : ("(SELECT *, \(nulls(missing)) FROM \(rows))", nil)
    }

    /// The source's columns that the view needs.
    private var wanted: [String] {
        var names = view.joinKeys + [view.timestampField ?? "event_timestamp"]
        if let created = view.createdTimestampColumn { names.append(created) }
        // Of a view with windows the events are read, not what is made of them.
        let inputs = view.windows.map { $0.plan.columns + [$0.stream.eventID].compactMap(\.self) }
        names += (inputs ?? view.features.map(\.name)).map { view.column(of: $0) }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// Columns of the right types, for what was not pushed yet.
    private func nulls(_ columns: [String]) -> String {
        let types = Dictionary(
            view.features.map { (view.column(of: $0.name), $0.type.sqlName) }, uniquingKeysWith: { first, _ in first })
        let times = [view.timestampField ?? "event_timestamp", view.createdTimestampColumn]
        return columns.map { name in
            "NULL::\(types[name] ?? (times.contains(name) ? "TIMESTAMPTZ" : "VARCHAR")) AS \(sqlIdentifier(name))"
        }.joined(separator: ", ")
    }

    private func pushed() async throws(AerieError) -> [String] {
        guard let pushed = access.pushed, !view.pushedTo.isEmpty else { return [] }
        return try await pushed.files(of: view.pushedTo)
    }

    private func base() async throws(AerieError) -> (relation: String, position: String?) {
        switch view.sourceType {
        case "duckdb": return (try await attach(), nil)
        case "postgres": return (try await copy(), "rowid")
        case FeatureViewDefinition.noSource:
            throw AerieError(
                .failedPrecondition,
                "feature view '\(view.name)' has no source; name files with its rows by spec.source.path",
                reason: "source.unconnected")
        case "bigquery":
            throw AerieError(
                .failedPrecondition,
                "the source of feature view '\(view.name)', the BigQuery table \(view.location), is not connected; "
                    + "name files with its rows by spec.source.path, or by a SourceConnection of type files",
                reason: "source.unconnected")
        default:
            if view.location.contains("://") { try await loadHTTP() }
            let isParquet = view.sourceType == "parquet"
            return (view.relation, isParquet ? Self.place : nil)
        }
    }

    /// Read only, and under its path as its name, so that several views find it attached.
    private func attach() async throws(AerieError) -> String {
        let path = view.database ?? ""
        guard FileManager.default.fileExists(atPath: path) else {
            throw .invalid("spec.source.path", "the source of view '\(view.name)': there is no database \(path)")
        }
        let name = sqlIdentifier("file:\(path)")
        do { try await engine.execute("ATTACH IF NOT EXISTS \(sqlString(path)) AS \(name) (READ_ONLY)") } catch {
            guard error.code == .invalidArgument else { throw error }
            throw .invalid(
                "spec.source.path", "the source of view '\(view.name)' cannot be opened: \(error.message)")
        }
        let parts = view.location.split(separator: ".").map { sqlIdentifier(String($0)) }
        return "\(name).\(parts.joined(separator: "."))"
    }

    /// - Throws: `failedPrecondition` if the database of the source cannot be reached from here.
    func remote() throws(AerieError) -> (tables: any RemoteTables, connection: SourceConnection) {
        guard let tables = access.tables, let connection = view.connection else {
            throw AerieError(
                .failedPrecondition,
                "the source of feature view '\(view.name)', the table \(view.location), is not connected here: "
                    + (view.connection == nil
                        ? "there is no such SourceConnection" : "only the server reads databases"),
                reason: "source.unconnected")
        }
        return (tables, connection)
    }

    private func copy() async throws(AerieError) -> String {
        let (tables, connection) = try remote()
        let table = sqlIdentifier("__aerie_copy_\(view.name)_\(view.location)")
        let file = "\(access.folder)/\(UUID().uuidString).csv"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let columns = try await tables.copy(view.location, columns: wanted, from: connection, to: file)
        let types = columns.map { "\(sqlString($0.name)): \(sqlString($0.type))" }.joined(separator: ", ")
        try await engine.execute(
            "CREATE OR REPLACE TEMP TABLE \(table) AS FROM read_csv(\(sqlString(file)), header = true, "
                + "nullstr = '\\N', allow_quoted_nulls = false, quote = '\"', escape = '\"', delim = ',', columns = {\(types)})")
        return table
    }

    /// Extensions are not downloaded: one that is installed is used.
    private func loadHTTP() async throws(AerieError) {
        do { try await engine.execute("LOAD httpfs") } catch {
            throw AerieError(
                .failedPrecondition,
                "the source of feature view '\(view.name)', \(view.location), needs DuckDB's extension httpfs, "
                    + "which this machine does not have; copy the files here, or install the extension",
                reason: "source.extension")
        }
    }
}

extension FeatureType {
    /// The type of a column with such values in the SQL engine.
    var sqlName: String {
        switch self {
        case .int32: "INTEGER"
        case .int64: "BIGINT"
        case .float: "FLOAT"
        case .double: "DOUBLE"
        case .string: "VARCHAR"
        case .bool: "BOOLEAN"
        case .bytes: "BLOB"
        case .timestamp: "TIMESTAMPTZ"
        case .json, .uuid, .timeUUID, .decimal: "VARCHAR"
        case .map, .mapList, .structure, .structureList, .valueList, .valueSet: "JSON"
        default: "\((element ?? .string).sqlName)[]"
        }
    }
}
