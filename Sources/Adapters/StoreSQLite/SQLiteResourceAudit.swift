import AerieCore
import AerieJSON
import AerieResources
import Crypto
import GRDB

/// The audit trail: each entry holds the SHA-256 of itself and the hash of the one before, so that a changed or removed
/// entry breaks the chain behind it. Triggers refuse changes through the database, too.
enum ResourceAudit {
    private static let first = String(repeating: "0", count: 64)

    /// Goes with the change it tells of, in its transaction.
    static func append(
        action: String, _ resource: Resource, actor: String, time: Timestamp, _ db: Database
    ) throws {
        let last = try Row.fetchOne(db, sql: "SELECT sequence, hash FROM resource_audit ORDER BY sequence DESC LIMIT 1")
        let sequence = (last?["sequence"] as Int64? ?? 0) + 1
        let entry = ResourceAuditEntry(
            sequence: sequence, time: time, actor: actor, action: action, key: resource.key,
            generation: resource.metadata.generation)
        let body = resource.declaration.text()
        try db.execute(
            sql: """
                INSERT INTO resource_audit (
                    sequence, time, actor, action, kind, namespace, name, generation, body, hash)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                sequence, time.milliseconds, actor, action, resource.kind, resource.metadata.namespace,
                resource.metadata.name, resource.metadata.generation, body,
                hash(entry, body: body, previous: last?["hash"] ?? first),
            ])
    }

    static func fetch(_ key: ResourceKey, limit: Int, _ db: Database) throws -> [ResourceAuditEntry] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT * FROM resource_audit WHERE kind = ? AND namespace = ? AND name = ?
                ORDER BY sequence DESC LIMIT ?
                """,
            arguments: [key.kind, key.namespace, key.name, max(0, limit)]
        ).map(entry)
    }

    static func verify(_ db: Database) throws -> Int {
        var previous = first
        var count: Int64 = 0
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM resource_audit ORDER BY sequence")
        while let row = try rows.next() {
            count += 1
            let entry = entry(row)
            let stored: String = row["hash"]
            guard entry.sequence == count, stored == hash(entry, body: row["body"], previous: previous) else {
                throw AerieError(
                    .dataLoss, "the audit trail is broken at entry \(count): it was changed, or one before it removed",
                    reason: "audit.broken")
            }
            previous = stored
        }
        return Int(count)
    }

    private static func entry(_ row: Row) -> ResourceAuditEntry {
        ResourceAuditEntry(
            sequence: row["sequence"], time: Timestamp(milliseconds: row["time"]), actor: row["actor"],
            action: row["action"], key: ResourceKey(kind: row["kind"], namespace: row["namespace"], name: row["name"]),
            generation: row["generation"])
    }

    /// Over the fields as a JSON list, so that no text can be moved from one field into the next.
    private static func hash(_ entry: ResourceAuditEntry, body: String, previous: String) -> String {
        let fields: JSONValue = [
            .string(previous), .int(entry.sequence), .int(entry.time.milliseconds), .string(entry.actor),
            .string(entry.action), .string(entry.key.kind), .string(entry.key.namespace), .string(entry.key.name),
            .int(entry.generation), .string(body),
        ]
        return Hexadecimal.encode(SHA256.hash(data: Array(fields.text().utf8)))
    }
}
