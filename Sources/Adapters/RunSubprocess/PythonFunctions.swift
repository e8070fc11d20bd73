public import AerieCore
import AerieJSON
public import Features
import Foundation
public import Logging
import Synchronization

/// Runs Python functions of feature views in a few processes that stay, one call at a time in each; a table has a
/// process of its own.
///
/// A thread per process waits for it, so nothing blocks the cooperative pool. A function that takes longer than the
/// limit, or takes its process down, fails the call under way; the process is started again for the next one.
public final class PythonFunctions: FunctionRunner {
    private let python: String
    private let limit: Duration
    private let logger: Logger
    private let queue: FunctionQueue

    /// - Parameters:
    ///   - python: the interpreter's absolute path.
    ///   - processes: how many calls run at once.
    ///   - limit: for a call with its waiting, and for a batch of a table.
    public init(python: String, processes: Int = 2, limit: Duration = .seconds(10), logger: Logger) {
        self.python = python
        self.limit = limit
        self.logger = logger
        queue = FunctionQueue()
        for number in 0..<processes {
            let worker = Self.worker(python, logger)
            Self.thread("functions \(number)", worker) { [queue] worker in
                // Before anybody asks: it takes a while to load what functions are made of.
                try? worker.start()
                while let job = queue.next() { job(worker) }
                worker.end()
            }
        }
    }

    deinit { close() }

    /// Ends the processes; calls that wait fail.
    public func close() { queue.close() }

    public func run(
        _ call: FunctionCall, _ values: [[FeatureValue]], rows: Int
    ) async throws(AerieError) -> [[FeatureValue]] {
        let deadline = deadline()
        let answer: Result<JSONValue, AerieError> = await withCheckedContinuation { continuation in
            let isTaken = queue.add { worker in
                guard let worker else { return continuation.resume(returning: .failure(Self.stopped(call))) }
                continuation.resume(
                    returning: self.answer(call, worker, deadline: deadline) { number in
                        call.message("call", number, values: values, rows: rows)
                    })
            }
            if !isTaken {
                continuation.resume(
                    returning: .failure(
                        AerieError(
                            .resourceExhausted,
                            "too many calls of Python functions wait; '\(call.view)' is not computed")))
            }
        }
        return try call.values(try answer.get(), rows: rows)
    }

    public func run(_ call: FunctionCall, table: String, to result: String) async throws(AerieError) {
        let cancelled = Flag()
        let outcome: Result<JSONValue, AerieError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Self.thread("function \(call.view)", Self.worker(python, logger)) { worker in
                    defer { worker.end() }
                    continuation.resume(
                        returning: self.answer(
                            call, worker, deadline: self.deadline(), isCancelled: { cancelled.isSet.withLock { $0 } }
                        ) { number in
                            var message = call.message("table", number, values: [], rows: 0)
                            message["table"] = .string(table)
                            message["result"] = .string(result)
                            return message
                        })
                }
            }
        } onCancel: {
            cancelled.isSet.withLock { $0 = true }
        }
        _ = try outcome.get()
    }

    /// Loads the function, sends the message, and waits for the last answer to it.
    private func answer(
        _ call: FunctionCall, _ worker: FunctionWorker, deadline: UInt64, isCancelled: () -> Bool = { false },
        message: (Int) -> JSONObject
    ) -> Result<JSONValue, AerieError> {
        do throws(FunctionWorker.Failure) {
            // The start is not the function's time.
            let deadline = try worker.start() ? self.deadline() : deadline
            guard monotonicNanoseconds() < deadline else { throw .tookTooLong }
            let (number, problem) = try worker.number(of: call.function, view: call.view, deadline: deadline)
            guard let number else { return .failure(Self.refused(problem)) }
            var answer = try worker.ask(message(number), deadline: deadline)
            while answer["rows"] != nil { answer = try worker.next(deadline: self.deadline(), isCancelled: isCancelled) }
            if let problem = answer["error"]?.string { return .failure(Self.refused(problem)) }
            return .success(answer)
        } catch { return .failure(explained(error, call)) }
    }

    private func deadline() -> UInt64 {
        let time = limit.components
        return monotonicNanoseconds() &+ UInt64(max(0, time.seconds)) &* 1_000_000_000
            &+ UInt64(max(0, time.attoseconds / 1_000_000_000))
    }

    private func explained(_ failure: FunctionWorker.Failure, _ call: FunctionCall) -> AerieError {
        switch failure {
        case .died(let words):
            AerieError(
                .unavailable, "Python \(words) while it computed feature view '\(call.view)'", reason: "function.died")
        case .tookTooLong:
            AerieError(
                .deadlineExceeded,
                "the function of feature view '\(call.view)' took longer than \(limit), and was ended; "
                    + "--feature-python-limit says how long it may take", reason: "function.limit")
        case .cancelled: AerieError(.cancelled, "cancelled")
        case .cannotStart(let error):
            AerieError(.unavailable, "'\(call.view)' cannot be computed: \(error.message)", reason: "function.start")
        }
    }

    private static func refused(_ problem: String) -> AerieError {
        AerieError(.failedPrecondition, problem, reason: "function.failed")
    }

    private static func stopped(_ call: FunctionCall) -> AerieError {
        AerieError(.unavailable, "the server stops; '\(call.view)' is not computed", reason: "function.stopped")
    }

    private static func worker(_ python: String, _ logger: Logger) -> FunctionWorker {
        FunctionWorker(python: python) { line in logger.info("a feature function wrote", metadata: ["line": "\(line)"]) }
    }

    /// Hands the worker to a thread of its own.
    private static func thread(
        _ name: String, _ worker: FunctionWorker, _ body: @escaping @Sendable (FunctionWorker) -> Void
    ) {
        // Safety: nobody else keeps it.
        nonisolated(unsafe) let worker = worker
        let thread = Thread { body(worker) }
        thread.name = name
        thread.stackSize = 512 << 10
        thread.start()
    }
}

/// Set once, from another thread.
private final class Flag: Sendable {
    let isSet = Mutex(false)
}
