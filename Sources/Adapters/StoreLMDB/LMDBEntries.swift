import AerieCore
import CLMDB

/// The entries of an LMDB file within one transaction. Bytes that are lent are valid until the next write.
struct LMDBEntries {
    private let transaction: clmdb_txn
    private let environment: LMDBEnvironment

    init(_ transaction: clmdb_txn, _ environment: LMDBEnvironment) {
        self.transaction = transaction
        self.environment = environment
    }

    func find(_ key: [UInt8]) throws(AerieError) -> UnsafeRawBufferPointer? {
        var data: UnsafeRawPointer?
        var size = 0
        let code = clmdb_get(transaction, environment.database, key, key.count, &data, &size)
        if code == CLMDB_NOTFOUND { return nil }
        try environment.check(code, "read")
        return UnsafeRawBufferPointer(start: data, count: size)
    }

    func put(_ key: [UInt8], _ value: [UInt8]) throws(AerieError) {
        try environment.check(
            clmdb_put(transaction, environment.database, key, key.count, value, value.count), "write to")
    }

    /// Every entry whose key begins with `prefix`, in order, until `body` says false.
    func scan(
        _ prefix: [UInt8], _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(AerieError) {
        try walk(from: prefix) { key, value, _ throws(AerieError) in key.starts(with: prefix) && body(key, value) }
    }

    /// Up to `limit` entries whose keys begin with `prefix`, in order, beginning at the key `start`.
    /// - Returns: where to go on; `nil` at the end.
    func scan(
        _ prefix: [UInt8], from start: [UInt8], limit: Int,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(AerieError) -> Void
    ) throws(AerieError) -> [UInt8]? {
        var looked = 0
        var next: [UInt8]?
        try walk(from: start) { key, value, _ throws(AerieError) in
            guard key.starts(with: prefix) else { return false }
            if looked == limit {
                next = Array(key)
                return false
            }
            looked += 1
            try body(key, value)
            return true
        }
        return next
    }

    /// Removes entries below `prefix` that fit, beginning at the key `start`.
    /// - Parameters:
    ///   - limit: how many are looked at.
    ///   - stopsAtFirstKept: for entries in the order of what they are removed by.
    /// - Returns: how many went, and where to go on; `nil` at the end.
    func remove(
        _ prefix: [UInt8], from start: [UInt8], limit: Int, stopsAtFirstKept: Bool = false,
        where fits: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(AerieError) -> (removed: Int, next: [UInt8]?) {
        var (looked, removed) = (0, 0)
        var next: [UInt8]?
        try walk(from: start) { key, value, cursor throws(AerieError) in
            guard key.starts(with: prefix) else { return false }
            if looked == limit {
                next = Array(key)
                return false
            }
            looked += 1
            guard fits(key, value) else { return !stopsAtFirstKept }
            try environment.check(clmdb_cursor_delete(cursor), "write to")
            removed += 1
            return true
        }
        return (removed, next)
    }

    func remove(
        _ prefix: [UInt8], from start: [UInt8], limit: Int, where fits: (UnsafeRawBufferPointer) -> Bool
    ) throws(AerieError) -> (removed: Int, next: [UInt8]?) {
        try remove(prefix, from: start, limit: limit) { _, value in fits(value) }
    }

    private func walk(
        from start: [UInt8],
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, clmdb_cursor?) throws(AerieError) -> Bool
    ) throws(AerieError) {
        var cursor: clmdb_cursor?
        try environment.check(clmdb_cursor_open(transaction, environment.database, &cursor), "read")
        defer { clmdb_cursor_close(cursor) }
        var (key, data): (UnsafeRawPointer?, UnsafeRawPointer?)
        var (keySize, size) = (0, 0)
        var code = clmdb_cursor_seek(cursor, start, start.count, &key, &keySize, &data, &size)
        while code != CLMDB_NOTFOUND {
            try environment.check(code, "read")
            let goesOn = try body(
                UnsafeRawBufferPointer(start: key, count: keySize), UnsafeRawBufferPointer(start: data, count: size),
                cursor)
            if !goesOn { return }
            code = clmdb_cursor_next(cursor, &key, &keySize, &data, &size)
        }
    }
}
