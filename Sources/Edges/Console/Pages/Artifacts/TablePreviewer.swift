public import AerieCore
public import Experiments

/// The first rows of a table in a file.
public struct TablePreview: Sendable {
    public struct Column: Sendable {
        public var name: String
        /// The file's name of the type, such as `BIGINT`.
        public var type: String
        public init(name: String, type: String) {
            self.name = name
            self.type = type
        }
    }

    public var columns: [Column]
    /// Values as text, `nil` where there is none; each as long as `columns`.
    public var rows: [[String?]]
    /// Rows in the whole file, where the file says so.
    public var rowCount: Int64?
    /// Columns in the whole file.
    public var columnCount: Int

    public init(columns: [Column], rows: [[String?]], rowCount: Int64?, columnCount: Int) {
        self.columns = columns
        self.rows = rows
        self.rowCount = rowCount
        self.columnCount = columnCount
    }
}

/// Reads the beginning of table files that are no text.
///
/// Contract: reads only the named file, only as much as the first rows need; a value is cut at 200 characters.
/// - Throws: `invalidArgument` for a file that is no table, `unavailable` without the engine's library, `unsupported`
///   for a file that cannot be read where it is.
public protocol TablePreviewer: Sendable {
    /// - Parameter rows: at most so many.
    func parquet(_ path: ArtifactPath, rows: Int) async throws(AerieError) -> TablePreview
}
