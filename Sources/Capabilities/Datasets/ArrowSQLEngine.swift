public import AerieArrow
public import AerieCore
import Foundation
import Synchronization

/// A SQL engine that takes and gives whole tables in Arrow's form, each value in the type that it has.
///
/// Contract: as `SQLEngine`. Batches are checked before the engine sees them, so that no input can make it read outside
/// of them.
public protocol ArrowSQLEngine: SQLEngine {
    /// Runs one `SELECT` and gives its rows away as they come: the columns first, then batches, in order. What is not
    /// taken yet is not in memory.
    /// - Parameter take: runs on the engine's own thread, which waits for it; it must not call the engine. What it
    ///   throws ends the statement.
    func arrow(
        _ sql: String, _ take: @escaping @Sendable (ArrowPiece) throws(AerieError) -> Void
    ) async throws(AerieError)
    /// Adds rows to a table of the engine, which is made with these columns if it is not there.
    /// - Throws: `invalidArgument` if the batch does not fit its schema or the table; `unsupported` for types that the
    ///   engine does not have.
    func append(_ batch: ArrowBatch, of schema: ArrowSchema, to table: String) async throws(AerieError)
}

/// A part of a table that comes bit by bit.
public enum ArrowPiece: Sendable {
    case schema(ArrowSchema)
    case batch(ArrowBatch)
}

extension ArrowSQLEngine {
    /// The rows of one `SELECT`, in memory whole.
    public func arrow(_ sql: String) async throws(AerieError) -> ArrowTable {
        let table = Mutex(ArrowTable(schema: ArrowSchema(fields: []), batches: []))
        try await arrow(sql) { piece throws(AerieError) in
            table.withLock { table in
                switch piece {
                case .schema(let schema): table.schema = schema
                case .batch(let batch): table.batches.append(batch)
                }
            }
        }
        return table.withLock { $0 }
    }

    /// Writes the rows of one `SELECT` as an Arrow file (Feather, version 2), a batch at a time.
    /// - Returns: the rows written.
    /// - Throws: `resourceExhausted` if the file cannot be written; what is there of it is to be thrown away.
    public func exportArrow(_ sql: String, to path: String) async throws(AerieError) -> Int64 {
        let output = Mutex(try ArrowOutput(path: path))
        try await arrow(sql) { piece throws(AerieError) in
            try output.withLock { output throws(AerieError) in try output.take(piece) }
        }
        return try output.withLock { output throws(AerieError) in try output.finish() }
    }
}

/// An Arrow file that is being written.
private struct ArrowOutput {
    private let handle: FileHandle
    private var file: ArrowFile?
    private var rows: Int64 = 0

    init(path: String) throws(AerieError) {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw AerieError(.unavailable, "the file \(path) cannot be written") }
        self.handle = handle
    }

    mutating func take(_ piece: ArrowPiece) throws(AerieError) {
        switch piece {
        case .schema(let schema):
            var begun = ArrowFile(schema: schema)
            try write(try begun.begin())
            file = begun
        case .batch(let batch):
            guard let bytes = file?.append(batch) else { throw AerieError(.internal, "rows came before their columns") }
            rows += Int64(batch.length)
            try write(bytes)
        }
    }

    func finish() throws(AerieError) -> Int64 {
        guard let file else { throw AerieError(.internal, "the statement gave no columns") }
        try write(try file.end())
        try? handle.close()
        return rows
    }

    private func write(_ bytes: [UInt8]) throws(AerieError) {
        do { try handle.write(contentsOf: bytes) } catch {
            throw AerieError(.resourceExhausted, "the table cannot be written: the disk may be full", cause: error)
        }
    }
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
