public import AerieCore
import Foundation
import GRDB
public import Webhooks

/// Webhooks and their queue in SQLite.
public struct SQLiteWebhookStore: WebhookStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    public static let migrations: [Migration] = [
        Migration("webhooks.1") { db in for statement in tableStatements { try db.execute(sql: statement) } }
    ]

    // Secrets lie apart from the rest, so that no query of webhooks reads them by the way.
    private static let tableStatements = [
        """
        CREATE TABLE webhooks (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            description TEXT NOT NULL, url TEXT NOT NULL, status TEXT NOT NULL, creation_time INTEGER NOT NULL,
            last_update_time INTEGER NOT NULL)
        """,
        """
        CREATE TABLE webhook_events (
            owner INTEGER NOT NULL REFERENCES webhooks(seq) ON DELETE CASCADE, event TEXT NOT NULL,
            PRIMARY KEY (owner, event)) WITHOUT ROWID
        """,
        "CREATE INDEX webhook_events_by_event ON webhook_events (event, owner)",
        """
        CREATE TABLE webhook_secrets (
            owner INTEGER PRIMARY KEY REFERENCES webhooks(seq) ON DELETE CASCADE, sealed BLOB NOT NULL)
        """,
        """
        CREATE TABLE webhook_deliveries (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL REFERENCES webhooks(seq) ON DELETE CASCADE, event TEXT NOT NULL,
            payload TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, creation_time INTEGER NOT NULL,
            last_attempt_time INTEGER, next_attempt_time INTEGER, response_status INTEGER, problem TEXT NOT NULL)
        """,
        "CREATE INDEX webhook_deliveries_by_owner ON webhook_deliveries (owner, seq)",
        """
        CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_time, seq) WHERE state = 'pending'
        """,
        """
        CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (last_attempt_time) WHERE state <> 'pending'
        """,
    ]

    public func create(_ webhook: Webhook, sealedSecret: [UInt8]?, limit: Int) async throws(AerieError) {
        try await database.write { db in
            guard try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM webhooks") ?? 0 < limit else {
                throw AerieError(.resourceExhausted, "there are \(limit) webhooks already; delete some")
            }
            try db.execute(
                sql: """
                    INSERT INTO webhooks (id, name, description, url, status, creation_time, last_update_time)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    webhook.id.text, webhook.name, webhook.description, webhook.url, webhook.status.rawValue,
                    webhook.creationTime.milliseconds, webhook.lastUpdateTime.milliseconds,
                ])
            let seq = db.lastInsertedRowID
            try Self.setEvents(db, seq, webhook.events)
            if let sealedSecret { try Self.setSecret(db, seq, sealedSecret) }
        }
    }

    public func get(_ id: WebhookID) async throws(AerieError) -> Webhook? {
        try await database.read { db in try Self.find(db, id).flatMap { try Self.read(db, [$0]).first } }
    }

    public func list(offset: Int, limit: Int) async throws(AerieError) -> [Webhook] {
        try await database.read { db in
            let keys = try Int64.fetchAll(
                db, sql: "SELECT seq FROM webhooks ORDER BY creation_time DESC, id LIMIT ? OFFSET ?",
                arguments: [limit, offset])
            return try Self.read(db, keys)
        }
    }

    public func update(
        _ id: WebhookID, _ change: WebhookChange, sealedSecret: [UInt8]??, at time: Timestamp
    ) async throws(AerieError) -> Webhook {
        try await database.write { db in
            guard let seq = try Self.find(db, id) else { throw Self.missing(id) }
            try db.execute(
                sql: """
                    UPDATE webhooks SET name = COALESCE(?, name), description = COALESCE(?, description),
                        url = COALESCE(?, url), status = COALESCE(?, status), last_update_time = ? WHERE seq = ?
                    """,
                arguments: [
                    change.name, change.description, change.url, change.status?.rawValue, time.milliseconds, seq,
                ])
            if let events = change.events { try Self.setEvents(db, seq, events) }
            if let sealedSecret { try Self.setSecret(db, seq, sealedSecret) }
            guard let webhook = try Self.read(db, [seq]).first else { throw Self.missing(id) }
            return webhook
        }
    }

    public func delete(_ id: WebhookID) async throws(AerieError) {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM webhooks WHERE id = ?", arguments: [id.text])
            guard db.changesCount > 0 else { throw Self.missing(id) }
        }
    }

    public func sealedSecret(_ id: WebhookID) async throws(AerieError) -> [UInt8]? {
        try await database.read { db in
            guard let seq = try Self.find(db, id) else { throw Self.missing(id) }
            return try Data.fetchOne(db, sql: "SELECT sealed FROM webhook_secrets WHERE owner = ?", arguments: [seq])
                .map { Array($0) }
        }
    }

    static func missing(_ id: WebhookID) -> AerieError { .notFound("Webhook with ID \(id) not found.") }

    static func find(_ db: Database, _ id: WebhookID) throws -> Int64? {
        try Int64.fetchOne(db, sql: "SELECT seq FROM webhooks WHERE id = ?", arguments: [id.text])
    }

    private static func setEvents(_ db: Database, _ seq: Int64, _ events: Set<WebhookEvent>) throws {
        try db.execute(sql: "DELETE FROM webhook_events WHERE owner = ?", arguments: [seq])
        for event in events {
            try db.execute(
                sql: "INSERT INTO webhook_events (owner, event) VALUES (?, ?)", arguments: [seq, event.rawValue])
        }
    }

    private static func setSecret(_ db: Database, _ seq: Int64, _ sealed: [UInt8]?) throws {
        try db.execute(sql: "DELETE FROM webhook_secrets WHERE owner = ?", arguments: [seq])
        guard let sealed else { return }
        try db.execute(
            sql: "INSERT INTO webhook_secrets (owner, sealed) VALUES (?, ?)", arguments: [seq, Data(sealed)])
    }

    private static func read(_ db: Database, _ keys: [Int64]) throws -> [Webhook] {
        let statement = try db.cachedStatement(
            sql: """
                SELECT id, name, description, url, status, creation_time, last_update_time,
                    EXISTS (SELECT 1 FROM webhook_secrets s WHERE s.owner = w.seq) FROM webhooks w WHERE seq = ?
                """)
        return try keys.compactMap { key in
            guard let row = try Row.fetchOne(statement, arguments: [key]) else { return nil }
            let events = try String.fetchAll(
                db, sql: "SELECT event FROM webhook_events WHERE owner = ?", arguments: [key])
            return Webhook(
                id: WebhookID(row[0]), name: row[1], description: row[2], url: row[3],
                events: Set(events.compactMap(WebhookEvent.init(rawValue:))),
                status: Webhook.Status(rawValue: row[4]) ?? .disabled, creationTime: Timestamp(milliseconds: row[5]),
                lastUpdateTime: Timestamp(milliseconds: row[6]), hasSecret: row[7])
        }
    }

    // MARK: The queue

    public func enqueue(
        _ events: [(WebhookEvent, payload: String)], at time: Timestamp
    ) async throws(AerieError) -> Int {
        // Most servers have no webhooks: their writes should not wait for a commit that changes nothing.
        let kinds = Set(events.map { $0.0.rawValue })
        let isWanted = try await database.read { db in
            try kinds.contains { kind in
                try Bool.fetchOne(db, sql: "SELECT 1 FROM webhook_events WHERE event = ? LIMIT 1", arguments: [kind])
                    ?? false
            }
        }
        guard isWanted else { return 0 }
        return try await database.write { db in
            var queued = 0
            for (event, payload) in events {
                let owners = try Int64.fetchAll(
                    db,
                    sql: """
                        SELECT w.seq FROM webhook_events e JOIN webhooks w ON w.seq = e.owner
                        WHERE e.event = ? AND w.status = 'ACTIVE' ORDER BY w.seq
                        """, arguments: [event.rawValue])
                for owner in owners {
                    try db.execute(
                        sql: """
                            INSERT INTO webhook_deliveries (id, owner, event, payload, state, attempts, creation_time,
                                next_attempt_time, problem) VALUES (?, ?, ?, ?, 'pending', 0, ?, ?, '')
                            """,
                        arguments: [
                            IdentifierSource.system.uuid(), owner, event.rawValue, payload, time.milliseconds,
                            time.milliseconds,
                        ])
                    queued += 1
                }
            }
            return queued
        }
    }

    public func claim(
        limit: Int, perWebhook: Int, skipping busy: Set<WebhookID>, now: Timestamp, until: Timestamp
    ) async throws(AerieError) -> [ClaimedDelivery] {
        guard let next = try await nextDue(skipping: busy), next <= now else { return [] }
        return try await database.write { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT seq, id, webhook, url, sealed, event, payload, attempts FROM (
                        SELECT d.seq, d.id, w.id AS webhook, w.url, s.sealed, d.event, d.payload, d.attempts,
                            d.next_attempt_time,
                            ROW_NUMBER() OVER (PARTITION BY d.owner ORDER BY d.next_attempt_time, d.seq) AS place
                        FROM webhook_deliveries d JOIN webhooks w ON w.seq = d.owner
                            LEFT JOIN webhook_secrets s ON s.owner = w.seq
                        WHERE d.state = 'pending' AND d.next_attempt_time <= ? AND w.status = 'ACTIVE'
                            AND w.id NOT IN (SELECT value FROM json_each(?)))
                    WHERE place <= ? ORDER BY next_attempt_time, seq LIMIT ?
                    """, arguments: [now.milliseconds, Self.list(busy), perWebhook, limit])
            for row in rows {
                try db.execute(
                    sql: "UPDATE webhook_deliveries SET next_attempt_time = ? WHERE seq = ?",
                    arguments: [until.milliseconds, row[0] as Int64])
            }
            return rows.compactMap { row in
                guard let event = WebhookEvent(rawValue: row[5]) else { return nil }
                return ClaimedDelivery(
                    id: row[1], webhookID: WebhookID(row[2]), url: row[3],
                    sealedSecret: (row[4] as Data?).map { Array($0) }, event: event, payload: row[6], attempts: row[7])
            }
        }
    }

    /// Identifiers as a list in JSON, which is one argument however many they are.
    private static func list(_ ids: Set<WebhookID>) -> String {
        "["
            + ids.map { "\"\($0.text.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })\"" }
            .joined(separator: ",") + "]"
    }

    public func finish(_ id: String, _ outcome: DeliveryOutcome, at time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            try db.execute(
                sql: """
                    UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, last_attempt_time = ?,
                        next_attempt_time = ?, response_status = ?, problem = ? WHERE id = ?
                    """,
                arguments: [
                    outcome.state.rawValue, time.milliseconds, outcome.nextAttemptTime?.milliseconds,
                    outcome.responseStatus, outcome.problem, id,
                ])
        }
    }

    public func nextDue(skipping busy: Set<WebhookID>) async throws(AerieError) -> Timestamp? {
        try await database.read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT d.next_attempt_time FROM webhook_deliveries d JOIN webhooks w ON w.seq = d.owner
                    WHERE d.state = 'pending' AND w.status = 'ACTIVE' AND w.id NOT IN (SELECT value FROM json_each(?))
                    ORDER BY d.next_attempt_time, d.seq LIMIT 1
                    """, arguments: [Self.list(busy)]
            ).map { Timestamp(milliseconds: $0) }
        }
    }

    public func deliveries(
        to id: WebhookID, offset: Int, limit: Int
    ) async throws(AerieError) -> [WebhookDelivery] {
        try await database.read { db in
            guard let owner = try Self.find(db, id) else { throw Self.missing(id) }
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT id, event, state, attempts, creation_time, last_attempt_time, next_attempt_time,
                        response_status, problem
                    FROM webhook_deliveries WHERE owner = ? ORDER BY seq DESC LIMIT ? OFFSET ?
                    """, arguments: [owner, limit, offset])
            return rows.compactMap { row in
                guard let event = WebhookEvent(rawValue: row[1]), let state = WebhookDelivery.State(rawValue: row[2])
                else { return nil }
                return WebhookDelivery(
                    id: row[0], webhookID: id, event: event, state: state, attempts: row[3],
                    creationTime: Timestamp(milliseconds: row[4]),
                    lastAttemptTime: (row[5] as Int64?).map { Timestamp(milliseconds: $0) },
                    nextAttemptTime: (row[6] as Int64?).map { Timestamp(milliseconds: $0) },
                    responseStatus: row[7], problem: row[8])
            }
        }
    }

    public func trim(before time: Timestamp) async throws(AerieError) -> Int {
        try await database.write { db in
            try db.execute(
                sql: """
                    DELETE FROM webhook_deliveries WHERE seq IN (
                        SELECT seq FROM webhook_deliveries WHERE state <> 'pending' AND last_attempt_time < ?
                        LIMIT 10000)
                    """, arguments: [time.milliseconds])
            return db.changesCount
        }
    }
}
