public import AerieCore
import AerieJSON
public import Experiments
import SearchSQL

extension PostgresTraceStore: TraceMeasureStore {
    /// What searches and measurements ask of spans and assessments, beside the content that says it.
    static let factsMigration = PostgresMigration(name: "traces.3", statements: factStatements) { db in
        for row in try db.query("SELECT owner, id, content FROM trace_spans WHERE position('mlflow.llm.' in content) > 0") {
            let span = Span(traceID: "", id: "", name: "", start: 0, content: try row.text(2))
            try db.execute(
                """
                UPDATE trace_spans SET model = ?, provider = ?, input_cost = ?, output_cost = ?, total_cost = ?
                WHERE owner = ? AND id = ?
                """, facts(span) + [.init(try row.int(0)), .init(try row.text(1))])
        }
        for row in try db.query("SELECT seq, content FROM trace_assessments") {
            let time = Timestamp(milliseconds: 0)
            let assessment = Assessment(
                id: "", traceID: "", name: "", createTime: time, lastUpdateTime: time,
                content: (try? JSONValue.parse(try row.text(1)).object) ?? [:])
            try db.execute(
                """
                UPDATE trace_assessments SET kind = ?, value = ?, number = ?, is_numeric = ?, of_session = ? WHERE seq = ?
                """, facts(assessment) + [.init(try row.int(0))])
        }
    }

    // A content that PostgreSQL takes for no JSON, such as one with a NUL in it, has no attributes to be found by.
    private static let factStatements = [
        """
        ALTER TABLE trace_spans ADD COLUMN model TEXT COLLATE "C", ADD COLUMN provider TEXT COLLATE "C",
            ADD COLUMN input_cost DOUBLE PRECISION, ADD COLUMN output_cost DOUBLE PRECISION,
            ADD COLUMN total_cost DOUBLE PRECISION
        """,
        """
        ALTER TABLE trace_assessments ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT '',
            ADD COLUMN value TEXT COLLATE "C", ADD COLUMN number DOUBLE PRECISION,
            ADD COLUMN is_numeric SMALLINT NOT NULL DEFAULT 0, ADD COLUMN of_session SMALLINT NOT NULL DEFAULT 0
        """,
        """
        CREATE FUNCTION span_attribute(content text, name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $function$
        DECLARE found jsonb;
        BEGIN
            IF position(name IN content) = 0 THEN RETURN NULL; END IF;
            SELECT part.value -> 'value' INTO found
                FROM jsonb_array_elements(content::jsonb -> 'attributes') AS part
                WHERE part.value ->> 'key' = name LIMIT 1;
            RETURN COALESCE(found ->> 'string_value', found ->> 'int_value', found ->> 'double_value',
                found ->> 'bool_value', found::text);
        EXCEPTION WHEN data_exception THEN RETURN NULL;
        END $function$
        """,
    ]

    /// `model`, `provider`, `input_cost`, `output_cost` and `total_cost`.
    static func facts(_ span: Span) -> [PostgresValue] {
        guard span.content.contains("mlflow.llm.") else { return [nil, nil, nil, nil, nil] }
        let texts = [span.model, span.provider].map { PostgresValue($0?.replacing("\0", with: " ")) }
        return texts + ["input_cost", "output_cost", "total_cost"].map { number(span.cost($0)) }
    }

    /// `kind`, `value`, `number`, `is_numeric` and `of_session`.
    static func facts(_ assessment: Assessment) -> [PostgresValue] {
        [
            .init(assessment.kind?.rawValue ?? ""), .init(assessment.value?.text()), number(assessment.number),
            .init(assessment.isNumeric ? 1 : 0), .init(assessment.isOfSession ? 1 : 0),
        ]
    }

    private static func number(_ value: Double?) -> PostgresValue { value.map { PostgresValue($0) } ?? nil }

    public func counts(
        of filters: [[[SearchCondition]]], in experimentIDs: [ExperimentID]
    ) async throws(AerieError) -> [Int] {
        try await database.read { db in
            try filters.map { try SearchStatement.count(PostgresSearch(db), $0, in: experimentIDs, Self.tables) }
        }
    }

    public func measure(_ query: TraceMetricQuery) async throws(AerieError) -> [TraceMetricRow] {
        try await database.read { db in
            var search = TraceMeasureSearch(query, Self.tables, .postgres)
            return try search.rows(PostgresSearch(db))
        }
    }
}
