public import AerieCore
public import AerieJSON
public import AerieResources

/// Resources in PostgreSQL: the objects, the latest changes, and the audit trail.
///
/// One row counts the changes. A write locks it before it reads anything, so that writers of several servers come one
/// after another, and changes become visible in the order of their numbers. Readers wait for nobody.
public struct PostgresResourceStore: ResourceStore {
    /// How many changes are kept for watchers that fell behind.
    static let keptEvents: Int64 = 10_000

    private let database: PostgresDatabase
    private let clock: any WallClock
    private let identifiers: IdentifierSource

    public init(
        _ database: PostgresDatabase, clock: any WallClock = SystemClock(), identifiers: IdentifierSource = .system
    ) {
        self.database = database
        self.clock = clock
        self.identifiers = identifiers
    }

    public func get(_ key: ResourceKey) async throws(AerieError) -> Resource {
        try await database.read { db in try PostgresResourceRows.require(db, key) }
    }

    public func list(kind: String, namespace: String?) async throws(AerieError) -> [Resource] {
        try await database.read { db in
            var (place, arguments): (String, [PostgresValue]) = ("kind = ?", [.init(kind)])
            if let namespace {
                place += " AND namespace = ?"
                arguments.append(.init(namespace))
            }
            return try db.query(
                "SELECT body, created FROM resource WHERE \(place) ORDER BY namespace, name", arguments
            ).map { try PostgresResourceRows.resource($0) }
        }
    }

    public func put(
        _ resource: Resource, expecting version: Int64?, actor: String
    ) async throws(AerieError) -> Resource {
        let (now, uid) = (clock.now(), identifiers.uuid())
        return try await database.write { db in
            let sequence = try PostgresResourceRows.lockSequence(db) + 1
            let old = try PostgresResourceRows.find(db, resource.key)
            guard
                var new = try ResourceWrite.next(resource, over: old, expecting: version, uid: uid, now: now)
            else { return old ?? resource }
            new.metadata.resourceVersion = sequence
            try PostgresResourceRows.save(db, new)
            try PostgresResourceRows.append(db, old == nil ? .added : .modified, new)
            try PostgresResourceAudit.append(
                db, action: old == nil ? "create" : "update", new, actor: actor, time: now)
            return new
        }
    }

    public func changeStatus(
        _ key: ResourceKey, uid: String, _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) async throws(AerieError) {
        try await database.write { db in
            let sequence = try PostgresResourceRows.lockSequence(db) + 1
            guard var resource = try PostgresResourceRows.find(db, key), resource.metadata.uid == uid else { return }
            var status = resource.status ?? [:]
            change(&status)
            guard resource.status != status else { return }
            resource.status = status
            resource.metadata.resourceVersion = sequence
            try PostgresResourceRows.save(db, resource)
            try PostgresResourceRows.append(db, .modified, resource)
        }
    }

    public func delete(_ key: ResourceKey, actor: String) async throws(AerieError) -> Resource {
        let now = clock.now()
        return try await database.write { db in
            let sequence = try PostgresResourceRows.lockSequence(db) + 1
            var resource = try PostgresResourceRows.require(db, key)
            resource.metadata.resourceVersion = sequence
            try db.execute(
                "DELETE FROM resource WHERE kind = ? AND namespace = ? AND name = ?",
                [.init(key.kind), .init(key.namespace), .init(key.name)])
            try PostgresResourceRows.append(db, .deleted, resource)
            try PostgresResourceAudit.append(db, action: "delete", resource, actor: actor, time: now)
            return resource
        }
    }

    public func events(after sequence: Int64, limit: Int) async throws(AerieError) -> [ResourceEvent] {
        try await database.read { db in try PostgresResourceRows.events(db, after: sequence, limit: limit) }
    }

    public func latestSequence() async throws(AerieError) -> Int64 {
        try await database.read { db in
            guard let row = try db.query("SELECT last FROM resource_sequence").first else {
                throw PostgresRow.unexpected
            }
            return try row.int(0)
        }
    }

    public func audit(_ key: ResourceKey, limit: Int) async throws(AerieError) -> [ResourceAuditEntry] {
        try await database.read { db in try PostgresResourceAudit.fetch(db, key, limit: limit) }
    }

    /// Recomputes the whole chain of the audit trail, a thousand entries at a time.
    /// - Returns: the count of entries, all of them as they were written.
    /// - Throws: `dataLoss` as `ResourceAuditChain.check`.
    public func verifyAudit() async throws(AerieError) -> Int {
        try await database.read { db in try PostgresResourceAudit.verify(db) }
    }
}
