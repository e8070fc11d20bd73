import AerieCore
import CDuckDB
import Datasets

/// One prepared statement, for the time of a call on the engine's queue.
struct DuckDBStatement {
    private let handle: cduckdb_handle

    init(checking prepared: cduckdb_handle?, status: Int32, ticket: DuckDBTicket) throws(AerieError) {
        guard let prepared else {
            if ticket.isCancelled { throw DuckDBSession.cancelled }
            throw AerieError(.internal, "DuckDB prepared no statement")
        }
        if status != 0 { throw DuckDBSession.error(cduckdb_prepare_error(prepared), ticket: ticket) }
        handle = prepared
    }

    /// - Parameter text: the statement's SQL, with which columns of types that we do not read are cast to text.
    func run(
        _ parameters: [SQLValue], ticket: DuckDBTicket, wantsRows: Bool, text: String?, connection: cduckdb_handle
    ) throws(AerieError) -> SQLTable {
        let columns = (0..<cduckdb_prepared_column_count(handle)).map { index in
            Column(name: preparedName(index), type: cduckdb_prepared_column_type(handle, index))
        }
        if wantsRows, let text, columns.contains(where: { !$0.isRead }) {
            return try Self.runCast(text, columns, parameters, ticket: ticket, connection: connection)
        }
        try bind(parameters)
        var result = cduckdb_result()
        let status = cduckdb_execute(handle, &result)
        defer { cduckdb_destroy_result(&result) }
        if status != 0 { throw DuckDBSession.error(cduckdb_result_error(&result), ticket: ticket) }
        if !wantsRows { return SQLTable(columns: []) }
        // With a parameter of open type, the columns are known only now; a SELECT may be run once more.
        if let text, cduckdb_is_select(handle) {
            let columns = (0..<cduckdb_column_count(&result)).map { index in
                Column(
                    name: cduckdb_column_name(&result, index).map { String(cString: $0) } ?? "column\(index)",
                    type: cduckdb_column_type(&result, index))
            }
            if columns.contains(where: { !$0.isRead }) {
                return try Self.runCast(text, columns, parameters, ticket: ticket, connection: connection)
            }
        }
        return try Self.fetch(&result, ticket: ticket)
    }

    /// The statement as a subquery whose unread columns are cast to text; they keep the names of their own types.
    private static func runCast(
        _ text: String, _ columns: [Column], _ parameters: [SQLValue], ticket: DuckDBTicket, connection: cduckdb_handle
    ) throws(AerieError) -> SQLTable {
        let selected = columns.enumerated().map { index, column in
            let value = column.isRead ? "c\(index)" : "CAST(c\(index) AS VARCHAR)"
            return "\(value) AS \(sqlIdentifier(column.name))"
        }
        let aliases = columns.indices.map { "c\($0)" }.joined(separator: ", ")
        var prepared: cduckdb_handle?
        defer { if prepared != nil { cduckdb_destroy_prepare(&prepared) } }
        // A statement may end in semicolons and comments, which a subquery may not: then without its last semicolon.
        let inner = [text[...], text.lastIndex(of: ";").map { text[..<$0] }].compactMap(\.self)
        let isPrepared = inner.contains { inner in
            if prepared != nil { cduckdb_destroy_prepare(&prepared) }
            let sql = "SELECT \(selected.joined(separator: ", ")) FROM (\n\(inner)\n) AS aerie_cast(\(aliases))"
            return cduckdb_prepare(connection, sql, &prepared) == 0
        }
        guard isPrepared else {
            let column = columns.first { !$0.isRead } ?? columns[0]
            throw DuckDBColumnReader.unread(column.name, column.type)
        }
        let statement = try DuckDBStatement(checking: prepared, status: 0, ticket: ticket)
        var table = try statement.run(parameters, ticket: ticket, wantsRows: true, text: nil, connection: connection)
        for (index, column) in columns.enumerated() where !column.isRead {
            table.columns[index].typeName = DuckDBColumnReader.typeName(column.type)
        }
        return table
    }

    private struct Column {
        var name: String
        var type: Int32
        var isRead: Bool { DuckDBColumnReader.reads(type) }
    }

    private func preparedName(_ index: UInt64) -> String {
        guard let name = cduckdb_prepared_column_name(handle, index) else { return "column\(index)" }
        defer { cduckdb_free(UnsafeMutableRawPointer(mutating: name)) }
        return String(cString: name)
    }

    private func bind(_ parameters: [SQLValue]) throws(AerieError) {
        let wanted = cduckdb_parameter_count(handle)
        guard wanted == UInt64(parameters.count) else {
            throw .invalid("parameters", "the statement has \(wanted), but \(parameters.count) are given")
        }
        for (offset, value) in parameters.enumerated() {
            let index = UInt64(offset + 1)
            let status =
                switch value {
                case .null: cduckdb_bind_null(handle, index)
                case .bool(let value): cduckdb_bind_bool(handle, index, value)
                case .int(let value): cduckdb_bind_int64(handle, index, value)
                case .double(let value): cduckdb_bind_double(handle, index, value)
                case .text(let value): Self.bindText(handle, index, value)
                case .timestamp(let value): cduckdb_bind_timestamp(handle, index, value)
                }
            if status != 0 { throw .invalid("parameters[\(offset)]", "DuckDB does not take \(value) there") }
        }
    }

    private static func bindText(_ handle: cduckdb_handle, _ index: UInt64, _ text: String) -> Int32 {
        var text = text
        return text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { bytes in
                // An empty string may have no address, which the library takes for a missing one.
                guard let start = bytes.baseAddress else { return cduckdb_bind_text(handle, index, "", 0) }
                return cduckdb_bind_text(handle, index, start, UInt64(bytes.count))
            }
        }
    }

    private static func fetch(_ result: inout cduckdb_result, ticket: DuckDBTicket) throws(AerieError) -> SQLTable {
        var readers: [DuckDBColumnReader] = []
        for column in 0..<cduckdb_column_count(&result) {
            readers.append(try DuckDBColumnReader(&result, column: column))
        }
        while var chunk = cduckdb_fetch_chunk(&result) as cduckdb_handle? {
            defer { destroy(&chunk) }
            if ticket.isCancelled { throw DuckDBSession.cancelled }
            let count = Int(cduckdb_chunk_size(chunk))
            if count == 0 { break }
            for index in readers.indices {
                let column = UInt64(index)
                try readers[index].append(
                    cduckdb_chunk_data(chunk, column), cduckdb_chunk_validity(chunk, column), count: count)
            }
        }
        if let words = cduckdb_result_error(&result) { throw DuckDBSession.error(words, ticket: ticket) }
        return SQLTable(columns: readers.map(\.column))
    }

    private static func destroy(_ chunk: inout cduckdb_handle) {
        var handle: cduckdb_handle? = chunk
        cduckdb_destroy_chunk(&handle)
    }
}
