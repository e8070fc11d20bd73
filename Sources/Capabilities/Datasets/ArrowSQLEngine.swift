public import AerieArrow
public import AerieCore

/// A SQL engine that takes and gives whole tables in Arrow's form, each value in the type that it has.
///
/// Contract: as `SQLEngine`. Batches are checked before the engine sees them, so that no input can make it read outside
/// of them.
public protocol ArrowSQLEngine: SQLEngine {
    /// The rows of one `SELECT`, in memory whole.
    func arrow(_ sql: String) async throws(AerieError) -> ArrowTable
    /// Adds rows to a table of the engine, which is made with these columns if it is not there.
    /// - Throws: `invalidArgument` if the batch does not fit its schema or the table; `unsupported` for types that the
    ///   engine does not have.
    func append(_ batch: ArrowBatch, of schema: ArrowSchema, to table: String) async throws(AerieError)
}

/// A whole table: its columns, and its rows in pieces.
public struct ArrowTable: Sendable {
    public var schema: ArrowSchema
    public var batches: [ArrowBatch]

    public init(schema: ArrowSchema, batches: [ArrowBatch]) {
        self.schema = schema
        self.batches = batches
    }
}
