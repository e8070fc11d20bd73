import AerieCore
import AerieJSON
import AerieResources
import GRDB

/// The audit trail, a chain of hashes. Triggers refuse changes through the database, too.
enum ResourceAudit {
    /// Goes with the change it tells of, in its transaction.
    static func append(
        action: String, _ resource: Resource, actor: String, time: Timestamp, _ db: Database
    ) throws {
        let last = try Row.fetchOne(db, sql: "SELECT sequence, hash FROM resource_audit ORDER BY sequence DESC LIMIT 1")
        let sequence = (last?["sequence"] as Int64? ?? 0) + 1
        let entry = ResourceAuditEntry(
            sequence: sequence, time: time, actor: actor, action: action, key: resource.key,
            generation: resource.metadata.generation, declaration: resource.declaration)
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
                ResourceAuditChain.hash(entry, body: body, previous: last?["hash"] ?? ResourceAuditChain.start),
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
        var chain = ResourceAuditChain()
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM resource_audit ORDER BY sequence")
        while let row = try rows.next() { try chain.check(entry(row), body: row["body"], hash: row["hash"]) }
        return chain.entries
    }

    private static func entry(_ row: Row) -> ResourceAuditEntry {
        ResourceAuditEntry(
            sequence: row["sequence"], time: Timestamp(milliseconds: row["time"]), actor: row["actor"],
            action: row["action"], key: ResourceKey(kind: row["kind"], namespace: row["namespace"], name: row["name"]),
            generation: row["generation"], declaration: (try? JSONValue.parse(row["body"] as String)) ?? .null)
    }
}
