public import AerieCore
public import Experiments
import GRDB

extension SQLiteTraceStore {
    static let spansMigration = Migration("traces.2") { db in
        for statement in partStatements { try db.execute(sql: statement) }
    }

    private static let partStatements = [
        """
        CREATE TABLE trace_spans (
            owner INTEGER NOT NULL REFERENCES traces(seq) ON DELETE CASCADE, id TEXT NOT NULL, parent TEXT,
            name TEXT NOT NULL, kind TEXT NOT NULL, start_time INTEGER NOT NULL, end_time INTEGER,
            state TEXT NOT NULL, size INTEGER NOT NULL, content TEXT NOT NULL, UNIQUE (owner, id))
        """,
        "CREATE INDEX trace_spans_by_size ON trace_spans (owner, size)",
        """
        CREATE TABLE trace_links (
            owner INTEGER NOT NULL REFERENCES traces(seq) ON DELETE CASCADE, kind TEXT NOT NULL,
            target TEXT NOT NULL, PRIMARY KEY (owner, kind, target)) WITHOUT ROWID
        """,
        "CREATE INDEX trace_links_by_target ON trace_links (kind, target, owner)",
        """
        CREATE TABLE trace_assessments (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL REFERENCES traces(seq) ON DELETE CASCADE, name TEXT NOT NULL,
            creation_time INTEGER NOT NULL, last_update_time INTEGER NOT NULL, overrides TEXT,
            is_valid INTEGER NOT NULL, content TEXT NOT NULL)
        """,
        "CREATE INDEX trace_assessments_by_owner ON trace_assessments (owner, seq)",
    ]

    public func record(_ batches: [SpanBatch]) async throws(AerieError) {
        try await database.write { db in
            for batch in batches {
                let known = try Self.find(db, batch.trace.id).flatMap { try Self.read(db, [$0]).first }
                let owner = try Self.write(db, batch.merged(into: known))
                for span in batch.spans { try Self.write(db, span, owner: owner) }
                guard
                    let row = try Row.fetchOne(
                        db, sql: "SELECT COUNT(*), SUM(size) FROM trace_spans WHERE owner = ?", arguments: [owner])
                else { continue }
                try TraceLimits.check(batch.trace.id, spans: row[0], bytes: row[1] ?? 0)
            }
        }
    }

    private static func write(_ db: Database, _ span: Span, owner: Int64) throws {
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO trace_spans (owner, id, parent, name, kind, start_time, end_time, state, size, content,
                    model, provider, input_cost, output_cost, total_cost)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (owner, id) DO UPDATE SET parent = excluded.parent, name = excluded.name,
                    kind = excluded.kind, start_time = excluded.start_time, end_time = excluded.end_time,
                    state = excluded.state, size = excluded.size, content = excluded.content,
                    model = excluded.model, provider = excluded.provider, input_cost = excluded.input_cost,
                    output_cost = excluded.output_cost, total_cost = excluded.total_cost
                """)
        let own: StatementArguments = [
            owner, span.id, span.parentID, span.name, span.kind, span.start, span.end, span.state.rawValue,
            span.content.utf8.count, span.content,
        ]
        try statement.execute(arguments: own + facts(span))
    }

    public func spans(of ids: [TraceID]) async throws(AerieError) -> [TraceID: [Span]] {
        try await database.read { db in
            var found: [TraceID: [Span]] = [:]
            let statement = try db.cachedStatement(
                sql: """
                    SELECT id, parent, name, kind, start_time, end_time, state, content FROM trace_spans
                    WHERE owner = ? ORDER BY start_time, id
                    """)
            for id in ids {
                guard let owner = try Self.find(db, id) else { continue }
                let spans = try Row.fetchAll(statement, arguments: [owner]).map { row in
                    Span(
                        traceID: id, id: row[0], parentID: row[1], name: row[2], kind: row[3], start: row[4],
                        end: row[5], state: TraceState(rawValue: row[6]) ?? .unspecified, content: row[7])
                }
                if !spans.isEmpty { found[id] = spans }
            }
            return found
        }
    }

    public func link(_ ids: [TraceID], _ kind: TraceLink, to targets: [String]) async throws(AerieError) {
        try await database.write { db in
            let statement = try db.cachedStatement(
                sql: "INSERT INTO trace_links (owner, kind, target) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            for id in ids {
                guard let owner = try Self.find(db, id) else {
                    throw AerieError.missing(id)
                }
                for target in targets { try statement.execute(arguments: [owner, kind.rawValue, target]) }
            }
        }
    }

    public func links(of id: TraceID, _ kind: TraceLink) async throws(AerieError) -> [String] {
        try await database.read { db in
            guard let owner = try Self.find(db, id) else { return [] }
            return try String.fetchAll(
                db, sql: "SELECT target FROM trace_links WHERE owner = ? AND kind = ? ORDER BY target",
                arguments: [owner, kind.rawValue])
        }
    }
}
