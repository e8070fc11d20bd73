public import AerieCore
import CDuckDB
public import Datasets
import Dispatch
import Synchronization

/// DuckDB in this process: SQL over its own tables, CSV, Parquet and JSON files.
///
/// The library is loaded and the database opened at the first call, so a server that never asks for SQL pays nothing.
/// Statements run one after the other on a thread of the engine's own, in UTC, each in a transaction of its own.
/// Cancelling the calling task interrupts its statement, which then fails as `cancelled`.
/// Extensions are never downloaded; what the library brings along (Parquet, JSON, ICU) is there.
public final class DuckDBEngine: ObservableSQLEngine {
    /// What the engine may use of the machine.
    public struct Options: Sendable {
        /// Threads that one statement may use; `nil` for one a core.
        public var threads: Int?
        /// Memory before it spills to `temporaryFolder`, such as `2GB`; `nil` for 80 % of the machine's.
        public var memoryLimit: String?
        /// Where large sorts and joins spill to; `nil` for a folder under the system's temporary one.
        public var temporaryFolder: String?
        /// The only folder to look for the library in; `nil` for the usual ones.
        public var nativeFolder: String?

        public init(
            threads: Int? = nil, memoryLimit: String? = nil, temporaryFolder: String? = nil, nativeFolder: String? = nil
        ) {
            self.threads = threads
            self.memoryLimit = memoryLimit
            self.temporaryFolder = temporaryFolder
            self.nativeFolder = nativeFolder
        }
    }

    private let session: DuckDBSession
    private let queue = DispatchQueue(label: "aerie.duckdb")
    /// The call that runs, if one does.
    private let running = Mutex<DuckDBTicket?>(nil)

    /// - Parameter path: the database's file, made if it is not there; `nil` for one in memory, which ends with the
    ///   engine.
    public init(path: String? = nil, options: Options = Options()) {
        session = DuckDBSession(path: path, options: options)
    }

    deinit {
        let session = session
        queue.async { session.close() }
    }

    /// The version of the library, such as `v2.0.0`. Loads it.
    /// - Throws: `unavailable` if it is missing.
    public static func libraryVersion(in folder: String? = nil) throws(AerieError) -> String {
        try DuckDBSession.load(from: folder)
        return String(cString: cduckdb_version())
    }

    public func execute(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError) {
        _ = try await run { session, ticket throws(AerieError) in
            try session.run(sql, parameters, ticket: ticket, wantsRows: false)
        }
    }

    public func query(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError) -> SQLTable {
        try await run { session, ticket throws(AerieError) in
            try session.run(sql, parameters, ticket: ticket, wantsRows: true)
        }
    }

    /// Closes the database after the statements that were asked for before. A later call opens it again.
    public func close() async {
        let session = session
        await withCheckedContinuation { continuation in
            queue.async {
                session.close()
                continuation.resume()
            }
        }
    }

    public var share: Double? { running.withLock { $0 }?.share }

    func run<Answer: Sendable>(
        _ body: @escaping @Sendable (DuckDBSession, DuckDBTicket) throws(AerieError) -> Answer
    ) async throws(AerieError) -> Answer {
        let ticket = DuckDBTicket()
        let session = session
        let result: Result<Answer, AerieError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.async { [self] in
                    running.withLock { $0 = ticket }
                    let result: Result<Answer, AerieError>
                    do throws(AerieError) {
                        result = .success(try body(session, ticket))
                    } catch {
                        result = .failure(error)
                    }
                    ticket.finish()
                    running.withLock { $0 = nil }
                    continuation.resume(returning: result)
                }
            }
        } onCancel: {
            ticket.cancel()
        }
        return try result.get()
    }
}

/// One call's way from waiting over running to finished, and its cancellation from another thread.
final class DuckDBTicket: Sendable {
    private struct State {
        var isCancelled = false
        var isFinished = false
        /// The connection that runs the call, as a number; 0 before it runs.
        var connection: UInt = 0
    }

    private let state = Mutex(State())

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func begin(on connection: cduckdb_handle) { state.withLock { $0.connection = UInt(bitPattern: connection) } }

    /// From 0 to 1; `nil` if the library does not know.
    var share: Double? {
        state.withLock { state in
            guard let connection = cduckdb_handle(bitPattern: state.connection) else { return nil }
            let percent = cduckdb_progress(connection)
            return percent >= 0 ? min(percent / 100, 1) : nil
        }
    }

    func finish() {
        state.withLock {
            $0.isFinished = true
            $0.connection = 0
        }
    }

    /// Interrupts now and again until the call has ended: an interrupt that comes just before the library starts a
    /// statement is forgotten by it.
    func cancel() {
        let isFinished = state.withLock { state in
            state.isCancelled = true
            // Under the lock, so that the connection is not closed in between.
            if let connection = cduckdb_handle(bitPattern: state.connection) { cduckdb_interrupt(connection) }
            return state.isFinished
        }
        if isFinished { return }
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(5)) { self.cancel() }
    }
}
