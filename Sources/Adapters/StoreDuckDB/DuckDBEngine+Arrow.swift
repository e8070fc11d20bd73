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
        if ticket.isCancelled { throw Self.cancelled }
        let connection = try opened()
        ticket.begin(on: connection)
        var prepared: cduckdb_handle?
        defer { if prepared != nil { cduckdb_destroy_prepare(&prepared) } }
        let status = cduckdb_prepare(connection, sql, &prepared)
        guard let prepared, status == 0 else {
            throw Self.error(prepared.flatMap { cduckdb_prepare_error($0) }, ticket: ticket)
        }
        var result = cduckdb_result()
        defer { cduckdb_destroy_result(&result) }
        guard cduckdb_execute_streaming(prepared, &result) == 0 else {
            throw Self.error(cduckdb_result_error(&result), ticket: ticket)
        }
        var words = [CChar](repeating: 0, count: Self.wordCapacity)
        var columns = cduckdb_arrow_schema()
        guard cduckdb_result_schema(&result, &columns, &words, UInt64(Self.wordCapacity)) == 0 else {
            throw Self.error(words, ticket: ticket)
        }
        defer { cduckdb_release_schema(&columns) }
        let schema = ArrowSchema(fields: try DuckDBArrow.children(columns))
        try take(.schema(schema))
        while var chunk = cduckdb_fetch_chunk(&result) as cduckdb_handle? {
            defer { Self.destroy(&chunk) }
            if ticket.isCancelled { throw Self.cancelled }
            var rows = cduckdb_arrow_array()
            guard cduckdb_chunk_array(&result, chunk, &rows, &words, UInt64(Self.wordCapacity)) == 0 else {
                throw Self.error(words, ticket: ticket)
            }
            defer { cduckdb_release_array(&rows) }
            if rows.length > 0 { try take(.batch(try DuckDBArrow.batch(rows, of: schema))) }
        }
        if let problem = cduckdb_result_error(&result) { throw Self.error(problem, ticket: ticket) }
    }

    private static func destroy(_ chunk: inout cduckdb_handle) {
        var handle: cduckdb_handle? = chunk
        cduckdb_destroy_chunk(&handle)
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
