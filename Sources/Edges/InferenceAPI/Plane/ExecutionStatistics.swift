import AerieCore
import Synchronization

/// What happened between requests and calls of one model: queueing, batches, cache. Written where a request leaves the
/// path without allocation, so a lock does; any thread.
final class ExecutionStatistics: Sendable {
    /// How often, and how long in all.
    struct Part: Sendable {
        var count = 0
        var nanoseconds: UInt64 = 0

        mutating func add(_ duration: UInt64, count: Int = 1) {
            self.count += count
            nanoseconds &+= duration
        }
    }

    struct Counts: Sendable {
        /// Calls of the model, and the rows they had.
        var executions = 0
        var executedRows = 0
        /// Requests in those calls.
        var queue = Part()
        var compute = Part()
        var cacheHits = Part()
        var cacheMisses = Part()
        var cachedRows = 0
        /// Requests that wait or run.
        var pending = 0
        /// Calls by their number of rows.
        var batches: [Int: Part] = [:]
    }

    private static let batchSizes = 1024
    private let counts = Mutex(Counts())

    var now: Counts { counts.withLock { $0 } }

    func begin() { counts.withLock { $0.pending += 1 } }
    func end() { counts.withLock { $0.pending -= 1 } }

    /// One call of the model that gave an answer; those of its requests that got one.
    /// - Parameter queued: nanoseconds that its requests waited, together.
    func record(rows: Int, requests: Int, queued: UInt64, computed: UInt64) {
        counts.withLock { counts in
            counts.executions += 1
            counts.executedRows += rows
            counts.queue.add(queued, count: requests)
            counts.compute.add(computed, count: requests)
            if counts.batches[rows] != nil || counts.batches.count < Self.batchSizes {
                counts.batches[rows, default: Part()].add(computed)
            }
        }
    }

    func recordHit(rows: Int, nanoseconds: UInt64) {
        counts.withLock { counts in
            counts.cacheHits.add(nanoseconds)
            counts.cachedRows += rows
        }
    }

    func recordMiss(nanoseconds: UInt64) { counts.withLock { $0.cacheMisses.add(nanoseconds) } }
}

/// The statistics of every metrics slot, for as long as the process lives.
final class ExecutionLedger: Sendable {
    private let slots = Mutex<[Int: ExecutionStatistics]>([:])

    func statistics(slot: Int) -> ExecutionStatistics {
        slots.withLock { slots in
            if let known = slots[slot] { return known }
            let made = ExecutionStatistics()
            slots[slot] = made
            return made
        }
    }

    var all: [(slot: Int, counts: ExecutionStatistics.Counts)] {
        slots.withLock { $0.map { ($0.key, $0.value.now) } }.sorted { $0.slot < $1.slot }
    }
}
