import AerieCore
import Experiments
import GRDB

/// Rows of a table with `owner`, `key` and `value`, for many owners in one statement.
enum Satellite {
    static func marks(_ count: Int) -> String { Array(repeating: "?", count: count).joined(separator: ",") }

    static func read(_ db: Database, _ table: String, owners: [Int64]) throws -> [Int64: [Tag]] {
        var result: [Int64: [Tag]] = [:]
        for batch in OwnerBatch.of(owners) {
            let rows = try batch.rows(
                db, "SELECT owner, key, value FROM \(table) WHERE owner IN (\(batch.marks)) ORDER BY owner, key")
            while let row = try rows.next() { result[row[0], default: []].append(Tag(key: row[1], value: row[2])) }
        }
        return result
    }

    static func write(_ db: Database, _ table: String, owner: Int64, _ tags: [Tag]) throws {
        guard !tags.isEmpty else { return }
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO \(table) (owner, key, value) VALUES (?, ?, ?)
                ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value
                """)
        for tag in tags { try statement.execute(arguments: [owner, tag.key, tag.value]) }
    }

    /// - Returns: whether it was there.
    static func delete(_ db: Database, _ table: String, owner: Int64, key: String) throws -> Bool {
        try db.execute(sql: "DELETE FROM \(table) WHERE owner = ? AND key = ?", arguments: [owner, key])
        return db.changesCount > 0
    }
}

/// Rows that are asked for together, filled up to one of a few sizes, so that their statements are parsed once.
struct OwnerBatch {
    private let owners: [Int64]
    let marks: String

    private static let sizes = [1, 8, 64, 256, 1000].map { ($0, Satellite.marks($0)) }

    static func of(_ owners: [Int64]) -> [OwnerBatch] {
        owners.chunks(of: 1000).map { chunk in
            let (size, marks) = sizes.first { $0.0 >= chunk.count } ?? sizes[sizes.count - 1]
            return OwnerBatch(owners: chunk + Array(repeating: -1, count: size - chunk.count), marks: marks)
        }
    }

    func rows(_ db: Database, _ sql: String) throws -> RowCursor {
        try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: StatementArguments(owners))
    }
}

extension Array {
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
