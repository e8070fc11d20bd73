public import AerieCore

/// Reads tables of a database that is elsewhere.
///
/// Contract: `copy` gives one consistent state of the table, in memory that does not depend on its size.
public protocol RemoteTables: Sendable {
    /// Copies columns of a table into a CSV file: a header, UTF-8, times in UTC, and `\N`, never quoted, for null.
    /// - Parameter table: `name` or `schema.name`.
    /// - Returns: all columns that were copied with the names of their types in the SQL engine's dialect.
    /// - Throws: `unavailable` if the database does not answer; `invalidArgument` for a table or a column that is not
    ///   there.
    func copy(
        _ table: String, columns: [String], from connection: SourceConnection, to file: String
    ) async throws(AerieError) -> [(name: String, type: String)]
    /// All columns of a table, in its order, with the names of their types in the SQL engine's dialect. Reads no row.
    /// - Throws: as `copy`.
    func columns(
        of table: String, in connection: SourceConnection
    ) async throws(AerieError) -> [(name: String, type: String)]
}

/// A column of rows that were pushed, and the engine's name of its type.
public struct PushedColumn: Sendable, Hashable {
    public var name: String
    public var type: String

    public init(name: String, type: String) {
        self.name = name
        self.type = type
    }
}

/// Keeps rows that were pushed for reading offline.
///
/// Contract: rows are durable when `append` returns, and are read by whoever asks for `files` afterwards, in the order
/// in which they were appended. A call is whole or not there.
public protocol PushedRows: Sendable {
    /// - Parameters:
    ///   - view: `namespace/name`.
    ///   - lines: each row as JSON, with the columns' names.
    func append(_ lines: [String], columns: [PushedColumn], to view: String) async throws(AerieError)
    /// The Parquet files with the rows of a view, oldest first.
    func files(of view: String) async throws(AerieError) -> [String]
}

/// How sources are reached that are more than files of this machine.
public struct SourceAccess: Sendable {
    public var tables: (any RemoteTables)?
    public var pushed: (any PushedRows)?
    /// Where copies stand while they are read.
    public var folder: String

    public init(tables: (any RemoteTables)? = nil, pushed: (any PushedRows)? = nil, folder: String = "") {
        self.tables = tables
        self.pushed = pushed
        self.folder = folder
    }

    /// Files, and tables of the engine, alone.
    public static let local = SourceAccess()
}
