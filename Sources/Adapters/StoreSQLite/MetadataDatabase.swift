public import AerieCore
public import GRDB
import Synchronization

/// The SQLite file in which every store of this target keeps its tables.
///
/// Readers run in parallel on WAL snapshots. Writers are batched: all that wait when the disk is free go into one
/// transaction, each inside a savepoint of its own, so that one that fails undoes only itself, and all return after the
/// one commit that made them durable (`synchronous = FULL`). A write therefore costs its share of one fsync.
public final class MetadataDatabase: Sendable {
    private struct Job: Sendable {
        /// Runs inside the batch's transaction; gives back what to do once the commit has succeeded or failed.
        let run: @Sendable (Database) -> @Sendable ((any Error)?) -> Void
        /// Tells the caller of a job that never ran.
        let abandon: @Sendable (any Error) -> Void
    }

    private struct Queue {
        var waiting: [Job] = []
        var isDraining = false
    }

    private let pool: DatabasePool
    private let queue = Mutex(Queue())
    private static let batchLimit = 512

    /// Opens or creates the file and brings its tables to the newest version.
    /// - Throws: `failedPrecondition` if a newer Aerie wrote it, `unavailable` if it cannot be opened.
    public init(path: String, migrations: [Migration]) throws(AerieError) {
        do {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.busyMode = .timeout(10)
            configuration.maximumReaderCount = 4
            configuration.prepareDatabase { db in
                db.addSpanAttribute()
                db.addPatterns()
                try db.execute(sql: "PRAGMA synchronous = FULL")
                try db.execute(sql: "PRAGMA cache_size = -8000")
                try db.execute(sql: "PRAGMA wal_autocheckpoint = 2000")
            }
            pool = try DatabasePool(path: path, configuration: configuration)
            var migrator = DatabaseMigrator()
            for migration in migrations { migrator.registerMigration(migration.name, migrate: migration.apply) }
            if try pool.read({ try migrator.hasBeenSuperseded($0) }) {
                throw AerieError(
                    .failedPrecondition, "\(path) was written by a newer version of Aerie; upgrade this one",
                    reason: "database.newer")
            }
            try migrator.migrate(pool)
        } catch let error as AerieError {
            throw error
        } catch {
            throw AerieError(.unavailable, "cannot open the metadata database at \(path): \(error)", cause: error)
        }
    }

    /// Reads from one consistent snapshot, on a reader's own thread.
    public func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws(AerieError)
        -> Value
    {
        do { return try await pool.read(body) } catch { throw Self.translate(error) }
    }

    /// Runs `body` in the next batch and returns once it is durable. What it throws undoes just its own changes. It may
    /// be run again if its batch is undone by another's failure, so it must have no effect but on the database.
    public func write<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws(AerieError)
        -> Value
    {
        let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
            let run: @Sendable (Database) -> @Sendable ((any Error)?) -> Void = { db in
                let outcome: Result<Value, any Error>
                do {
                    var value: Value?
                    try db.inSavepoint {
                        value = try body(db)
                        return .commit
                    }
                    outcome = .success(value!)
                } catch { outcome = .failure(error) }
                return { failure in
                    if let failure, case .success = outcome {
                        continuation.resume(returning: .failure(failure))
                    } else {
                        continuation.resume(returning: outcome)
                    }
                }
            }
            submit(Job(run: run, abandon: { continuation.resume(returning: .failure($0)) }))
        }
        do { return try result.get() } catch { throw Self.translate(error) }
    }

    /// Runs `body` as a write of its own and undoes what it wrote: nothing of it reaches the disk, so that it can be
    /// done while that is full. Changed pages stay in memory until then.
    func rehearse<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(AerieError) -> Value {
        do {
            return try await pool.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA cache_spill = OFF")
                defer { try? db.execute(sql: "PRAGMA cache_spill = ON") }
                var value: Value?
                try db.inTransaction(.immediate) {
                    value = try body(db)
                    return .rollback
                }
                return value!
            }
        } catch { throw Self.translate(error) }
    }

    /// Moves the log into the database file; for a clean shutdown.
    public func checkpoint() { _ = try? pool.writeWithoutTransaction { try $0.checkpoint(.truncate) } }

    /// Writes that wait for the next batch, and whether none is under way either. For tests of batches.
    var waitingWrites: Int { queue.withLock { $0.waiting.count } }
    var isIdle: Bool { queue.withLock { !$0.isDraining } }

    private func submit(_ job: Job) {
        let mustDrain = queue.withLock { queue in
            queue.waiting.append(job)
            defer { queue.isDraining = true }
            return !queue.isDraining
        }
        if mustDrain { drain() }
    }

    private func drain() {
        pool.asyncWriteWithoutTransaction { [self] db in
            let batch = queue.withLock { queue in
                let batch = Array(queue.waiting.prefix(Self.batchLimit))
                queue.waiting.removeFirst(batch.count)
                return batch
            }
            commit(batch, db)
            let more = queue.withLock { queue in
                queue.isDraining = !queue.waiting.isEmpty
                return queue.isDraining
            }
            if more { drain() }
        }
    }

    /// Runs the batch and tells every caller, or puts jobs back that were undone by another's failure.
    private func commit(_ batch: [Job], _ db: Database) {
        var finish: [@Sendable ((any Error)?) -> Void] = []
        var failure: (any Error)?
        var isUndone = false
        do {
            try db.inTransaction(.immediate) {
                for job in batch {
                    finish.append(job.run(db))
                    // A full or failing disk makes SQLite undo the whole transaction and not the savepoint alone.
                    isUndone = !db.isInsideTransaction
                    if isUndone { throw DatabaseError(resultCode: .SQLITE_ABORT) }
                }
                return .commit
            }
        } catch { failure = error }
        if isUndone, let culprit = finish.popLast() {
            culprit(failure)
            var innocent = batch
            innocent.remove(at: finish.count)
            queue.withLock { $0.waiting.insert(contentsOf: innocent, at: 0) }
            return
        }
        for done in finish { done(failure) }
        if let failure { for job in batch.dropFirst(finish.count) { job.abandon(failure) } }
    }

    /// Driver errors end here: constraint violations are `alreadyExists`, a full disk `diskFull`.
    static func translate(_ error: any Error) -> AerieError {
        if let error = error as? AerieError { return error }
        // A cancelled task is refused before its statement, or its statement is interrupted.
        if error is CancellationError { return AerieError(.cancelled, "the call was cancelled") }
        guard let error = error as? DatabaseError else {
            return AerieError(.internal, "the metadata store failed", cause: error)
        }
        return switch error.resultCode {
        case .SQLITE_CONSTRAINT: AerieError(.alreadyExists, "it exists already", cause: error)
        case .SQLITE_FULL: .diskFull("the disk that holds the metadata database is full", cause: error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            AerieError(
                .unavailable, "the metadata database is busy; retry",
                cause: error)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            AerieError(
                .dataLoss,
                "the metadata database is damaged: \(error.message ?? "")", cause: error)
        case .SQLITE_INTERRUPT: AerieError(.cancelled, "the call was cancelled", cause: error)
        case .SQLITE_IOERR: AerieError(.unavailable, "the disk that holds the metadata database failed", cause: error)
        default: AerieError(.internal, "the metadata store failed", cause: error)
        }
    }
}

/// One forward step of the tables. Names are never changed or reused once released.
public struct Migration: Sendable {
    public let name: String
    let apply: @Sendable (Database) throws -> Void
    public init(_ name: String, _ apply: @escaping @Sendable (Database) throws -> Void) {
        self.name = name
        self.apply = apply
    }
}
