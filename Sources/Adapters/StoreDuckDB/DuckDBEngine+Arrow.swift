public import AerieArrow
public import AerieCore
import CDuckDB
public import Datasets

extension DuckDBEngine: ArrowSQLEngine {
    public func arrow(
        _ sql: String, _ take: @escaping @Sendable (ArrowPiece) throws(AerieError) -> Void
    ) async throws(AerieError) {
        try await run { session, ticket throws(AerieError) in try session.arrow(sql, ticket: ticket, take) }
    }

    public func append(
        _ batch: ArrowBatch, of schema: ArrowSchema, to table: String
    ) async throws(AerieError) {
        try batch.check(against: schema)
        _ = try await run { session, ticket throws(AerieError) -> SQLTable in
            try session.append(batch, of: schema, to: table, ticket: ticket)
        }
    }
}

extension DuckDBSession {
    private static let wordCapacity = 2000

    func arrow(
        _ sql: String, ticket: DuckDBTicket, _ take: (ArrowPiece) throws(AerieError) -> Void
    ) throws(AerieError) {
        var result = cduckdb_result()
        defer { cduckdb_destroy_result(&result) }
        try stream(sql, into: &result, ticket: ticket)
        var words = [CChar](repeating: 0, count: Self.wordCapacity)
        var columns = cduckdb_arrow_schema()
        guard cduckdb_result_schema(&result, &columns, &words, UInt64(Self.wordCapacity)) == 0 else {
            throw Self.error(words, ticket: ticket)
        }
        defer { cduckdb_release_schema(&columns) }
        let schema = ArrowSchema(fields: try DuckDBArrow.children(columns))
        try take(.schema(schema))
        try forEachChunk(of: &result, ticket: ticket) { result, chunk throws(AerieError) in
            var rows = cduckdb_arrow_array()
            guard cduckdb_chunk_array(&result, chunk, &rows, &words, UInt64(Self.wordCapacity)) == 0 else {
                throw Self.error(words, ticket: ticket)
            }
            defer { cduckdb_release_array(&rows) }
            if rows.length > 0 { try take(.batch(try DuckDBArrow.batch(rows, of: schema))) }
        }
    }

    /// The rows become a view over this process' memory, and are copied from it by one statement.
    func append(
        _ batch: ArrowBatch, of schema: ArrowSchema, to table: String, ticket: DuckDBTicket
    ) throws(AerieError) -> SQLTable {
        let connection = try opened()
        let memory = try DuckDBArrowMemory(batch, schema)
        defer { withExtendedLifetime(memory) {} }
        let view = "aerie_arrow_rows"
        var stream: cduckdb_handle?
        guard cduckdb_arrow_view(connection, view, memory.schema, memory.array, &stream) == 0, stream != nil else {
            throw AerieError(.unsupported, "DuckDB does not take a table of these types of columns")
        }
        defer { if stream != nil { cduckdb_destroy_arrow_stream(&stream) } }
        defer { _ = try? run("DROP VIEW IF EXISTS \(view)", [], ticket: DuckDBTicket(), wantsRows: false) }
        let name = sqlIdentifier(table)
        let columns = schema.fields.map { field in
            let column = sqlIdentifier(field.name)
            // The library has times in nanoseconds with a zone, but cannot do anything with them.
            let isFine = field.format.hasPrefix("tsn:") && field.format != "tsn:"
            return isFine ? "\(column)::TIMESTAMPTZ AS \(column)" : column
        }.joined(separator: ", ")
        // The view can be read once, so a table that is not there is made with its first rows.
        let there = try run(
            "SELECT 1 FROM duckdb_tables() WHERE table_name = \(sqlString(table))", [], ticket: ticket,
            wantsRows: true)
        let verb = there.rowCount == 0 ? "CREATE TABLE \(name) AS" : "INSERT INTO \(name)"
        return try run("\(verb) SELECT \(columns) FROM \(view)", [], ticket: ticket, wantsRows: false)
    }
}
