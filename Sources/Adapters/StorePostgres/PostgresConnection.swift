import AerieCore
import CPostgres

/// One connection, used by one thread at a time. Every statement is parsed once and kept by its text.
final class PostgresConnection {
    /// What went wrong with a statement.
    struct Failure: Error {
        /// `nil` where the connection itself failed, so that nobody knows whether the server carried it out.
        var sqlState: String?
        var message: String
    }

    private let connection: cpg_connection
    private var names: [String: String] = [:]
    /// Kept by each connection at most, so that searches of ever new forms do not fill the server.
    private static let statementLimit = 400

    /// - Throws: `unavailable` with the server's own words, which never hold the password.
    init(url: String) throws(AerieError) {
        try PostgresLibrary.load()
        guard let connection = cpg_connect(url) else { throw AerieError(.unavailable, "out of memory") }
        guard cpg_is_connected(connection) != 0 else {
            let message = Self.line(String(cString: cpg_connection_error(connection)))
            cpg_close(connection)
            throw AerieError(
                .unavailable, "cannot connect to the metadata database: \(message)", reason: "database.down")
        }
        self.connection = connection
    }

    deinit { cpg_close(connection) }

    private var isBroken = false

    /// Whether it can be used again.
    var isAlive: Bool { !isBroken && cpg_is_connected(connection) != 0 }

    /// Runs statements without arguments.
    func run(_ sql: String) throws(Failure) { _ = try rows(of: cpg_execute(connection, sql)) }

    /// Runs one statement, in whose text every `?` stands for an argument.
    func query(_ sql: String, _ arguments: [PostgresValue] = []) throws(Failure) -> [PostgresRow] {
        try rows(of: try send(sql, arguments))
    }

    /// - Returns: how many rows the statement changed.
    @discardableResult
    func execute(_ sql: String, _ arguments: [PostgresValue] = []) throws(Failure) -> Int {
        let result = try send(sql, arguments)
        defer { cpg_clear(result) }
        try check(result)
        return Int(String(cString: cpg_changed(result))) ?? 0
    }

    private func send(_ sql: String, _ arguments: [PostgresValue]) throws(Failure) -> cpg_result? {
        let name = try prepared(sql)
        var pointers: [UnsafePointer<CChar>?] = []
        var buffers: [UnsafeMutablePointer<CChar>] = []
        defer { buffers.forEach { $0.deallocate() } }
        for argument in arguments {
            guard let text = argument.text else {
                pointers.append(nil)
                continue
            }
            let utf8 = Array(text.utf8)
            guard !utf8.contains(0) else { throw Failure(sqlState: "22021", message: "text holds a zero character") }
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: utf8.count + 1)
            for (index, byte) in utf8.enumerated() { buffer[index] = CChar(bitPattern: byte) }
            buffer[utf8.count] = 0
            buffers.append(buffer)
            pointers.append(UnsafePointer(buffer))
        }
        return cpg_run(connection, name, CInt(pointers.count), pointers)
    }

    private func prepared(_ sql: String) throws(Failure) -> String {
        if let name = names[sql] { return name }
        if names.count >= Self.statementLimit {
            try run("DEALLOCATE ALL")
            names.removeAll()
        }
        let name = "s\(names.count)"
        let result = cpg_prepare(connection, name, Self.numbered(sql))
        defer { cpg_clear(result) }
        try check(result)
        names[sql] = name
        return name
    }

    /// PostgreSQL counts its arguments.
    static func numbered(_ sql: String) -> String {
        var out = ""
        var count = 0
        for character in sql.unicodeScalars {
            if character == "?" {
                count += 1
                out += "$\(count)"
            } else {
                out.unicodeScalars.append(character)
            }
        }
        return out
    }

    private func rows(of result: cpg_result?) throws(Failure) -> [PostgresRow] {
        defer { cpg_clear(result) }
        try check(result)
        let columns = cpg_columns(result)
        let types = (0..<columns).map { cpg_type(result, $0) }
        return (0..<cpg_rows(result)).map { row in
            let values = (0..<columns).map { column -> String? in
                guard cpg_is_null(result, row, column) == 0, let text = cpg_text(result, row, column) else {
                    return nil
                }
                let bytes = UnsafeRawBufferPointer(start: text, count: Int(cpg_length(result, row, column)))
                return String(decoding: bytes, as: UTF8.self)
            }
            return PostgresRow(values: values, types: types)
        }
    }

    private func check(_ result: cpg_result?) throws(Failure) {
        guard let result else {
            isBroken = true
            throw Failure(sqlState: nil, message: Self.line(String(cString: cpg_connection_error(connection))))
        }
        let status = Int(cpg_status(result))
        if status == CPG_COMMAND_OK || status == CPG_TUPLES_OK { return }
        let state = cpg_sqlstate(result).map { String(cString: $0) }
        // What the library says by itself, without a state, is that the connection is gone.
        if state == nil { isBroken = true }
        throw Failure(sqlState: state, message: Self.line(String(cString: cpg_error(result))))
    }

    /// The first line; the others repeat the statement.
    private static func line(_ message: String) -> String {
        String(message.split(separator: "\n").first ?? "no reason given")
    }
}
