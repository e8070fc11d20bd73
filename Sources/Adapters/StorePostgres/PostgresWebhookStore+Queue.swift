public import AerieCore
public import Webhooks

/// The queue of what is to be delivered.
extension PostgresWebhookStore {
    public func enqueue(
        _ events: [(WebhookEvent, payload: String)], at time: Timestamp
    ) async throws(AerieError) -> Int {
        // Most servers have no webhooks: their writes should not wait for a commit that changes nothing.
        let kinds = Set(events.map { $0.0.rawValue }).sorted()
        let isWanted = try await database.read { db in
            try !db.query("SELECT 1 FROM webhook_events WHERE event = ANY(?::text[]) LIMIT 1", [.array(kinds)]).isEmpty
        }
        guard isWanted else { return 0 }
        return try await database.write { db in
            var queued = 0
            for (event, payload) in events {
                let owners = try db.query(
                    """
                    SELECT w.seq FROM webhook_events e JOIN webhooks w ON w.seq = e.owner
                    WHERE e.event = ? AND w.status = 'ACTIVE' ORDER BY w.seq
                    """, [.init(event.rawValue)]
                ).map { try $0.int(0) }
                guard !owners.isEmpty else { continue }
                queued += try db.execute(
                    """
                    INSERT INTO webhook_deliveries (id, owner, event, payload, state, attempts, creation_time,
                        next_attempt_time, problem)
                    SELECT given.id, given.owner, ?::text, ?::text, 'pending', 0, ?::bigint, ?::bigint, ''
                    FROM unnest(?::text[], ?::bigint[]) WITH ORDINALITY AS given (id, owner, place)
                    WHERE EXISTS (SELECT 1 FROM webhooks w WHERE w.seq = given.owner) ORDER BY place
                    """,
                    [
                        .init(event.rawValue), .init(payload), .init(time.milliseconds), .init(time.milliseconds),
                        .array(owners.map { _ in IdentifierSource.system.uuid() }), .array(owners),
                    ])
            }
            return queued
        }
    }

    public func claim(
        limit: Int, perWebhook: Int, skipping busy: Set<WebhookID>, now: Timestamp, until: Timestamp
    ) async throws(AerieError) -> [ClaimedDelivery] {
        guard let next = try await nextDue(skipping: busy), next <= now else { return [] }
        return try await database.write { db in
            // Rows that another server is taking on are passed over; one that it took before the lock was given is
            // looked at again and is no longer due.
            let rows = try db.query(
                """
                WITH due AS (
                    SELECT d.seq,
                        row_number() OVER (PARTITION BY d.owner ORDER BY d.next_attempt_time, d.seq) AS place
                    FROM webhook_deliveries d JOIN webhooks w ON w.seq = d.owner
                    WHERE d.state = 'pending' AND d.next_attempt_time <= ?::bigint AND w.status = 'ACTIVE'
                        AND NOT w.id = ANY(?::text[])),
                claimed AS MATERIALIZED (
                    SELECT d.seq, d.next_attempt_time AS was FROM webhook_deliveries d JOIN due ON due.seq = d.seq
                    WHERE due.place <= ?::bigint AND d.state = 'pending' AND d.next_attempt_time <= ?::bigint
                    ORDER BY d.next_attempt_time, d.seq LIMIT ? FOR UPDATE OF d SKIP LOCKED)
                UPDATE webhook_deliveries d SET next_attempt_time = ?::bigint
                FROM claimed, webhooks w LEFT JOIN webhook_secrets s ON s.owner = w.seq
                WHERE d.seq = claimed.seq AND w.seq = d.owner
                RETURNING claimed.was, d.seq, d.id, w.id, w.url, encode(s.sealed, 'hex'), d.event, d.payload, d.attempts
                """,
                [
                    .init(now.milliseconds), .array(busy.map(\.text).sorted()), .init(perWebhook),
                    .init(now.milliseconds), .init(limit), .init(until.milliseconds),
                ])
            let ordered = try rows.map { (due: (try $0.int(0), try $0.int(1)), row: $0) }.sorted { $0.due < $1.due }
            return try ordered.compactMap { _, row in
                guard let event = WebhookEvent(rawValue: try row.text(6)) else { return nil }
                return ClaimedDelivery(
                    id: try row.text(2), webhookID: WebhookID(try row.text(3)), url: try row.text(4),
                    sealedSecret: row.optionalText(5).flatMap { Hexadecimal.decode($0) }, event: event,
                    payload: try row.text(7), attempts: Int(try row.int(8)))
            }
        }
    }

    public func finish(_ id: String, _ outcome: DeliveryOutcome, at time: Timestamp) async throws(AerieError) {
        _ = try await database.write { db in
            try db.execute(
                """
                UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, last_attempt_time = ?,
                    next_attempt_time = ?, response_status = ?, problem = ? WHERE id = ?
                """,
                [
                    .init(outcome.state.rawValue), .init(time.milliseconds),
                    .init(outcome.nextAttemptTime?.milliseconds), .init(outcome.responseStatus.map { Int64($0) }),
                    .init(outcome.problem), .init(id),
                ])
        }
    }

    public func nextDue(skipping busy: Set<WebhookID>) async throws(AerieError) -> Timestamp? {
        try await database.read { db in
            try db.query(
                """
                SELECT d.next_attempt_time FROM webhook_deliveries d JOIN webhooks w ON w.seq = d.owner
                WHERE d.state = 'pending' AND w.status = 'ACTIVE' AND NOT w.id = ANY(?::text[])
                ORDER BY d.next_attempt_time, d.seq LIMIT 1
                """, [.array(busy.map(\.text).sorted())]
            ).first?.time(0)
        }
    }

    public func deliveries(
        to id: WebhookID, offset: Int, limit: Int
    ) async throws(AerieError) -> [WebhookDelivery] {
        try await database.read { db in
            guard let owner = try db.query("SELECT seq FROM webhooks WHERE id = ?", [.init(id.text)]).first?.int(0)
            else { throw Self.missing(id) }
            return try db.query(
                """
                SELECT id, event, state, attempts, creation_time, last_attempt_time, next_attempt_time,
                    response_status, problem
                FROM webhook_deliveries WHERE owner = ? ORDER BY seq DESC LIMIT ? OFFSET ?
                """, [.init(owner), .init(limit), .init(offset)]
            ).compactMap { row in
                guard let event = WebhookEvent(rawValue: try row.text(1)),
                    let state = WebhookDelivery.State(rawValue: try row.text(2))
                else { return nil }
                return WebhookDelivery(
                    id: try row.text(0), webhookID: id, event: event, state: state, attempts: Int(try row.int(3)),
                    creationTime: try row.time(4), lastAttemptTime: row.optionalTime(5),
                    nextAttemptTime: row.optionalTime(6), responseStatus: row.optionalInt(7).map { Int($0) },
                    problem: try row.text(8))
            }
        }
    }

    public func trim(before time: Timestamp) async throws(AerieError) -> Int {
        try await database.write { db in
            try db.execute(
                """
                DELETE FROM webhook_deliveries WHERE seq IN (
                    SELECT seq FROM webhook_deliveries WHERE state <> 'pending' AND last_attempt_time < ?
                    LIMIT 10000)
                """, [.init(time.milliseconds)])
        }
    }
}
