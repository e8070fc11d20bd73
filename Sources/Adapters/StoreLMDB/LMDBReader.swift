import AerieCore
import CLMDB
import Features

/// Reads rows where they lie in the mapped file: with a transaction of its own, so that no lock is taken, and nothing
/// copied or allocated. One thread at a time.
final class LMDBReader: OnlineReader {
    private let environment: LMDBEnvironment
    private var transaction: clmdb_txn?

    init(_ environment: LMDBEnvironment) { self.environment = environment }

    deinit { if let transaction { clmdb_abort(transaction) } }

    func read(_ lookups: OnlineLookups) {
        do throws(AerieError) {
            try take(lookups)
            lookups.finished(nil)
        } catch {
            lookups.finished(error)
        }
        if let transaction { clmdb_reset(transaction) }
    }

    private func take(_ lookups: OnlineLookups) throws(AerieError) {
        if let transaction {
            try environment.check(clmdb_renew(transaction), "read")
        } else {
            try environment.check(clmdb_begin(environment.environment, 1, &transaction), "read")
        }
        guard let transaction, let layout = lookups.layout else { return }
        var row = 0
        for part in layout.parts {
            for _ in 0..<lookups.count {
                try find(row, part, transaction, lookups)
                row += 1
            }
        }
    }

    private func find(
        _ row: Int, _ part: OnlineLayout.Part, _ transaction: clmdb_txn, _ lookups: OnlineLookups
    ) throws(AerieError) {
        let (code, bytes) = lookups.withKey(row) { key in
            part.view.path.count + key.count <= LMDBOnlineStore.keyLimit
                ? get(part.view.path, key, transaction)
                : get(LMDBOnlineStore.name(part.view.path, Array(key)), nil, transaction)
        }
        if code == CLMDB_NOTFOUND { return }
        try environment.check(code, "read")
        let record = try OnlineRecordCoding(bytes)
        lookups.found(row, time: record.time)
        try record.place(part.fields, row, lookups)
    }

    /// The value of a key that is put together on the stack.
    private func get(
        _ prefix: [UInt8], _ key: UnsafeRawBufferPointer?, _ transaction: clmdb_txn
    ) -> (Int32, UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(byteCount: LMDBOnlineStore.keyLimit, alignment: 8) { room in
            prefix.withUnsafeBytes { room.copyMemory(from: $0) }
            if let key, !key.isEmpty {
                UnsafeMutableRawBufferPointer(rebasing: room[prefix.count...]).copyMemory(from: key)
            }
            var data: UnsafeRawPointer?
            var size = 0
            let code = clmdb_get(
                transaction, environment.database, room.baseAddress, prefix.count + (key?.count ?? 0), &data, &size)
            return (code, UnsafeRawBufferPointer(start: data, count: code == 0 ? size : 0))
        }
    }
}

extension OnlineRecordCoding {
    /// Tells where the wanted fields lie. Most often they stand in the order in which they are wanted.
    func place(_ wanted: [UInt32], _ row: Int, _ lookups: OnlineLookups) throws(AerieError) {
        var next = 0
        try forEach { field, value throws(AerieError) in
            if next < wanted.count, wanted[next] == field {
                lookups.place(row, next, value)
                next += 1
                return
            }
            for (index, candidate) in wanted.enumerated() where candidate == field {
                lookups.place(row, index, value)
                next = index + 1
            }
        }
    }
}
