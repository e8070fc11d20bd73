import AerieCore
import CDuckDB
import Datasets
#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The database and connection of one engine.
///
/// `@unchecked Sendable`: used on the engine's queue only, except that its ticket may interrupt the connection.
final class DuckDBSession: @unchecked Sendable {
    private let path: String?
    private let options: DuckDBEngine.Options
    private var database: cduckdb_handle?
    private var connection: cduckdb_handle?

    init(path: String?, options: DuckDBEngine.Options) {
        self.path = path
        self.options = options
    }

    static func load(from folder: String?) throws(AerieError) {
        let library = try NativeLibraries.locate(.duckDB, in: folder)
        let libpython = try NativeLibraries.locate(.libpython, in: folder)
        if let problem = cduckdb_load(libpython, library) {
            throw NativeLibraries.missing(.duckDB, String(cString: problem))
        }
    }

    func close() {
        if connection != nil { cduckdb_disconnect(&connection) }
        if database != nil { cduckdb_close(&database) }
        connection = nil
        database = nil
    }

    /// Runs the statements of a text; the rows of the last are the answer. Parameters are for a single statement.
    func run(
        _ sql: String, _ parameters: [SQLValue], ticket: DuckDBTicket, wantsRows: Bool
    ) throws(AerieError) -> SQLTable {
        if ticket.isCancelled { throw Self.cancelled }
        if sql.utf8.contains(0) { throw .invalid("", "the SQL holds a zero byte, which no statement may") }
        let connection = try opened()
        ticket.begin(on: connection)
        var statements: cduckdb_handle?
        let count = cduckdb_extract(connection, sql, &statements)
        defer { if statements != nil { cduckdb_destroy_extracted(&statements) } }
        guard count > 0, let list = statements else {
            let words = statements.flatMap { cduckdb_extract_error($0) }.map { String(cString: $0) }
            throw .invalid("", words ?? "there is no SQL statement in the text")
        }
        if count > 1, !parameters.isEmpty {
            throw .invalid("", "parameters go with a single statement; the text holds \(count)")
        }
        var answer = SQLTable(columns: [])
        for index in 0..<count {
            if ticket.isCancelled { throw Self.cancelled }
            var prepared: cduckdb_handle?
            defer { if prepared != nil { cduckdb_destroy_prepare(&prepared) } }
            let status = cduckdb_prepare_extracted(connection, list, index, &prepared)
            let statement = try DuckDBStatement(checking: prepared, status: status, ticket: ticket)
            let isLast = index == count - 1
            answer = try statement.run(
                parameters, ticket: ticket, wantsRows: wantsRows && isLast,
                text: count == 1 ? sql : nil, connection: connection)
        }
        return answer
    }

    static var cancelled: AerieError { AerieError(.cancelled, "the statement was cancelled") }

    /// The library's words as an error. They often have a second part that points into the statement; it is kept.
    static func error(_ words: UnsafePointer<CChar>?, ticket: DuckDBTicket) -> AerieError {
        if ticket.isCancelled { return cancelled }
        let text = words.map { String(cString: $0) } ?? "DuckDB failed and does not say why"
        if text.hasPrefix("Out of Memory Error") { return AerieError(.resourceExhausted, text) }
        if text.hasPrefix("INTERNAL Error") || text.hasPrefix("FATAL Error") { return AerieError(.internal, text) }
        return AerieError(.invalidArgument, text)
    }

    func opened() throws(AerieError) -> cduckdb_handle {
        if let connection { return connection }
        try Self.load(from: options.nativeFolder)
        var config: cduckdb_handle?
        guard cduckdb_create_config(&config) == 0 else {
            throw AerieError(.internal, "DuckDB could not make a configuration")
        }
        defer { cduckdb_destroy_config(&config) }
        for (name, value) in settings() where cduckdb_set_config(config, name, value) != 0 {
            throw .invalid(name, "DuckDB does not take '\(value)'")
        }
        var words: UnsafeMutablePointer<CChar>?
        guard cduckdb_open(path, &database, config, &words) == 0 else {
            defer { if let words { cduckdb_free(words) } }
            let text = words.map { String(cString: $0) } ?? "no reason given"
            throw AerieError(.invalidArgument, "cannot open the database \(path ?? "in memory"): \(text)")
        }
        guard cduckdb_connect(database, &connection) == 0, let connection else {
            close()
            throw AerieError(.internal, "DuckDB opened \(path ?? "a database in memory") but gives no connection")
        }
        do throws(AerieError) {
            // Progress is counted, and never drawn.
            _ = try run(
                "SET TimeZone = 'UTC'; SET enable_progress_bar = true; SET enable_progress_bar_print = false", [],
                ticket: DuckDBTicket(), wantsRows: false)
        } catch {
            close()
            throw error
        }
        return connection
    }

    private func settings() -> [(String, String)] {
        let system = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var settings = [
            ("autoinstall_known_extensions", "false"),
            ("autoload_known_extensions", "false"),
            // The calling thread waits for a statement, and does none of its work.
            ("external_threads", "0"),
            ("temp_directory", options.temporaryFolder ?? "\(system)/aerie-duckdb-\(getpid())"),
        ]
        if let threads = options.threads { settings.append(("threads", "\(max(1, threads))")) }
        if let limit = options.memoryLimit { settings.append(("memory_limit", limit)) }
        return settings
    }
}
