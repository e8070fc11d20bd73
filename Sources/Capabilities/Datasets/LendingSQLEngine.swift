public import AerieCore

/// A SQL engine that lends rows as they lie in its memory.
///
/// Contract: as `SQLEngine`.
public protocol LendingSQLEngine: SQLEngine {
    /// Runs one `SELECT` of columns of 64-bit whole numbers and times, and lends its rows piece by piece. What is not
    /// taken yet is not in memory.
    /// - Parameters:
    ///   - isOrdered: whether the rows must come in the order of the statement; any order is cheaper.
    ///   - take: runs on the engine's own thread, which waits for it; it must not call the engine, nor keep what it is
    ///     lent. What it throws ends the statement.
    /// - Throws: `invalidArgument` for columns of other types.
    func lend(
        _ sql: String, isOrdered: Bool, _ take: @escaping @Sendable (LentRows) throws(AerieError) -> Void
    ) async throws(AerieError)
}

/// Some rows in an engine's memory, for the time of a call.
public struct LentRows {
    public struct Column {
        /// A time is in the units of its type since 1970. The value in a null row means nothing.
        public let values: UnsafeBufferPointer<Int64>
        /// A bit a row, set if the row is not null; `nil` if no row is.
        public let validity: UnsafePointer<UInt64>?

        public init(values: UnsafeBufferPointer<Int64>, validity: UnsafePointer<UInt64>?) {
            self.values = values
            self.validity = validity
        }    }

    public let count: Int
    public let columns: [Column]

    public init(count: Int, columns: [Column]) {
        self.count = count
        self.columns = columns
    }
}
