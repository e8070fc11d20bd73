import AerieCore
import AerieTelemetry
import Features
import NIOCore
import Synchronization

/// How often this process has written to the server: counted before a write is acknowledged.
final class WriteCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .acquiring) }
    func increment() { count.add(1, ordering: .releasing) }
}

/// Reads rows of one server as `RedisReader` does, and keeps them until the server says that they have changed.
///
/// What this process has written before a read is seen by it: after a write the server is asked again until it has
/// answered a question that was sent behind the write, before which it says what the write has changed. What others
/// have written is seen as soon as the server's message is here; a server that hangs, or a connection that is cut
/// without a word, costs what is kept at the latest when the time limit of reads is over. `@unchecked Sendable`:
/// touched on its event loop only.
final class RedisCachingReader: OnlineReader, RedisKeyObserver, @unchecked Sendable {
    private let link: RedisReadLink
    private let cache: RowCache
    private let writes: WriteCount
    private let counters: RowCacheCounters
    private var commands = CommandCache()
    /// Writes whose changes have been told.
    private var toldWrites = 0
    /// For each row of the present read what is kept of it.
    private var hits: [RowCache.Row?] = []
    /// The rows' keys on the server, one behind the other, and the end of each.
    private var names: [UInt8] = []
    private var ends: [Int] = []
    /// Reads that are over, to be used again.
    private var spare: [RedisCachingRead] = []

    private static let spareLimit = 256

    init(
        on eventLoop: any EventLoop, address: RedisAddress, timeout: TimeAmount, cacheBytes: Int, writes: WriteCount,
        counters: RowCacheCounters
    ) {
        link = RedisReadLink(on: eventLoop, address: address, timeout: timeout)
        cache = RowCache(bytes: cacheBytes)
        self.writes = writes
        self.counters = counters
        link.observer = self
    }

    func read(_ lookups: OnlineLookups) {
        guard let layout = lookups.layout, !lookups.rows.isEmpty else { return lookups.finished(nil) }
        if let problem = link.problem { return lookups.finished(problem) }
        let parts = commands.find(layout)
        let written = writes.value
        let misses = find(lookups, parts, isCurrent: link.isTracking && written == toldWrites)
        counters.record(hits: lookups.rows.count - misses, misses: misses)
        if misses == 0 {
            for row in lookups.rows.indices { if let kept = hits[row] { lookups.take(row, from: kept) } }
            return lookups.finished(nil)
        }
        let read = spare.popLast() ?? RedisCachingRead(self)
        read.begin(lookups, hits, written: written)
        for row in read.rows { lookups.withKey(row) { link.write(parts[lookups.rows[row].part], $0) } }
        link.expect(misses, for: read)
    }

    /// Looks for what is kept of the rows.
    /// - Returns: how many are not kept.
    private func find(_ lookups: OnlineLookups, _ parts: [ReadCommand], isCurrent: Bool) -> Int {
        hits.removeAll(keepingCapacity: true)
        guard isCurrent else {
            hits.append(contentsOf: repeatElement(nil, count: lookups.rows.count))
            return lookups.rows.count
        }
        names.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        for row in lookups.rows.indices {
            appendName(row, lookups, parts)
            ends.append(names.count)
        }
        return names.withUnsafeBytes { names in
            cache.bring(names, ends: ends)
            var (start, misses) = (0, 0)
            for row in lookups.rows.indices {
                let key = UnsafeRawBufferPointer(rebasing: names[start..<ends[row]])
                let kept = cache.find(row, key, parts[lookups.rows[row].part].number)
                if kept == nil { misses += 1 }
                hits.append(kept)
                start = ends[row]
            }
            return misses
        }
    }

    private func appendName(_ row: Int, _ lookups: OnlineLookups, _ parts: [ReadCommand]) {
        lookups.withKey(row) { names.append(contentsOf: $0) }
        names.append(contentsOf: parts[lookups.rows[row].part].project)
    }

    /// The server has answered what was not kept, and told of everything that was written before it was asked.
    fileprivate func keep(_ read: RedisCachingRead, _ lookups: OnlineLookups, written: Int) {
        toldWrites = max(toldWrites, written)
        guard link.isTracking, let layout = lookups.layout else { return }
        let parts = commands.find(layout)
        let before = cache.evicted
        for place in read.rows {
            let row = lookups.rows[place]
            names.removeAll(keepingCapacity: true)
            appendName(place, lookups, parts)
            names.withUnsafeBytes { key in
                cache.keep(
                    key, parts[row.part].number, isFound: row.isFound, time: row.time,
                    valueCount: layout.parts[row.part].fields.count
                ) { lookups.value(part: row.part, entity: place - row.part * lookups.count, field: $0) }
            }
        }
        counters.record(evicted: cache.evicted - before, bytes: cache.usedBytes)
    }

    fileprivate func end(_ read: RedisCachingRead) { if spare.count < Self.spareLimit { spare.append(read) } }

    // MARK: What the server says

    func changed(_ key: UnsafeRawBufferPointer) {
        cache.remove(key)
        counters.recordChange(bytes: cache.usedBytes)
    }

    func changedAll() {
        cache.removeAll()
        counters.recordChange(bytes: 0)
    }
}

/// One answer's rows of which some are not kept. Used again for the next; touched on its event loop only.
private final class RedisCachingRead: RedisReplyTaker {
    private unowned let reader: RedisCachingReader
    private var lookups: OnlineLookups?
    private var written = 0
    /// Those that the server is asked for.
    private(set) var rows: [Int] = []
    /// The others, and where they begin in `words`: the cache may give them up before the answer is here.
    private var kept: [(row: Int, start: Int)] = []
    private var words: [UInt64] = []

    init(_ reader: RedisCachingReader) { self.reader = reader }

    func begin(_ lookups: OnlineLookups, _ hits: [RowCache.Row?], written: Int) {
        self.lookups = lookups
        self.written = written
        rows.removeAll(keepingCapacity: true)
        kept.removeAll(keepingCapacity: true)
        words.removeAll(keepingCapacity: true)
        for (row, hit) in hits.enumerated() {
            if let hit {
                kept.append((row, words.count))
                words.append(contentsOf: hit.words)
            } else {
                rows.append(row)
            }
        }
    }

    func take(_ replies: UnsafeRawBufferPointer, from link: RedisReadLink) {
        guard let lookups else { return }
        var replies = RedisReplies(replies)
        var failure: AerieError?
        do throws(AerieError) {
            for row in rows { try lookups.take(row, from: &replies) }
            reader.keep(self, lookups, written: written)
        } catch { failure = error }
        words.withUnsafeBufferPointer { words in
            if let start = words.baseAddress {
                for one in kept { lookups.take(one.row, from: RowCache.Row(words: start + one.start)) }
            }
            // Only now: the places are valid until the answer is written.
            end(failure)
        }
    }

    func fail(_ error: AerieError, from link: RedisReadLink) { end(error) }

    private func end(_ failure: AerieError?) {
        lookups?.finished(failure)
        lookups = nil
        reader.end(self)
    }
}

extension OnlineLookups {
    /// A row's values are those that are kept.
    func take(_ row: Int, from kept: RowCache.Row) {
        guard kept.isFound else { return }
        found(row, time: kept.time)
        kept.forEach { field, value in if !value.isEmpty { place(row, field, value) } }
    }
}
