import AerieCore
import CLMDB
import Synchronization

/// One LMDB file and its reading transactions.
///
/// `@unchecked Sendable`: the library guards its own file; a reading transaction is used by one task at a time, and the
/// writing one on the store's queue only.
final class LMDBEnvironment: @unchecked Sendable {
    let environment: clmdb_env
    let database: clmdb_dbi
    /// What it is in messages, such as `the online feature store`, and its path.
    private let title: String
    /// Reading transactions that nobody uses.
    private let readers = Mutex<[UInt]>([])

    private static let readerLimit: UInt32 = 1024

    /// - Parameter name: what the file is, in messages.
    init(path: String, mapSize: Int, name: String) throws(AerieError) {
        title = "\(name) \(path)"
        try LMDBLibrary.load()
        var opened: clmdb_env?
        let code = clmdb_open(path, mapSize, Self.readerLimit, &opened)
        guard code == 0, let opened else {
            throw AerieError(
                .unavailable, "cannot open \(title): \(String(cString: clmdb_strerror(code)))")
        }
        environment = opened
        var transaction: clmdb_txn?
        var database: clmdb_dbi = 0
        var failure = clmdb_begin(opened, 0, &transaction)
        if failure == 0 { failure = clmdb_main(transaction, &database) }
        if failure == 0 { failure = clmdb_commit(transaction) }
        guard failure == 0 else {
            let words = String(cString: clmdb_strerror(failure))
            clmdb_close(opened)
            throw AerieError(.unavailable, "cannot open \(title): \(words)")
        }
        self.database = database
    }

    deinit {
        for reader in readers.withLock({ $0 }) { clmdb_abort(clmdb_txn(bitPattern: reader)) }
        clmdb_close(environment)
    }

    func check(_ code: Int32, _ doing: String) throws(AerieError) {
        if code == 0 { return }
        if code == CLMDB_MAP_FULL {
            throw AerieError(
                .resourceExhausted, "\(title) has reached its greatest size",
                reason: "lmdb.full")
        }
        let words = String(cString: clmdb_strerror(code))
        throw AerieError(.unavailable, "cannot \(doing) \(title): \(words)")
    }

    /// Runs `body` on a snapshot of the file. What `body` sees is valid until it returns.
    func read<Result>(
        _ body: (clmdb_txn) throws(AerieError) -> Result
    ) throws(AerieError) -> Result {
        let transaction: clmdb_txn
        if let idle = readers.withLock({ $0.popLast() }), let reader = clmdb_txn(bitPattern: idle) {
            try check(clmdb_renew(reader), "read")
            transaction = reader
        } else {
            var begun: clmdb_txn?
            try check(clmdb_begin(environment, 1, &begun), "read")
            guard let begun else { throw AerieError(.internal, "LMDB began no transaction") }
            transaction = begun
        }
        defer {
            clmdb_reset(transaction)
            readers.withLock { $0.append(UInt(bitPattern: transaction)) }
        }
        return try body(transaction)
    }

    /// Runs `body` in a writing transaction that is kept only if it does not throw. Blocks; one at a time.
    func write<Result>(_ body: (clmdb_txn) throws(AerieError) -> Result) throws(AerieError) -> Result {
        var begun: clmdb_txn?
        try check(clmdb_begin(environment, 0, &begun), "write to")
        guard let begun else { throw AerieError(.internal, "LMDB began no transaction") }
        let result: Result
        do throws(AerieError) { result = try body(begun) } catch {
            clmdb_abort(begun)
            throw error
        }
        try check(clmdb_commit(begun), "write to")
        return result
    }

    func usage() throws(AerieError) -> (bytes: Int64, rows: Int64) {
        var bytes: UInt64 = 0
        var entries: UInt64 = 0
        try check(clmdb_used(environment, &bytes, &entries, database), "read")
        return (Int64(bytes), Int64(entries))
    }
}
