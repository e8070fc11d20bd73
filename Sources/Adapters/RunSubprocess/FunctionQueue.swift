import Foundation

/// Calls that wait for a process, first come, first served. Safe to use from any thread.
final class FunctionQueue: @unchecked Sendable {
    /// Given no worker if the queue was closed before its turn.
    typealias Job = @Sendable (FunctionWorker?) -> Void

    private static let limit = 256
    // Safety: all state is touched with the condition locked.
    private let condition = NSCondition()
    private var jobs: [Job] = []
    private var isClosed = false

    /// - Returns: false if too many wait.
    func add(_ job: @escaping Job) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed, jobs.count < Self.limit else { return false }
        jobs.append(job)
        condition.signal()
        return true
    }

    /// Waits for a job; `nil` when the queue is closed.
    func next() -> Job? {
        condition.lock()
        defer { condition.unlock() }
        while jobs.isEmpty, !isClosed { condition.wait() }
        return jobs.isEmpty ? nil : jobs.removeFirst()
    }

    /// Jobs that wait are given no worker.
    func close() {
        condition.lock()
        isClosed = true
        let left = jobs
        jobs = []
        condition.broadcast()
        condition.unlock()
        for job in left { job(nil) }
    }
}
