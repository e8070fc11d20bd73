public import AerieCore
import Dispatch
import Logging
import Synchronization

/// The PostgreSQL database in which every store of this target keeps its tables.
///
/// A bounded pool of connections, each with a thread of its own, on which a transaction runs from its beginning to its
/// end; callers wait without holding a thread. Transactions that lose against another (serialization, deadlock) or that
/// find their connection gone before anything was committed are run again, for ten seconds at most; one whose commit
/// went out and was never answered is `unavailable`, as nobody knows whether it holds.
public final class PostgresDatabase: Sendable {
    private struct Pool {
        var idle: [PostgresWorker]
        var waiting: [CheckedContinuation<PostgresWorker, Never>] = []
    }

    private let pool: Mutex<Pool>
    private let patience: Duration
    private static let backoff = Backoff(base: .milliseconds(5), cap: .milliseconds(500))

    /// Connects, and brings the tables to the newest version; several processes may do so at once.
    /// - Parameters:
    ///   - url: `postgresql://user:password@host:port/database?…`, as libpq reads it.
    ///   - connections: at most; they are made when they are needed.
    ///   - patience: how long a call waits for a server that is away.
    /// - Throws: `failedPrecondition` if a newer Aerie wrote the tables, `unavailable` if the server does not answer.
    public init(url: String, connections: Int = 16, patience: Duration = .seconds(10)) async throws(AerieError) {
        self.patience = patience
        pool = Mutex(Pool(idle: (0..<max(1, connections)).map { PostgresWorker(url: url, number: $0) }))
        try await onWorker { connection in
            try PostgresMigrations.run(connection)
        }
    }

    /// Reads from one consistent snapshot.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(AerieError) -> Value {
        try await transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", body)
    }

    /// Runs `body` in a transaction and returns once it is durable. It may be run more than once, so it must have no
    /// effect but on the database.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(AerieError) -> Value {
        try await transaction("BEGIN", body)
    }

    private func transaction<Value: Sendable>(
        _ begin: String, _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(AerieError) -> Value {
        try await onWorker { connection in
            try connection.run(begin)
            let value: Value
            do { value = try body(connection) } catch {
                try? connection.run("ROLLBACK")
                throw error
            }
            do throws(PostgresConnection.Failure) { try connection.run("COMMIT") } catch {
                guard error.sqlState == nil else { throw error }
                throw AerieError(
                    .unavailable, "the metadata database went away while it committed; it may have kept the change",
                    reason: "database.unknown_outcome")
            }
            return value
        }
    }

    private func onWorker<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(AerieError) -> Value {
        let deadline = ContinuousClock.now + patience
        var failures = 0
        while true {
            let worker = await borrow()
            let result = await worker.run(body)
            give(worker)
            switch result {
            case .success(let value): return value
            case .failure(let error):
                failures += 1
                let pause = Self.backoff.pause(afterFailures: failures)
                guard Self.mayTryAgain(error), ContinuousClock.now + pause < deadline else {
                    throw Self.translate(error)
                }
                do { try await Task.sleep(for: pause) } catch { throw AerieError(.cancelled, "the call was cancelled") }
            }
        }
    }

    private func borrow() async -> PostgresWorker {
        await withCheckedContinuation { continuation in
            let free = pool.withLock { pool -> PostgresWorker? in
                if let worker = pool.idle.popLast() { return worker }
                pool.waiting.append(continuation)
                return nil
            }
            if let free { continuation.resume(returning: free) }
        }
    }

    private func give(_ worker: PostgresWorker) {
        let next = pool.withLock { pool -> CheckedContinuation<PostgresWorker, Never>? in
            if pool.waiting.isEmpty {
                pool.idle.append(worker)
                return nil
            }
            return pool.waiting.removeFirst()
        }
        next?.resume(returning: worker)
    }

    /// Nothing of such a transaction was kept: it lost against another, or its connection was gone before its commit.
    private static func mayTryAgain(_ error: any Error) -> Bool {
        if let error = error as? AerieError { return error.reason == "database.down" }
        guard let failure = error as? PostgresConnection.Failure else { return false }
        switch failure.sqlState {
        case nil, "40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300": return true
        default: return false
        }
    }

    /// The server's errors end here, told by their SQLSTATE (PostgreSQL's manual, appendix A).
    static func translate(_ error: any Error) -> AerieError {
        if let error = error as? AerieError { return error }
        guard let failure = error as? PostgresConnection.Failure else {
            return AerieError(.internal, "the metadata store failed", cause: error)
        }
        let state = failure.sqlState ?? ""
        switch state {
        case "": return AerieError(.unavailable, "the metadata database went away: \(failure.message)", cause: error)
        case "23505": return AerieError(.alreadyExists, "it exists already", cause: error)
        case "23503": return AerieError(.notFound, "what it belongs to does not exist", cause: error)
        case "22021": return AerieError(.invalidArgument, "text may not hold the character U+0000", cause: error)
        case "22003": return AerieError(.invalidArgument, "a number is too large to be kept", cause: error)
        case "53100": return .diskFull("the metadata database is full: \(failure.message)", cause: error)
        case "53200":
            return AerieError(.resourceExhausted, "the metadata database is out of memory: \(failure.message)", cause: error)
        case "40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300":
            return AerieError(.unavailable, "the metadata database is busy; retry: \(failure.message)", cause: error)
        default:
            return AerieError(.internal, "the metadata store failed: \(failure.message) (\(state))", cause: error)
        }
    }
}

/// A connection and the thread on which it is used. It connects when there is work, and again after it was lost.
private final class PostgresWorker: @unchecked Sendable {
    // Safety: `connection` is only touched on `queue`.
    private let queue: DispatchQueue
    private let url: String
    private var connection: PostgresConnection?

    init(url: String, number: Int) {
        self.url = url
        queue = DispatchQueue(label: "aerie.postgres.\(number)")
    }

    func run<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async -> Result<Value, any Error> {
        await withCheckedContinuation { continuation in
            queue.async { [self] in
                continuation.resume(
                    returning: Result {
                        let connection = try self.connection ?? PostgresConnection(url: url)
                        self.connection = connection
                        defer { if !connection.isAlive { self.connection = nil } }
                        return try body(connection)
                    })
            }
        }
    }
}
