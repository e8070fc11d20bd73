import AerieCore
import AerieJSON
import Pipelines

/// How pipeline runs lie in their tables.
enum PostgresPipelineRows {
    static func missing(_ id: String) -> AerieError { .notFound("there is no pipeline run '\(id)'") }

    static func sequence(_ db: PostgresConnection, of id: String) throws -> Int64? {
        try db.query("SELECT sequence FROM pipeline_run WHERE id = ?", [.init(id)]).first?.int(0)
    }

    /// A run without its steps, which have rows of their own.
    static func header(_ run: PipelineRun) -> String { JSONValue.object(run.json(includesSteps: false)).text() }

    /// Steps with their places in the run, in one statement.
    static func write(
        _ db: PostgresConnection, _ steps: [(offset: Int, element: StepRun)], of sequence: Int64
    ) throws {
        guard !steps.isEmpty else { return }
        try db.execute(
            """
            INSERT INTO pipeline_step (run, position, name, source, body)
            SELECT ?::bigint, position, name, source, body
            FROM unnest(?::bigint[], ?::text[], ?::text[], ?::text[]) AS given (position, name, source, body)
            ON CONFLICT (run, position) DO UPDATE SET
                name = excluded.name, source = excluded.source, body = excluded.body
            """,
            [
                .init(sequence), .array(steps.map { Int64($0.offset) }), .array(steps.map(\.element.name)),
                .array(steps.map { PostgresValue($0.element.cachedFrom) }),
                .array(steps.map { JSONValue.object($0.element.json()).text() }),
            ])
    }

    /// From the columns `sequence` and `body`, with the steps of all of them in one query.
    static func runs(_ db: PostgresConnection, _ rows: [PostgresRow]) throws -> [PipelineRun] {
        guard !rows.isEmpty else { return [] }
        var steps: [Int64: [StepRun]] = [:]
        let found = try db.query(
            "SELECT run, body FROM pipeline_step WHERE run = ANY(?::bigint[]) ORDER BY run, position",
            [.array(try rows.map { try $0.int(0) })])
        for row in found { steps[try row.int(0), default: []].append(try StepRun(json: object(row.text(1)))) }
        return try rows.map { row in
            var run = try PipelineRun(json: object(row.text(1)))
            run.steps = steps[try row.int(0)] ?? []
            return run
        }
    }

    /// A server's own ended runs beyond the newest of their pipeline, whose results no run that is kept has taken.
    static func expired(_ db: PostgresConnection, home: String, keeping: Int, limit: Int) throws -> [String] {
        try db.query(
            """
            SELECT id FROM (
              SELECT sequence, id, state,
                row_number() OVER (PARTITION BY namespace, pipeline ORDER BY sequence DESC) AS place
              FROM pipeline_run WHERE home = ? AND NOT retired) AS r
            WHERE place > ? AND state = ANY(?::text[]) AND NOT EXISTS (
              SELECT 1 FROM pipeline_step AS s JOIN pipeline_run AS k ON k.sequence = s.run
              WHERE s.source = r.id AND NOT k.retired)
            ORDER BY sequence LIMIT ?
            """,
            [
                .init(home), .init(max(keeping, 1)),
                .array(PipelineRun.State.allCases.filter(\.isFinal).map(\.rawValue)), .init(limit),
            ]
        ).map { try $0.text(0) }
    }

    static func object(_ text: String) throws(AerieError) -> JSONObject {
        guard let object = try? JSONValue.parse(text).object else {
            throw AerieError(.dataLoss, "a stored pipeline record is not JSON")
        }
        return object
    }
}
