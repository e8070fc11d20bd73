public import AerieCore
import CPostgres
import Dispatch
public import Features
import Foundation

/// Tables of PostgreSQL databases, copied by the database's own `COPY` in pieces of a row, from one snapshot.
///
/// A connection is made for each copy and closed after it, on a thread of its own.
public final class PostgresSourceTables: RemoteTables {
    private let environment: [String: String]

    /// - Parameter environment: where passwords are looked for, by the variables that connections name.
    public init(environment: [String: String]) { self.environment = environment }

    public func copy(
        _ table: String, columns: [String], from connection: SourceConnection, to file: String
    ) async throws(AerieError) -> [(name: String, type: String)] {
        try await session(connection) { session throws(AerieError) in try session.copy(table, columns, to: file) }
    }

    public func columns(
        of table: String, in connection: SourceConnection
    ) async throws(AerieError) -> [(name: String, type: String)] {
        try await session(connection) { session throws(AerieError) in try session.columns(table) }
    }

    private func session<Answer: Sendable>(
        _ connection: SourceConnection, _ body: @escaping @Sendable (PostgresCopy) throws(AerieError) -> Answer
    ) async throws(AerieError) -> Answer {
        guard case .postgres(let url, let variable) = connection.place else {
            throw .invalid("spec.source.connection", "'\(connection.name)' is no PostgreSQL database")
        }
        var password: String?
        if let variable {
            guard let found = environment[variable] else {
                throw AerieError(
                    .failedPrecondition, "the connection '\(connection.name)' takes its password from \(variable), "
                        + "which the server's environment does not have")
            }
            password = found
        }
        let address = Self.address(url, password)
        let work = { @Sendable () -> Result<Answer, AerieError> in
            do throws(AerieError) {
                return .success(try body(try PostgresCopy(address, name: connection.name)))
            } catch { return .failure(error) }
        }
        let result = await withCheckedContinuation { continuation in
            DispatchQueue(label: "aerie.postgres.copy").async { continuation.resume(returning: work()) }
        }
        return try result.get()
    }

    /// A password goes among the parameters, where no character of it can mean anything else.
    private static func address(_ url: String, _ password: String?) -> String {
        guard let password else { return url }
        let escaped = password.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return url + (url.contains("?") ? "&" : "?") + "password=\(escaped)"
    }
}

/// One connection, for one thread.
private final class PostgresCopy {
    private let connection: cpg_connection
    private let name: String

    init(_ address: String, name: String) throws(AerieError) {
        if let problem = cpg_load() {
            throw AerieError(
                .unavailable,
                "PostgreSQL's client library is not available: \(String(cString: problem)). `scripts/bootstrap` or "
                    + "`apt-get install libpq5` installs it.", reason: "native.libpq")
        }
        guard let connection = cpg_connect(address) else { throw AerieError(.unavailable, "out of memory") }
        self.connection = connection
        self.name = name
        guard cpg_is_connected(connection) != 0 else {
            throw AerieError(
                .unavailable,
                "the connection '\(name)' does not answer: \(Self.words(cpg_connection_error(connection)))",
                reason: "source.down")
        }
        try run("SET TimeZone = 'UTC'")
        try run("SET DateStyle = 'ISO'")
    }

    deinit { cpg_close(connection) }

    func copy(
        _ table: String, _ columns: [String], to file: String
    ) throws(AerieError) -> [(name: String, type: String)] {
        let place = Self.place(table)
        let known = Dictionary(try self.columns(table).map { ($0.name, $0.type) }) { first, _ in first }
        for column in columns where known[column] == nil {
            throw .invalid(
                "spec.source.table",
                "the table \(table) has no column '\(column)'; there are \(known.keys.sorted().joined(separator: ", "))")
        }
        guard FileManager.default.createFile(atPath: file, contents: nil), let out = FileHandle(forWritingAtPath: file)
        else { throw AerieError(.unavailable, "cannot write \(file)") }
        defer { try? out.close() }
        let list = columns.map(Self.quoted).joined(separator: ", ")
        let begun = cpg_execute(
            connection,
            "COPY (SELECT \(list) FROM \(place)) TO STDOUT (FORMAT csv, HEADER, NULL '\\N', ENCODING 'UTF8')")
        let status = Int(cpg_status(begun))
        defer { cpg_clear(begun) }
        guard status == CPG_COPY_OUT else { throw failure(begun) }
        try receive(out, file)
        return columns.map { ($0, known[$0] ?? "VARCHAR") }
    }

    private func receive(_ out: FileHandle, _ file: String) throws(AerieError) {
        var held = Data()
        var bytes: UnsafeMutablePointer<CChar>?
        while true {
            let count = cpg_copy_next(connection, &bytes)
            if count > 0, let piece = bytes {
                held.append(UnsafeRawPointer(piece).assumingMemoryBound(to: UInt8.self), count: Int(count))
                cpg_copy_free(piece)
            }
            if held.count >= 1 << 20 || count < 0 {
                do { try out.write(contentsOf: held) } catch {
                    throw AerieError(
                        .resourceExhausted, "\(file) cannot be written: the disk may be full", cause: error)
                }
                held.removeAll(keepingCapacity: true)
            }
            if count < 0 { break }
        }
        // What the database says when it is done, or why it is not.
        let end = cpg_next_result(connection)
        defer { cpg_clear(end) }
        guard Int(cpg_status(end)) == CPG_COMMAND_OK else { throw failure(end) }
    }

    private static func place(_ table: String) -> String {
        table.split(separator: ".").map { quoted(String($0)) }.joined(separator: ".")
    }

    func columns(_ table: String) throws(AerieError) -> [(name: String, type: String)] {
        let name = Self.place(table).split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        let found = cpg_execute(
            connection,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                + "to_regclass('\(name)') "
                + "AND attnum > 0 AND NOT attisdropped ORDER BY attnum")
        defer { cpg_clear(found) }
        guard Int(cpg_status(found)) == CPG_TUPLES_OK else { throw failure(found) }
        var columns: [(name: String, type: String)] = []
        for row in 0..<cpg_rows(found) {
            guard let column = cpg_text(found, row, 0), let type = cpg_text(found, row, 1) else { continue }
            columns.append((String(cString: column), Self.type(String(cString: type))))
        }
        if columns.isEmpty { throw .invalid("spec.source.table", "the connection '\(self.name)' has no table \(table)") }
        return columns
    }

    private func run(_ sql: String) throws(AerieError) {
        let result = cpg_execute(connection, sql)
        defer { cpg_clear(result) }
        guard Int(cpg_status(result)) == CPG_COMMAND_OK else { throw failure(result) }
    }

    private func failure(_ result: cpg_result?) -> AerieError {
        guard let result, let state = cpg_sqlstate(result).map({ String(cString: $0) }) else {
            return AerieError(
                .unavailable, "the connection '\(name)' went away: \(Self.words(cpg_connection_error(connection)))")
        }
        let words = Self.words(cpg_error(result))
        // Classes 08, 53 and 57: the connection, resources, and an operator's doing.
        let isAway = ["08", "53", "57"].contains { state.hasPrefix($0) }
        return AerieError(isAway ? .unavailable : .invalidArgument, "the connection '\(name)': \(words)")
    }

    private static func words(_ text: UnsafePointer<CChar>?) -> String {
        String(text.map { String(cString: $0) }?.split(separator: "\n").first ?? "no reason given")
    }

    private static func quoted(_ name: String) -> String {
        "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// The type of the same values in DuckDB; what it does not have is text.
    private static func type(_ name: String) -> String {
        switch name {
        case "bigint": return "BIGINT"
        case "integer": return "INTEGER"
        case "smallint": return "SMALLINT"
        case "double precision": return "DOUBLE"
        case "real": return "FLOAT"
        case "numeric": return "DOUBLE"
        case "boolean": return "BOOLEAN"
        case "date": return "DATE"
        default: break
        }
        if name.hasPrefix("timestamp"), name.hasSuffix("with time zone") { return "TIMESTAMPTZ" }
        if name.hasPrefix("timestamp") { return "TIMESTAMP" }
        if name.hasPrefix("numeric("), let digits = Int(name.dropFirst(8).prefix { $0.isNumber }), digits <= 38 {
            return "DECIMAL" + name.dropFirst(7)
        }
        return "VARCHAR"
    }
}
