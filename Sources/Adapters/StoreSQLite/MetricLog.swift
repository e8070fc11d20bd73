import AerieCore
import Experiments
import Foundation
import GRDB
import Synchronization

/// The metrics of all runs: written as they come, ordered when somebody looks.
///
/// A call's metrics are one row of `metric_batches`, whatever their number, in the transaction that acknowledges them.
/// Folding moves waiting batches, many calls at once, to where they are read: each metric's history in
/// `metric_chunks`, some hundred points a row, and its latest value in `latest_metrics`. Whatever reads metrics folds
/// first, so that it sees everything that was acknowledged; folding happens besides once enough has gathered, and a
/// moment after the last call. What waits when the process ends is folded by the next one.
final class MetricLog: Sendable {
    private struct Waiting {
        /// Bytes and batches added since the start, and how much of them a committed fold has seen. Both only grow, so
        /// that folds that overlap, of readers who come together, take nothing away twice.
        var addedBytes = 0
        var foldedBytes = 0
        var added = 0
        var isAny = true
        var isFolding = false
        var isAlarmSet = false
    }

    private let database: MetadataDatabase
    private let waiting = Mutex(Waiting())

    /// Bytes of batches that are folded without waiting for a reader: some 150,000 points.
    private static let foldBytes = 4 << 20

    init(_ database: MetadataDatabase) { self.database = database }

    /// Bytes of batches that no fold has seen.
    var waitingBytes: Int { waiting.withLock { $0.addedBytes - $0.foldedBytes } }

    /// Adds the metrics of one run, inside the transaction that acknowledges them.
    func append(_ db: Database, owner: Int64, _ metrics: [Metric]) throws {
        guard !metrics.isEmpty else { return }
        let bytes = MetricCoding.batch(metrics)
        let insert = try db.cachedStatement(sql: "INSERT INTO metric_batches (owner, body) VALUES (?, ?)")
        try insert.execute(arguments: [owner, Data(bytes)])
        waiting.withLock {
            $0.isAny = true
            $0.added += 1
            $0.addedBytes += bytes.count
        }
    }

    /// To be called after a write: folds if enough has gathered, and sets an alarm if nobody has.
    func wrote() {
        let (isFull, needsAlarm) = waiting.withLock { waiting in
            let isFull = waiting.addedBytes - waiting.foldedBytes >= Self.foldBytes && !waiting.isFolding
            if isFull { waiting.isFolding = true }
            let needsAlarm = waiting.isAny && !waiting.isAlarmSet
            if needsAlarm { waiting.isAlarmSet = true }
            return (isFull, needsAlarm)
        }
        if isFull {
            Task {
                try? await fold()
                waiting.withLock { $0.isFolding = false }
            }
        }
        if needsAlarm {
            Task { [weak self] in
                try? await Task.sleep(for: .seconds(2))
                guard let self else { return }
                self.waiting.withLock { $0.isAlarmSet = false }
                try? await self.settle()
            }
        }
    }

    /// Returns once everything that was acknowledged before can be read. Costs nothing if nothing waits.
    func settle() async throws(AerieError) {
        if waiting.withLock({ $0.isAny }) { try await fold() }
    }

    /// Reads from a snapshot that has everything that was acknowledged before. If nothing waits, it costs a read.
    ///
    /// While the disk takes no more, what waits is folded in a transaction that is undone after the read: dearer, and
    /// one at a time, but complete.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(AerieError) -> Value {
        do throws(AerieError) { try await settle() } catch {
            guard error.code == .resourceExhausted || error.code == .unavailable else { throw error }
            return try await database.rehearse { db in
                try MetricFold.run(db)
                return try body(db)
            }
        }
        return try await database.read(body)
    }

    private func fold() async throws(AerieError) {
        let (added, bytes) = try await database.write { [self] db in
            try MetricFold.run(db)
            // Writes are one after the other: this is what the fold has seen.
            return waiting.withLock { ($0.added, $0.addedBytes) }
        }
        // Only now is it committed, and to be seen by whoever reads from here on.
        waiting.withLock {
            $0.foldedBytes = max($0.foldedBytes, bytes)
            if $0.added == added { $0.isAny = false }
        }
    }
}
