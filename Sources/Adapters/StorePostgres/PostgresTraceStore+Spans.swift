public import AerieCore
public import Experiments

extension PostgresTraceStore {
    public func record(_ batches: [SpanBatch]) async throws(AerieError) {
        try await database.write { db in
            try Self.lock(db, batches.map(\.trace.id))
            for batch in batches {
                let known = try Self.find(db, batch.trace.id).flatMap { try Self.read(db, [$0]).first }
                let owner = try Self.write(db, batch.merged(into: known))
                for span in batch.spans { try Self.write(db, span, owner: owner) }
                let rows = try db.query(
                    "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM trace_spans WHERE owner = ?", [.init(owner)])
                guard let row = rows.first else { continue }
                try TraceLimits.check(batch.trace.id, spans: try row.int(0), bytes: try row.int(1))
            }
        }
    }

    private static func write(_ db: PostgresConnection, _ span: Span, owner: Int64) throws {
        // Text of PostgreSQL holds no NUL; in JSON it is an escape, and only a name may hold it as it is.
        let name = span.name.replacing("\0", with: " ")
        try db.execute(
            """
            INSERT INTO trace_spans (owner, id, parent, name, kind, start_time, end_time, state, size, content,
                model, provider, input_cost, output_cost, total_cost)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (owner, id) DO UPDATE SET parent = excluded.parent, name = excluded.name,
                kind = excluded.kind, start_time = excluded.start_time, end_time = excluded.end_time,
                state = excluded.state, size = excluded.size, content = excluded.content,
                model = excluded.model, provider = excluded.provider, input_cost = excluded.input_cost,
                output_cost = excluded.output_cost, total_cost = excluded.total_cost
            """,
            [
                .init(owner), .init(span.id), .init(span.parentID), .init(name), .init(span.kind),
                .init(span.start), .init(span.end), .init(span.state.rawValue), .init(span.content.utf8.count),
                .init(span.content),
            ] + facts(span))
    }

    public func spans(of ids: [TraceID]) async throws(AerieError) -> [TraceID: [Span]] {
        try await database.read { db in
            var found: [TraceID: [Span]] = [:]
            let rows = try db.query(
                """
                SELECT t.id, s.id, s.parent, s.name, s.kind, s.start_time, s.end_time, s.state, s.content
                FROM trace_spans s JOIN traces t ON t.seq = s.owner WHERE t.id = ANY(?::text[])
                ORDER BY s.owner, s.start_time, s.id
                """, [.array(ids.map(\.text))])
            for row in rows {
                let id = TraceID(try row.text(0))
                found[id, default: []].append(
                    Span(
                        traceID: id, id: try row.text(1), parentID: row.optionalText(2), name: try row.text(3),
                        kind: try row.text(4), start: try row.int(5), end: row.optionalInt(6),
                        state: TraceState(rawValue: try row.text(7)) ?? .unspecified, content: try row.text(8)))
            }
            return found
        }
    }

    public func link(_ ids: [TraceID], _ kind: TraceLink, to targets: [String]) async throws(AerieError) {
        try await database.write { db in
            for id in ids.sorted(by: { $0.text < $1.text }) {
                guard let owner = try Self.find(db, id) else {
                    throw AerieError.missing(id)
                }
                try db.execute(
                    """
                    INSERT INTO trace_links (owner, kind, target)
                    SELECT ?::bigint, ?, target FROM unnest(?::text[]) AS given (target) ON CONFLICT DO NOTHING
                    """, [.init(owner), .init(kind.rawValue), .array(targets.sorted())])
            }
        }
    }

    public func links(of id: TraceID, _ kind: TraceLink) async throws(AerieError) -> [String] {
        try await database.read { db in
            guard let owner = try Self.find(db, id) else { return [] }
            return try db.query(
                "SELECT target FROM trace_links WHERE owner = ? AND kind = ? ORDER BY target",
                [.init(owner), .init(kind.rawValue)]
            ).map { try $0.text(0) }
        }
    }
}
