import AerieCore
import Features
import NIOCore
import Synchronization

/// Writes rows so that the newest of an entity stays, whoever else writes.
///
/// Of many rows each is first taken for that of an entity that nobody knows: a whole hash in one word, which the server
/// takes over as it is unless there is one (`RESTORE` without `REPLACE`, a step of its own). Those that are known, and
/// all where most are or where only few are written, are compared and written by a script (`RowScript`), at several
/// times the cost for the server.
final class RedisRowWriter: Sendable {
    /// Rows that are laid out while as many are on their way, so that neither side holds a whole materialization.
    private static let partSize = 4096
    /// Of fewer rows an additional round for those that are known would cost more than it saves.
    private static let fewRows = 64

    private let client: RedisClient
    private let isCluster: Bool
    /// False once a server has refused a hash in one word: it is older than Redis 7, or this user may not.
    private let takesHashes = Atomic(true)

    init(_ client: RedisClient, isCluster: Bool) {
        self.client = client
        self.isCluster = isCluster
    }

    /// - Returns: how many rows were newer than what was there, or equal.
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        let parts = stride(from: 0, to: rows.count, by: Self.partSize).map {
            rows[$0..<min($0 + Self.partSize, rows.count)]
        }
        guard let first = parts.first else { return 0 }
        var areNew = rows.count >= Self.fewRows
        var written = 0
        var next = batch(first, view, areNew: areNew)
        for place in parts.indices {
            let present = next
            // The server works on a part while the one after it is laid out.
            async let answer = carryOut(present, view)
            if place + 1 < parts.count { next = batch(parts[place + 1], view, areNew: areNew) }
            let outcome = try await answer.get()
            written += outcome.written
            areNew = areNew && outcome.known * 2 <= parts[place].count
        }
        return written
    }

    /// A command, and the rows that it writes.
    private struct Call: Sendable {
        let rows: ArraySlice<OnlineRow>
        let key: [UInt8]
        let command: RedisCommand

        /// By the script.
        init(_ rows: ArraySlice<OnlineRow>, _ view: OnlineView, isText: Bool = false) {
            self.rows = rows
            key = RedisOnlineStore.name(view, rows[rows.startIndex].key)
            command = RowScript.command(rows, view, isText: isText)
        }

        /// Of one entity, as a hash in one word.
        init(_ row: ArraySlice<OnlineRow>, _ view: OnlineView, hash: [UInt8]) {
            rows = row
            key = RedisOnlineStore.name(view, row[row.startIndex].key)
            var command = RedisCommand(count: 4, capacity: 48 + key.count + hash.count)
            command.append("RESTORE".utf8)
            command.append(key)
            command.append(number: 0)
            command.append(hash)
            self.command = command
        }
    }

    private struct Batch: Sendable {
        /// Entities that are taken for new.
        var hashes: [Call] = []
        var scripts: [Call] = []
    }

    private func batch(_ rows: ArraySlice<OnlineRow>, _ view: OnlineView, areNew: Bool) -> Batch {
        guard areNew, takesHashes.load(ordering: .relaxed), var dump = HashDump(view) else {
            return Batch(scripts: scripts(rows, view))
        }
        var batch = Batch()
        batch.hashes.reserveCapacity(rows.count)
        var others: [OnlineRow] = []
        for place in rows.indices {
            if dump.encode(rows[place]) {
                batch.hashes.append(Call(rows[place...place], view, hash: dump.bytes))
            } else {
                others.append(rows[place])
            }
        }
        batch.scripts = scripts(others[...], view)
        return batch
    }

    private func scripts(_ rows: ArraySlice<OnlineRow>, _ view: OnlineView) -> [Call] {
        // In a cluster each key has a place of its own; a single server takes many rows with one call.
        let size = isCluster ? 1 : 64
        return stride(from: rows.startIndex, to: rows.endIndex, by: size).map {
            Call(rows[$0..<min($0 + size, rows.endIndex)], view)
        }
    }

    /// - Returns: how many rows were written, and how many were taken for new and are not.
    private func carryOut(_ batch: Batch, _ view: OnlineView) async -> Result<(written: Int, known: Int), AerieError> {
        do throws(AerieError) {
            let known = try await restore(batch.hashes)
            let written = try await run(batch.scripts + scripts(known[...], view), view)
            return .success((written: batch.hashes.count - known.count + written, known: known.count))
        } catch { return .failure(error) }
    }

    /// - Returns: the rows that are not written, as there is a hash already or the server does not take them so.
    private func restore(_ hashes: [Call]) async throws(AerieError) -> [OnlineRow] {
        if hashes.isEmpty { return [] }
        var left: [OnlineRow] = []
        let replies = try await client.send(hashes.map { (key: $0.key, command: $0.command) })
        for (call, reply) in zip(hashes, replies) {
            guard let words = reply.error else { continue }
            if words.hasPrefix("ERR") || words.hasPrefix("NOPERM") { takesHashes.store(false, ordering: .relaxed) }
            left += call.rows
        }
        return left
    }

    /// - Returns: how many rows were written.
    private func run(_ scripts: [Call], _ view: OnlineView) async throws(AerieError) -> Int {
        var replies = try await client.send(scripts.map { (key: $0.key, command: $0.command) })
        let unknown = replies.indices.filter { replies[$0].error?.hasPrefix("NOSCRIPT") == true }
        if !unknown.isEmpty {
            // A server that has just started has forgotten the script; the text teaches it.
            let texts = unknown.map { Call(scripts[$0].rows, view, isText: true) }
            let again = try await client.send(texts.map { (key: $0.key, command: $0.command) })
            for (index, reply) in zip(unknown, again) { replies[index] = reply }
        }
        var written = 0
        for reply in replies {
            if let words = reply.error { throw RedisOnlineStore.refused(words) }
            written += Int(reply.integer ?? 0)
        }
        return written
    }
}
