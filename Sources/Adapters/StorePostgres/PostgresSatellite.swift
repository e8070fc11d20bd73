import AerieCore
import Experiments

/// Rows of a table with `owner`, `key` and `value`, for many owners in one statement.
enum PostgresSatellite {
    static func read(
        _ connection: PostgresConnection, _ table: String, owners: [Int64]
    ) throws -> [Int64: [Tag]] {
        guard !owners.isEmpty else { return [:] }
        var result: [Int64: [Tag]] = [:]
        let sql = "SELECT owner, key, value FROM \(table) WHERE owner = ANY(?::bigint[]) ORDER BY owner, key"
        for row in try connection.query(sql, [.array(owners)]) {
            result[try row.int(0), default: []].append(Tag(key: try row.text(1), value: try row.text(2)))
        }
        return result
    }

    /// Of a key that comes twice the last one stays. Rows are written by key, so that no two writers wait in a circle.
    static func write(_ connection: PostgresConnection, _ table: String, owner: Int64, _ tags: [Tag]) throws {
        guard !tags.isEmpty else { return }
        var latest: [String: String] = [:]
        for tag in tags { latest[tag.key] = tag.value }
        let rows = latest.sorted { $0.key < $1.key }
        try connection.execute(
            """
            INSERT INTO \(table) (owner, key, value)
            SELECT ?::bigint, key, value FROM unnest(?::text[], ?::text[]) AS given (key, value)
            ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value
            """, [.init(owner), .array(rows.map(\.key)), .array(rows.map(\.value))])
    }

    /// - Returns: whether it was there.
    static func delete(
        _ connection: PostgresConnection, _ table: String, owner: Int64, key: String
    ) throws -> Bool {
        try connection.execute("DELETE FROM \(table) WHERE owner = ? AND key = ?", [.init(owner), .init(key)]) > 0
    }
}
