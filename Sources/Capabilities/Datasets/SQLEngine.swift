public import AerieCore

/// A value that goes into or comes out of SQL.
public enum SQLValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case text(String)
    /// Microseconds since 1970-01-01T00:00:00Z.
    case timestamp(Int64)
}

/// A column of a result: one array of one type, and which of its rows are null.
public struct SQLColumn: Sendable {
    public enum Values: Sendable {
        case bool([Bool])
        case int([Int64])
        case double([Double])
        case text([String])
        /// Microseconds since 1970-01-01T00:00:00Z.
        case timestamp([Int64])
    }

    public var name: String
    /// The engine's name of the type, such as `BIGINT` or `VARCHAR`.
    public var typeName: String
    public var values: Values
    /// True for each row that is null; empty if none is. The value in a null row means nothing.
    public var nulls: [Bool]

    public init(name: String, typeName: String, values: Values, nulls: [Bool] = []) {
        self.name = name
        self.typeName = typeName
        self.values = values
        self.nulls = nulls
    }

    public var count: Int {
        switch values {
        case .bool(let v): v.count
        case .int(let v): v.count
        case .double(let v): v.count
        case .text(let v): v.count
        case .timestamp(let v): v.count
        }
    }

    public subscript(row: Int) -> SQLValue {
        if !nulls.isEmpty, nulls[row] { return .null }
        return switch values {
        case .bool(let v): .bool(v[row])
        case .int(let v): .int(v[row])
        case .double(let v): .double(v[row])
        case .text(let v): .text(v[row])
        case .timestamp(let v): .timestamp(v[row])
        }
    }

    /// Every row as a number: NaN where it is null or not a number; booleans are 0 and 1.
    public var doubles: [Double] {
        (0..<count).map { row in
            if !nulls.isEmpty, nulls[row] { return .nan }
            return switch values {
            case .bool(let v): v[row] ? 1 : 0
            case .int(let v): Double(v[row])
            case .double(let v): v[row]
            case .timestamp(let v): Double(v[row])
            case .text: .nan
            }
        }
    }
}

/// The columns of a result, all of the same length.
public struct SQLTable: Sendable {
    public var columns: [SQLColumn]
    public init(columns: [SQLColumn]) { self.columns = columns }
    public var rowCount: Int { columns.first?.count ?? 0 }
    public subscript(name: String) -> SQLColumn? { columns.first { $0.name == name } }
}

/// Runs analytical SQL over files and tables. The dialect is DuckDB's.
///
/// Contract: a statement sees the effects of those before it on the same engine; a failed statement changes nothing.
/// Calls are serialized by the engine and block a thread of its own, never the caller's; a large result is in memory
/// whole, so ask for aggregates or write to a file (`COPY … TO`).
/// - Throws: `invalidArgument` with the engine's words for wrong SQL or data; `unavailable` if its library is missing.
public protocol SQLEngine: Sendable {
    func execute(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError)
    func query(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError) -> SQLTable
}

/// An engine that can say how far its statement is, to whoever asks from another task.
public protocol ObservableSQLEngine: SQLEngine {
    /// From 0 to 1 of the statement that runs; `nil` if none does, or it is not known.
    var share: Double? { get }
}

extension SQLEngine {
    public func execute(_ sql: String) async throws(AerieError) { try await execute(sql, []) }
    public func query(_ sql: String) async throws(AerieError) -> SQLTable { try await query(sql, []) }

    /// Names and types of the columns of what stands after `FROM`, in their order.
    public func columns(of relation: String) async throws(AerieError) -> [(name: String, type: String)] {
        let table = try await query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM \(relation))")
        guard case .text(let names)? = table["column_name"]?.values,
            case .text(let types)? = table["column_type"]?.values
        else { throw AerieError(.internal, "the engine's description of a table has no column names") }
        return Array(zip(names, types)).map { (name: $0, type: $1) }
    }
}

/// `name` as a quoted SQL identifier.
public func sqlIdentifier(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
}

/// `text` as a quoted SQL string.
public func sqlString(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
}
