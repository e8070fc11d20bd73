public import AerieCore
import CLMDB
import Crypto
public import Features
import Synchronization

/// The online store in this process: one memory-mapped LMDB file.
///
/// A read is a snapshot and costs a microsecond or so; it takes no lock that a writer holds. Writers that come at the
/// same time share one commit, which is on the disk when they return.
public final class LMDBOnlineStore: ImmediateOnlineStore {
    private let environment: LMDBEnvironment
    private let commits: LMDBGroupCommit

    /// The longest key that LMDB takes as it is built by default.
    static let keyLimit = 511

    /// - Parameters:
    ///   - path: the file, made if it is not there; its lock stands beside it.
    ///   - mapSize: the greatest size in bytes. Costs address space only.
    public init(path: String, mapSize: Int = 1 << 38) throws(AerieError) {
        environment = try LMDBEnvironment(path: path, mapSize: mapSize, name: "the online feature store")
        commits = LMDBGroupCommit(environment)
    }

    public func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] { try readNow(reads) }

    public func readNow(_ reads: [OnlineRead]) throws(AerieError) -> [[OnlineRecord?]] {
        try environment.read { transaction throws(AerieError) in
            var answer: [[OnlineRecord?]] = []
            answer.reserveCapacity(reads.count)
            for read in reads {
                let prefix = read.view.path
                let fields = read.features.map { read.view.fields[$0] }
                var records: [OnlineRecord?] = []
                records.reserveCapacity(read.keys.count)
                for key in read.keys {
                    records.append(
                        try Self.find(Self.name(prefix, key), transaction, environment) { row throws(AerieError) in
                            try row.record(fields)
                        })
                }
                answer.append(records)
            }
            return answer
        }
    }

    public func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        let prefix = view.path
        return try await commits.run { transaction, environment throws(AerieError) in
            var written = 0
            var writer = OnlineRecordWriter()
            for row in rows {
                let name = Self.name(prefix, row.key)
                let keepsKey = name.count != prefix.count + row.key.count
                let isNewer = try Self.find(name, transaction, environment) { old throws(AerieError) in
                    if (old.time, old.created) > (row.time, row.created) { return false }
                    try writer.encode(row, fields: view.fields, old: old, keepsKey: keepsKey)
                    return true
                }
                if isNewer == false { continue }
                if isNewer == nil { try writer.encode(row, fields: view.fields, old: nil, keepsKey: keepsKey) }
                let code = clmdb_put(
                    transaction, environment.database, name, name.count, writer.bytes, writer.bytes.count)
                try environment.check(code, "write to")
                written += 1
            }
            return written
        }
    }

    /// In steps, each a snapshot: the room of what is written over meanwhile is free before the scan's end.
    public func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) {
        let prefix = view.path
        let fields = features.map { view.fields[$0] }
        var place: [UInt8]? = prefix
        while let start = place {
            if Task.isCancelled { throw AerieError(.cancelled, "the search was cancelled") }
            place = try environment.read { transaction throws(AerieError) in
                try LMDBEntries(transaction, environment).scan(prefix, from: start, limit: Self.step) {
                    key, value throws(AerieError) in
                    try Self.show(UnsafeRawBufferPointer(rebasing: key[prefix.count...]), value, fields, body)
                }
            }
            await Task.yield()
        }
    }

    public func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int {
        try await remove(view) { $0.time < time }
    }

    public func drop(_ view: OnlineView) async throws(AerieError) -> Int { try await remove(view) { _ in true } }

    public func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try environment.usage() }

    /// Reads in place, for one thread.
    public func reader() -> any OnlineReader { LMDBReader(environment) }

    // MARK: Inside

    /// The key in the file. An entity whose own key is too long stands under its hash.
    static func name(_ prefix: [UInt8], _ key: [UInt8]) -> [UInt8] {
        prefix.count + key.count <= keyLimit ? prefix + key : prefix + [hashed] + Array(SHA256.hash(data: key))
    }

    /// The first byte of a hash in the place of a key. No key begins so, as none has so many names.
    private static let hashed: UInt8 = 0xff

    /// - Parameter name: what stands behind the view's path in the row's name.
    private static func show(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ fields: [UInt32],
        _ body: (ScannedRow) throws(AerieError) -> Void
    ) throws(AerieError) {
        let record = try OnlineRecordCoding(value)
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        var row = ScannedRow(key: name, time: record.time, values: Array(repeating: nothing, count: fields.count))
        let end = try record.forEach(of: fields) { place, value in row.values[place] = value }
        if name.first == hashed {
            row.key = UnsafeRawBufferPointer(rebasing: value[end...])
            guard !row.key.isEmpty else {
                throw AerieError(
                    .failedPrecondition,
                    "an entity of the view has a key of more than \(keyLimit) bytes with its view's name, which an earlier "
                        + "version did not keep; write or materialize the view's rows again")
            }
        }
        try body(row)
    }

    private static func find<Result>(
        _ name: [UInt8], _ transaction: clmdb_txn, _ environment: LMDBEnvironment,
        _ body: (OnlineRecordCoding) throws(AerieError) -> Result
    ) throws(AerieError) -> Result? {
        var data: UnsafeRawPointer?
        var size = 0
        let code = clmdb_get(transaction, environment.database, name, name.count, &data, &size)
        if code == CLMDB_NOTFOUND { return nil }
        try environment.check(code, "read")
        return try body(try OnlineRecordCoding(UnsafeRawBufferPointer(start: data, count: size)))
    }

    /// How many rows are looked at in one transaction.
    private static let step = 10_000

    /// In steps, so that writers come in between.
    private func remove(
        _ view: OnlineView, where isOld: @escaping @Sendable (OnlineRecordCoding) -> Bool
    ) async throws(AerieError) -> Int {
        let prefix = view.path
        let state = SweepState(at: prefix)
        var removed = 0
        while state.place.withLock({ $0 }) != nil {
            removed += try await commits.run { transaction, environment throws(AerieError) in
                try Self.removeSome(prefix, state, transaction, environment, isOld)
            }
        }
        return removed
    }

    /// Where a sweep goes on; `nil` at its end.
    private final class SweepState: Sendable {
        let place: Mutex<[UInt8]?>
        init(at start: [UInt8]) { place = Mutex(start) }
    }

    private static func removeSome(
        _ prefix: [UInt8], _ state: SweepState, _ transaction: clmdb_txn, _ environment: LMDBEnvironment,
        _ isOld: (OnlineRecordCoding) -> Bool
    ) throws(AerieError) -> Int {
        guard let start = state.place.withLock({ $0 }) else { return 0 }
        var cursor: clmdb_cursor?
        try environment.check(clmdb_cursor_open(transaction, environment.database, &cursor), "read")
        defer { clmdb_cursor_close(cursor) }
        var (key, data): (UnsafeRawPointer?, UnsafeRawPointer?)
        var (keySize, size) = (0, 0)
        var removed = 0
        var code = clmdb_cursor_seek(cursor, start, start.count, &key, &keySize, &data, &size)
        for _ in 0..<step {
            if code == CLMDB_NOTFOUND { break }
            try environment.check(code, "read")
            let name = UnsafeRawBufferPointer(start: key, count: keySize)
            guard name.starts(with: prefix) else {
                state.place.withLock { $0 = nil }
                return removed
            }
            if isOld(try OnlineRecordCoding(UnsafeRawBufferPointer(start: data, count: size))) {
                try environment.check(clmdb_cursor_delete(cursor), "write to")
                removed += 1
            }
            code = clmdb_cursor_next(cursor, &key, &keySize, &data, &size)
        }
        let next = code == 0 ? Array(UnsafeRawBufferPointer(start: key, count: keySize)) : nil
        state.place.withLock { $0 = next }
        return removed
    }
}
