public import AerieCore
import CDuckDB
public import Datasets

extension DuckDBEngine: LendingSQLEngine {
    public func lend(
        _ sql: String, isOrdered: Bool, _ take: @escaping @Sendable (LentRows) throws(AerieError) -> Void
    ) async throws(AerieError) {
        try await run { session, ticket throws(AerieError) in
            if isOrdered { return try session.lend(sql, ticket: ticket, take) }
            _ = try session.run("SET preserve_insertion_order = false", [], ticket: ticket, wantsRows: false)
            defer {
                _ = try? session.run(
                    "RESET preserve_insertion_order", [], ticket: DuckDBTicket(), wantsRows: false)
            }
            try session.lend(sql, ticket: ticket, take)
        }
    }
}

extension DuckDBSession {
    /// Starts a statement whose rows are fetched as they come.
    /// - Parameter result: to be destroyed, also after an error.
    func stream(_ sql: String, into result: inout cduckdb_result, ticket: DuckDBTicket) throws(AerieError) {
        if ticket.isCancelled { throw Self.cancelled }
        let connection = try opened()
        ticket.begin(on: connection)
        var prepared: cduckdb_handle?
        defer { if prepared != nil { cduckdb_destroy_prepare(&prepared) } }
        let status = cduckdb_prepare(connection, sql, &prepared)
        guard let prepared, status == 0 else {
            throw Self.error(prepared.flatMap { cduckdb_prepare_error($0) }, ticket: ticket)
        }
        guard cduckdb_execute_streaming(prepared, &result) == 0 else {
            throw Self.error(cduckdb_result_error(&result), ticket: ticket)
        }
    }

    func forEachChunk(
        of result: inout cduckdb_result, ticket: DuckDBTicket,
        _ take: (inout cduckdb_result, cduckdb_handle) throws(AerieError) -> Void
    ) throws(AerieError) {
        while let chunk = cduckdb_fetch_chunk(&result) as cduckdb_handle? {
            var handle: cduckdb_handle? = chunk
            defer { cduckdb_destroy_chunk(&handle) }
            if ticket.isCancelled { throw Self.cancelled }
            try take(&result, chunk)
        }
        if let problem = cduckdb_result_error(&result) { throw Self.error(problem, ticket: ticket) }
    }

    fileprivate func lend(
        _ sql: String, ticket: DuckDBTicket, _ take: (LentRows) throws(AerieError) -> Void
    ) throws(AerieError) {
        var result = cduckdb_result()
        defer { cduckdb_destroy_result(&result) }
        try stream(sql, into: &result, ticket: ticket)
        let width = cduckdb_column_count(&result)
        for column in 0..<width {
            let type = cduckdb_column_type(&result, column)
            if !DuckDBColumnReader.isWord(type) {
                let name = cduckdb_column_name(&result, column).map { String(cString: $0) } ?? ""
                throw .invalid("", "column '\(name)' is of type \(DuckDBColumnReader.typeName(type)), not of 64 bits")
            }
        }
        try forEachChunk(of: &result, ticket: ticket) { _, chunk throws(AerieError) in
            let count = Int(cduckdb_chunk_size(chunk))
            let columns = (0..<width).map { column in
                let values = cduckdb_chunk_data(chunk, column)?.assumingMemoryBound(to: Int64.self)
                return LentRows.Column(
                    values: UnsafeBufferPointer(start: values, count: values == nil ? 0 : count),
                    validity: cduckdb_chunk_validity(chunk, column))
            }
            try take(LentRows(count: count, columns: columns))
        }
    }
}
