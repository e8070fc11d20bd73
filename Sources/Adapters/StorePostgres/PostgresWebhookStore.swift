public import AerieCore
public import Webhooks

/// Webhooks and their queue in PostgreSQL. Servers that share the database share the work: a delivery is taken on by
/// one of them.
public struct PostgresWebhookStore: WebhookStore {
    let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    public func create(_ webhook: Webhook, sealedSecret: [UInt8]?, limit: Int) async throws(AerieError) {
        try await database.write { db in
            // Two that create at once would both find room for one.
            try db.run("LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE")
            guard let count = try db.query("SELECT count(*) FROM webhooks").first?.int(0), count < limit else {
                throw AerieError(.resourceExhausted, "there are \(limit) webhooks already; delete some")
            }
            let made = try db.query(
                """
                INSERT INTO webhooks (id, name, description, url, status, creation_time, last_update_time)
                VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING seq
                """,
                [
                    .init(webhook.id.text), .init(webhook.name), .init(webhook.description), .init(webhook.url),
                    .init(webhook.status.rawValue), .init(webhook.creationTime.milliseconds),
                    .init(webhook.lastUpdateTime.milliseconds),
                ])
            guard let seq = try made.first?.int(0) else { throw PostgresRow.unexpected }
            try Self.setEvents(db, seq, webhook.events)
            if let sealedSecret { try Self.setSecret(db, seq, sealedSecret) }
        }
    }

    public func get(_ id: WebhookID) async throws(AerieError) -> Webhook? {
        try await database.read { db in
            try Self.read(db, "WHERE id = ?", [.init(id.text)]).first
        }
    }

    public func list(offset: Int, limit: Int) async throws(AerieError) -> [Webhook] {
        try await database.read { db in
            try Self.read(db, "ORDER BY creation_time DESC, id LIMIT ? OFFSET ?", [.init(limit), .init(offset)])
        }
    }

    public func update(
        _ id: WebhookID, _ change: WebhookChange, sealedSecret: [UInt8]??, at time: Timestamp
    ) async throws(AerieError) -> Webhook {
        try await database.write { db in
            let changed = try db.query(
                """
                UPDATE webhooks SET name = COALESCE(?, name), description = COALESCE(?, description),
                    url = COALESCE(?, url), status = COALESCE(?, status), last_update_time = ?
                WHERE id = ? RETURNING seq
                """,
                [
                    .init(change.name), .init(change.description), .init(change.url), .init(change.status?.rawValue),
                    .init(time.milliseconds), .init(id.text),
                ])
            guard let seq = try changed.first?.int(0) else { throw Self.missing(id) }
            if let events = change.events { try Self.setEvents(db, seq, events) }
            if let sealedSecret { try Self.setSecret(db, seq, sealedSecret) }
            guard let webhook = try Self.read(db, "WHERE id = ?", [.init(id.text)]).first else {
                throw Self.missing(id)
            }
            return webhook
        }
    }

    public func delete(_ id: WebhookID) async throws(AerieError) {
        try await database.write { db in
            guard try db.execute("DELETE FROM webhooks WHERE id = ?", [.init(id.text)]) > 0 else {
                throw Self.missing(id)
            }
        }
    }

    public func sealedSecret(_ id: WebhookID) async throws(AerieError) -> [UInt8]? {
        try await database.read { db in
            let rows = try db.query(
                """
                SELECT encode(s.sealed, 'hex') FROM webhooks w LEFT JOIN webhook_secrets s ON s.owner = w.seq
                WHERE w.id = ?
                """, [.init(id.text)])
            guard let row = rows.first else { throw Self.missing(id) }
            return row.optionalText(0).flatMap { Hexadecimal.decode($0) }
        }
    }

    static func missing(_ id: WebhookID) -> AerieError { .notFound("Webhook with ID \(id) not found.") }

    private static func setEvents(_ db: PostgresConnection, _ seq: Int64, _ events: Set<WebhookEvent>) throws {
        try db.execute("DELETE FROM webhook_events WHERE owner = ?", [.init(seq)])
        try db.execute(
            "INSERT INTO webhook_events (owner, event) SELECT ?::bigint, event FROM unnest(?::text[]) AS given (event)",
            [.init(seq), .array(events.map(\.rawValue).sorted())])
    }

    private static func setSecret(_ db: PostgresConnection, _ seq: Int64, _ sealed: [UInt8]?) throws {
        try db.execute("DELETE FROM webhook_secrets WHERE owner = ?", [.init(seq)])
        guard let sealed else { return }
        try db.execute(
            "INSERT INTO webhook_secrets (owner, sealed) VALUES (?, decode(?, 'hex'))",
            [.init(seq), .init(Hexadecimal.encode(sealed))])
    }

    private static func read(
        _ db: PostgresConnection, _ place: String, _ arguments: [PostgresValue]
    ) throws -> [Webhook] {
        try db.query(
            """
            SELECT id, name, description, url, status, creation_time, last_update_time,
                (EXISTS (SELECT 1 FROM webhook_secrets s WHERE s.owner = w.seq))::int,
                (SELECT string_agg(event, ' ') FROM webhook_events e WHERE e.owner = w.seq)
            FROM webhooks w \(place)
            """, arguments
        ).map { row in
            let events = (row.optionalText(8) ?? "").split(separator: " ").map(String.init)
            return Webhook(
                id: WebhookID(try row.text(0)), name: try row.text(1), description: try row.text(2),
                url: try row.text(3), events: Set(events.compactMap(WebhookEvent.init(rawValue:))),
                status: Webhook.Status(rawValue: try row.text(4)) ?? .disabled, creationTime: try row.time(5),
                lastUpdateTime: try row.time(6), hasSecret: try row.int(7) == 1)
        }
    }
}
