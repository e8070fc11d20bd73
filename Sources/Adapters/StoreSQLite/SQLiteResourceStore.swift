public import AerieCore
public import AerieJSON
public import AerieResources
import GRDB

/// Keeps resources in three tables of the metadata database: the objects, the latest changes, and the audit trail.
///
/// One counter, the sequence of changes, numbers everything: an object's `resourceVersion` is the sequence of its last
/// change. A write is one transaction over all three tables.
public final class SQLiteResourceStore: ResourceStore {
    /// How many changes are kept for watchers that fell behind.
    public static let keptEvents: Int64 = 10_000

    private let database: MetadataDatabase
    private let clock: any WallClock
    private let identifiers: IdentifierSource

    /// - Parameter database: opened with `SQLiteResourceStore.migrations` among its migrations.
    public init(
        database: MetadataDatabase, clock: any WallClock = SystemClock(), identifiers: IdentifierSource = .system
    ) {
        self.database = database
        self.clock = clock
        self.identifiers = identifiers
    }

    public func get(_ key: ResourceKey) async throws(AerieError) -> Resource {
        try await database.read { try ResourceRows.require(key, $0) }
    }

    public func list(kind: String, namespace: String?) async throws(AerieError) -> [Resource] {
        try await database.read { db in
            var sql = "SELECT * FROM resource WHERE kind = ?"
            var arguments: StatementArguments = [kind]
            if let namespace {
                sql += " AND namespace = ?"
                arguments += [namespace]
            }
            return try Row.fetchAll(db, sql: sql + " ORDER BY namespace, name", arguments: arguments)
                .map(ResourceRows.resource)
        }
    }

    public func put(
        _ resource: Resource, expecting version: Int64?, actor: String
    ) async throws(AerieError) -> Resource {
        let (now, uid) = (clock.now(), identifiers.uuid())
        return try await database.write { db in
            let old = try ResourceRows.find(resource.key, db)
            guard
                var new = try ResourceWrite.next(resource, over: old, expecting: version, uid: uid, now: now)
            else { return old ?? resource }
            new.metadata.resourceVersion = try ResourceEvents.nextSequence(db)
            try ResourceRows.save(new, db)
            try ResourceEvents.append(old == nil ? .added : .modified, new, db)
            try ResourceAudit.append(action: old == nil ? "create" : "update", new, actor: actor, time: now, db)
            return new
        }
    }

    public func changeStatus(
        _ key: ResourceKey, uid: String, _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) async throws(AerieError) {
        try await database.write { db in
            guard var resource = try ResourceRows.find(key, db), resource.metadata.uid == uid else { return }
            var status = resource.status ?? [:]
            change(&status)
            guard resource.status != status else { return }
            resource.status = status
            resource.metadata.resourceVersion = try ResourceEvents.nextSequence(db)
            try ResourceRows.save(resource, db)
            try ResourceEvents.append(.modified, resource, db)
        }
    }

    public func delete(_ key: ResourceKey, actor: String) async throws(AerieError) -> Resource {
        let now = clock.now()
        return try await database.write { db in
            var resource = try ResourceRows.require(key, db)
            resource.metadata.resourceVersion = try ResourceEvents.nextSequence(db)
            try db.execute(
                sql: "DELETE FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
                arguments: [key.kind, key.namespace, key.name])
            try ResourceEvents.append(.deleted, resource, db)
            try ResourceAudit.append(action: "delete", resource, actor: actor, time: now, db)
            return resource
        }
    }

    public func events(after sequence: Int64, limit: Int) async throws(AerieError) -> [ResourceEvent] {
        try await database.read { try ResourceEvents.fetch(after: sequence, limit: limit, $0) }
    }

    public func latestSequence() async throws(AerieError) -> Int64 {
        try await database.read { try ResourceEvents.latestSequence($0) }
    }

    public func audit(_ key: ResourceKey, limit: Int) async throws(AerieError) -> [ResourceAuditEntry] {
        try await database.read { try ResourceAudit.fetch(key, limit: limit, $0) }
    }

    /// Recomputes the whole chain of the audit trail.
    /// - Returns: the count of entries, all of them as they were written.
    /// - Throws: `dataLoss` naming the first entry that was changed, or after which one is missing. Entries cut off at
    ///   the end cannot be noticed from inside: keep the last hash elsewhere for that.
    public func verifyAudit() async throws(AerieError) -> Int {
        try await database.read { try ResourceAudit.verify($0) }
    }
}
