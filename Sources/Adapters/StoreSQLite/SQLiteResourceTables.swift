import AerieCore
import AerieJSON
import AerieResources
import GRDB

extension SQLiteResourceStore {
    /// The tables of resources.
    public static let migrations: [Migration] = [
        Migration("resources-1") { db in
            try db.execute(sql: """
                CREATE TABLE resource (
                    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
                    uid TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL,
                    PRIMARY KEY (kind, namespace, name)
                ) WITHOUT ROWID;
                CREATE TABLE resource_event (
                    sequence INTEGER PRIMARY KEY, change TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL
                );
                CREATE TABLE resource_audit (
                    sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
                    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL,
                    body TEXT NOT NULL, hash TEXT NOT NULL
                );
                CREATE INDEX resource_audit_object ON resource_audit (kind, namespace, name, sequence);
                CREATE TRIGGER resource_audit_no_update BEFORE UPDATE ON resource_audit
                    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
                CREATE TRIGGER resource_audit_no_delete BEFORE DELETE ON resource_audit
                    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
                """)
        }
    ]
}

/// The objects themselves: the whole object as JSON, beside the columns that are searched.
enum ResourceRows {
    static func find(_ key: ResourceKey, _ db: Database) throws -> Resource? {
        try Row.fetchOne(
            db, sql: "SELECT * FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
            arguments: [key.kind, key.namespace, key.name]
        ).map(resource)
    }

    static func require(_ key: ResourceKey, _ db: Database) throws -> Resource {
        guard let resource = try find(key, db) else { throw ResourceWrite.missing(key) }
        return resource
    }

    static func save(_ resource: Resource, _ db: Database) throws {
        try db.execute(
            sql: """
                INSERT OR REPLACE INTO resource (kind, namespace, name, uid, version, body, created)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                resource.kind, resource.metadata.namespace, resource.metadata.name, resource.metadata.uid,
                resource.metadata.resourceVersion, resource.json.text(), resource.metadata.created?.milliseconds ?? 0,
            ])
    }

    /// The body's creation time has whole seconds; the column has the milliseconds.
    static func resource(_ row: Row) throws -> Resource {
        do {
            var resource = try Resource(json: try JSONValue.parse(row["body"] as String))
            resource.metadata.created = Timestamp(milliseconds: row["created"])
            return resource
        } catch {
            throw AerieError(.dataLoss, "a stored resource cannot be read", cause: error)
        }
    }
}

/// The latest changes, for watchers.
enum ResourceEvents {
    static func latestSequence(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT max(sequence) FROM resource_event") ?? 0
    }

    static func nextSequence(_ db: Database) throws -> Int64 { try latestSequence(db) + 1 }

    static func append(_ change: ResourceEvent.Change, _ resource: Resource, _ db: Database) throws {
        let sequence = resource.metadata.resourceVersion
        try db.execute(
            sql: "INSERT INTO resource_event (sequence, change, body, created) VALUES (?, ?, ?, ?)",
            arguments: [
                sequence, change.rawValue, resource.json.text(), resource.metadata.created?.milliseconds ?? 0,
            ])
        // Numbers have no gaps, so that each new one pushes out at most one old one.
        try db.execute(
            sql: "DELETE FROM resource_event WHERE sequence <= ?",
            arguments: [sequence - SQLiteResourceStore.keptEvents])
    }

    static func fetch(after sequence: Int64, limit: Int, _ db: Database) throws -> [ResourceEvent] {
        let oldest = try Int64.fetchOne(db, sql: "SELECT min(sequence) FROM resource_event") ?? 1
        guard sequence >= oldest - 1 else { throw ResourceWrite.expired(after: sequence) }
        return try Row.fetchAll(
            db, sql: "SELECT * FROM resource_event WHERE sequence > ? ORDER BY sequence LIMIT ?",
            arguments: [sequence, max(0, limit)]
        ).map { row in
            ResourceEvent(
                change: ResourceEvent.Change(
                    rawValue: row["change"]) ?? .modified, resource: try ResourceRows.resource(row),
                sequence: row["sequence"])
        }
    }
}
