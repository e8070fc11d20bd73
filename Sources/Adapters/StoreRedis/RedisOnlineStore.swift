public import AerieCore
public import AerieTelemetry
import AerieWire
import Crypto
public import Features
public import NIOCore
import Synchronization

/// The online store in Redis or a Redis cluster, in Feast's layout: what either writes, the other reads.
///
/// A hash for each entity and project, under the entity's key followed by the project; in it a field of four bytes
/// for each feature (murmur3 of `view:feature`) with a protobuf value, and `_ts:view` with the time. Beside these Aerie
/// keeps `_created:view`, which Feast passes over. All entities of a read go out together, in one pipeline for each
/// node; a row is compared and written in one step on the server (see `RedisRowWriter`). A batch is not one
/// transaction: after an error some of its rows may be written, and writing it again is safe.
public final class RedisOnlineStore: OnlineStore {
    let client: RedisClient
    private let writer: RedisRowWriter
    /// The only server; `nil` for a cluster.
    private let server: RedisAddress?
    private let timeout: TimeAmount
    private let cache: Cache?
    private let writes = WriteCount()
    /// By event loop, of those that keep what they read.
    private let readers = Mutex<[ObjectIdentifier: RedisCachingReader]>([:])

    /// How readers keep what they have read from a single server until that says that it has changed. A cluster's keep
    /// nothing.
    public struct Cache: Sendable {
        /// The memory of each event loop.
        public var bytes: Int
        public var metrics: MetricsRegistry

        public init(bytes: Int, metrics: MetricsRegistry) {
            self.bytes = bytes
            self.metrics = metrics
        }
    }

    /// Connects at the first use.
    /// - Parameters:
    ///   - url: see `RedisAddress.parse`.
    ///   - timeout: how long a reply may take, in milliseconds.
    ///   - patience: how long a command is tried again while a server cannot be reached or a cluster elects a master.
    ///   - cache: `nil` for readers that ask the server for every row.
    public init(
        url: String, timeout: Int64 = 2000, patience: Duration = .seconds(5), cache: Cache? = nil
    ) throws(AerieError) {
        let (addresses, isCluster) = try RedisAddress.parse(url)
        client = RedisClient(addresses, isCluster: isCluster, timeout: .milliseconds(timeout), patience: patience)
        writer = RedisRowWriter(client, isCluster: isCluster)
        server = isCluster ? nil : addresses[0]
        self.timeout = .milliseconds(timeout)
        self.cache = cache
    }

    /// Reads in place, for one event loop. What keeps rows is the same for all who ask on one loop.
    public func reader(on eventLoop: any EventLoop) -> any OnlineReader {
        guard let server else { return RedisClusterReader(on: eventLoop, client: client, timeout: timeout) }
        guard let cache else { return RedisReader(on: eventLoop, address: server, timeout: timeout) }
        return readers.withLock { readers in
            if let known = readers[ObjectIdentifier(eventLoop)] { return known }
            let counters = RowCacheCounters(cache.metrics, loop: readers.count)
            let reader = RedisCachingReader(
                on: eventLoop, address: server, timeout: timeout, cacheBytes: cache.bytes, writes: writes,
                counters: counters)
            readers[ObjectIdentifier(eventLoop)] = reader
            return reader
        }
    }

    public func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] {
        if server != nil { return try await readFromServer(reads) }
        var commands: [(key: [UInt8], command: RedisCommand)] = []
        commands.reserveCapacity(reads.reduce(0) { $0 + $1.keys.count })
        for read in reads {
            let command = ReadCommand(read.view, fields: read.features.map { read.view.fields[$0] })
            for key in read.keys {
                commands.append((Self.name(read.view, key), key.withUnsafeBytes { RedisCommand(command, $0) }))
            }
        }
        let replies = try await client.send(commands)
        var answer: [[OnlineRecord?]] = []
        var at = 0
        for read in reads {
            var records: [OnlineRecord?] = []
            records.reserveCapacity(read.keys.count)
            for _ in read.keys {
                records.append(try Self.record(replies[at], count: read.features.count))
                at += 1
            }
            answer.append(records)
        }
        return answer
    }

    /// The same with one server, whose replies are read where they lie.
    private func readFromServer(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] {
        var answer: [[OnlineRecord?]] = []
        for read in reads {
            let command = ReadCommand(read.view, fields: read.features.map { read.view.fields[$0] })
            var records: [OnlineRecord?] = []
            records.reserveCapacity(read.keys.count)
            for start in stride(from: 0, to: read.keys.count, by: Self.readBatch) {
                let keys = read.keys[start..<min(start + Self.readBatch, read.keys.count)]
                var bytes = ByteBufferAllocator().buffer(capacity: keys.count * (command.tail.count + 64))
                for key in keys { key.withUnsafeBytes { command.write($0, into: &bytes) } }
                let replies = try await client.exchange(bytes, replies: keys.count)
                try Self.append(replies, keys.count, fields: read.features.count, to: &records)
            }
            answer.append(records)
        }
        return answer
    }

    /// Entities that are asked for in one go.
    private static let readBatch = 2000

    private static func append(
        _ replies: ByteBuffer, _ count: Int, fields: Int, to records: inout [OnlineRecord?]
    ) throws(AerieError) {
        let failure = replies.withUnsafeReadableBytes { bytes -> AerieError? in
            var reader = RedisReplies(bytes)
            do throws(AerieError) {
                for _ in 0..<count {
                    var values = [FeatureValue](repeating: .null, count: fields)
                    let time = try reader.row(fields) { field, value throws(AerieError) in
                        values[field] = try FeatureValue(protobuf: value)
                    }
                    records.append(time.map { OnlineRecord(time: $0, values: values) })
                }
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    public func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        defer { writes.increment() }
        return try await writer.write(view, rows)
    }

    public func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int {
        try await remove(view) { $0 < time }
    }

    public func drop(_ view: OnlineView) async throws(AerieError) -> Int { try await remove(view) { _ in true } }

    /// The memory of all servers and the keys in them, whosoever they are.
    public func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) {
        var total: (bytes: Int64, rows: Int64) = (0, 0)
        for address in try await client.masters() {
            let info = try await client.send(RedisCommand("INFO", "memory"), to: address).text ?? ""
            for line in info.split(whereSeparator: \.isNewline) where line.hasPrefix("used_memory:") {
                total.bytes += Int64(line.dropFirst(12)) ?? 0
            }
            total.rows += try await client.send(RedisCommand("DBSIZE"), to: address).integer ?? 0
        }
        return total
    }

    // MARK: Layout

    static func name(_ view: OnlineView, _ key: [UInt8]) -> [UInt8] { key + Array(view.project.utf8) }

    static func field(_ hash: UInt32) -> [UInt8] { withUnsafeBytes(of: hash.littleEndian) { Array($0) } }

    static func timeField(_ view: OnlineView) -> [UInt8] { Array("_ts:\(view.name)".utf8) }

    static func createdField(_ view: OnlineView) -> [UInt8] { Array("_created:\(view.name)".utf8) }

    static func refused(_ words: String) -> AerieError {
        let isFull = words.hasPrefix("OOM")
        return AerieError(isFull ? .resourceExhausted : .unavailable, "Redis refuses: \(words)")
    }

    private static func record(_ reply: RESPValue, count: Int) throws(AerieError) -> OnlineRecord? {
        if let words = reply.error { throw refused(words) }
        guard let fields = reply.array, fields.count == count + 1 else {
            throw AerieError(.dataLoss, "Redis answers a read with something else")
        }
        guard fields.contains(where: { $0.bytes != nil }) else { return nil }
        var values: [FeatureValue] = []
        values.reserveCapacity(count)
        for field in fields.prefix(count) {
            guard let bytes = field.bytes else {
                values.append(.null)
                continue
            }
            let value: Result<FeatureValue, AerieError> = bytes.withUnsafeBytes { bytes in
                do throws(AerieError) { return .success(try FeatureValue(protobuf: bytes)) } catch {
                    return .failure(error)
                }
            }
            values.append(try value.get())
        }
        return OnlineRecord(time: try fields[count].bytes.map(RowScript.time) ?? 0, values: values)
    }

    // MARK: Removing

    /// Takes the view's fields out of every entity that is old.
    private func remove(
        _ view: OnlineView, where isOld: (Int64) -> Bool
    ) async throws(AerieError) -> Int {
        defer { writes.increment() }
        let fields = view.fields.map(Self.field) + [Self.timeField(view), Self.createdField(view)]
        var removed = 0
        try await forEachKey(of: view.project) { keys throws(AerieError) in
            let times = try await client.send(
                keys.map { ($0, RedisCommand([Array("HGET".utf8), $0, Self.timeField(view)])) })
            var old: [[UInt8]] = []
            for (key, reply) in zip(keys, times) {
                if let bytes = reply.bytes, isOld(try RowScript.time(bytes)) { old.append(key) }
            }
            _ = try await client.send(old.map { ($0, RedisCommand([Array("HDEL".utf8), $0] + fields)) })
            removed += old.count
        }
        return removed
    }
}
