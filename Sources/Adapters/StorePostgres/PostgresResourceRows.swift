import AerieCore
import AerieJSON
import AerieResources

/// The objects themselves, the whole object as JSON beside the columns that are searched, and the latest changes.
enum PostgresResourceRows {
    /// Keeps every other writer out until the transaction ends.
    /// - Returns: the number of the newest change.
    static func lockSequence(_ db: PostgresConnection) throws -> Int64 {
        guard let row = try db.query("SELECT last FROM resource_sequence FOR UPDATE").first else {
            throw PostgresRow.unexpected
        }
        return try row.int(0)
    }

    static func find(_ db: PostgresConnection, _ key: ResourceKey) throws -> Resource? {
        try db.query(
            "SELECT body, created FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
            [.init(key.kind), .init(key.namespace), .init(key.name)]
        ).first.map { try resource($0) }
    }

    static func require(_ db: PostgresConnection, _ key: ResourceKey) throws -> Resource {
        guard let resource = try find(db, key) else { throw ResourceWrite.missing(key) }
        return resource
    }

    static func save(_ db: PostgresConnection, _ resource: Resource) throws {
        try db.execute(
            """
            INSERT INTO resource (kind, namespace, name, uid, version, body, created) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (kind, namespace, name) DO UPDATE SET
                uid = excluded.uid, version = excluded.version, body = excluded.body, created = excluded.created
            """,
            [
                .init(resource.kind), .init(resource.metadata.namespace), .init(resource.metadata.name),
                .init(resource.metadata.uid), .init(resource.metadata.resourceVersion),
                .init(resource.json.text()), .init(resource.metadata.created?.milliseconds ?? 0),
            ])
    }

    /// Under the number that the object has as its version.
    static func append(_ db: PostgresConnection, _ change: ResourceEvent.Change, _ resource: Resource) throws {
        let sequence = resource.metadata.resourceVersion
        try db.execute("UPDATE resource_sequence SET last = ?", [.init(sequence)])
        try db.execute(
            "INSERT INTO resource_event (sequence, change, body, created) VALUES (?, ?, ?, ?)",
            [
                .init(sequence), .init(change.rawValue), .init(resource.json.text()),
                .init(resource.metadata.created?.milliseconds ?? 0),
            ])
        // Numbers have no gaps, so that each new one pushes out at most one old one.
        try db.execute(
            "DELETE FROM resource_event WHERE sequence <= ?", [.init(sequence - PostgresResourceStore.keptEvents)])
    }

    static func events(_ db: PostgresConnection, after sequence: Int64, limit: Int) throws -> [ResourceEvent] {
        let oldest = try db.query("SELECT min(sequence) FROM resource_event").first?.optionalInt(0) ?? 1
        guard sequence >= oldest - 1 else { throw ResourceWrite.expired(after: sequence) }
        return try db.query(
            "SELECT body, created, change, sequence FROM resource_event WHERE sequence > ? ORDER BY sequence LIMIT ?",
            [.init(sequence), .init(max(0, limit))]
        ).map { row in
            ResourceEvent(
                change: ResourceEvent.Change(rawValue: try row.text(2)) ?? .modified, resource: try resource(row),
                sequence: try row.int(3))
        }
    }

    /// From the columns `body` and `created`: the body's time has whole seconds, the column has the milliseconds.
    static func resource(_ row: PostgresRow) throws -> Resource {
        do {
            var resource = try Resource(json: try JSONValue.parse(try row.text(0)))
            resource.metadata.created = try row.time(1)
            return resource
        } catch {
            throw AerieError(.dataLoss, "a stored resource cannot be read", cause: error)
        }
    }
}

/// The audit trail, a chain of hashes. Triggers refuse changes through the database, too.
enum PostgresResourceAudit {
    private static let columns = "sequence, time, actor, action, kind, namespace, name, generation"
    private static let page = 1000

    /// Goes with the change it tells of, in its transaction, which holds the lock of the sequence.
    static func append(
        _ db: PostgresConnection, action: String, _ resource: Resource, actor: String, time: Timestamp
    ) throws {
        let last = try db.query("SELECT sequence, hash FROM resource_audit ORDER BY sequence DESC LIMIT 1").first
        let entry = ResourceAuditEntry(
            sequence: try last.map { try $0.int(0) + 1 } ?? 1, time: time, actor: actor, action: action,
            key: resource.key, generation: resource.metadata.generation, declaration: resource.declaration)
        let body = resource.declaration.text()
        let previous = try last.map { try $0.text(1) } ?? ResourceAuditChain.start
        try db.execute(
            "INSERT INTO resource_audit (\(columns), body, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                .init(entry.sequence), .init(time.milliseconds), .init(actor), .init(action), .init(resource.kind),
                .init(resource.metadata.namespace), .init(resource.metadata.name), .init(entry.generation),
                .init(body), .init(ResourceAuditChain.hash(entry, body: body, previous: previous)),
            ])
    }

    static func fetch(_ db: PostgresConnection, _ key: ResourceKey, limit: Int) throws -> [ResourceAuditEntry] {
        try db.query(
            """
            SELECT \(columns), body FROM resource_audit WHERE kind = ? AND namespace = ? AND name = ?
            ORDER BY sequence DESC LIMIT ?
            """,
            [.init(key.kind), .init(key.namespace), .init(key.name), .init(max(0, limit))]
        ).map { try entry($0) }
    }

    static func verify(_ db: PostgresConnection) throws -> Int {
        var chain = ResourceAuditChain()
        var last: Int64 = 0
        while true {
            let rows = try db.query(
                "SELECT \(columns), body, hash FROM resource_audit WHERE sequence > ? ORDER BY sequence LIMIT ?",
                [.init(last), .init(page)])
            for row in rows { try chain.check(entry(row), body: row.text(8), hash: row.text(9)) }
            guard let end = rows.last, rows.count == page else { return chain.entries }
            last = try end.int(0)
        }
    }

    private static func entry(_ row: PostgresRow) throws -> ResourceAuditEntry {
        ResourceAuditEntry(
            sequence: try row.int(0), time: try row.time(1), actor: try row.text(2), action: try row.text(3),
            key: ResourceKey(kind: try row.text(4), namespace: try row.text(5), name: try row.text(6)),
            generation: try row.int(7), declaration: (try? JSONValue.parse(try row.text(8))) ?? .null)
    }
}
