public import AerieCore
import AerieJSON
public import Experiments
import GRDB
public import Imports

extension MLflowDatabaseSource {
    public func traces(after: String?, limit: Int) async throws(AerieError) -> ImportPage<Trace> {
        guard tables.contains("trace_info") else { return ImportPage() }
        let found: [Trace] = try await read { db in
            let client = try Self.column(db, "trace_info", "client_request_id")
            let request = try Self.column(db, "trace_info", "request_preview")
            let response = try Self.column(db, "trace_info", "response_preview")
            // A tag that newer versions keep as a column.
            let name = try Self.column(db, "trace_info", "trace_name")
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT request_id, experiment_id, timestamp_ms, execution_time_ms, status, \(client), \(request),
                        \(response), \(name) FROM trace_info WHERE request_id > ? ORDER BY request_id LIMIT ?
                    """, arguments: [after ?? "", limit])
            guard let first = rows.first, let last = rows.last else { return [] }
            let range: StatementArguments = [first[0] as String, last[0] as String]
            let tags = try Self.texts(db, "trace_tags", "request_id", range)
            let metadata = try Self.texts(db, "trace_request_metadata", "request_id", range)
            return rows.map { row in
                let id: String = row[0]
                var own = tags[id] ?? []
                if let name = row[8] as String?, !own.contains(where: { $0.key == "mlflow.traceName" }) {
                    own.append(Tag(key: "mlflow.traceName", value: name))
                }
                return Trace(
                    id: TraceID(id), experimentID: ExperimentID("\(row[1] as Int64)"),
                    requestTime: Timestamp(milliseconds: row[2]), duration: row[3],
                    state: TraceState(rawValue: row[4] ?? "") ?? .unspecified, clientRequestID: row[5],
                    requestPreview: row[6], responsePreview: row[7], metadata: metadata[id] ?? [], tags: own)
            }
        }
        return ImportPage(found, next: found.count < limit ? nil : found.last?.id.text)
    }

    public func completed(_ traces: [Trace]) async throws(AerieError) -> [ImportedTrace] {
        let tables = tables
        return try await read { db in
            try traces.map { trace in
                var imported = ImportedTrace(trace)
                if tables.contains("spans") { imported.spans = try Self.spans(db, trace.id) }
                if tables.contains("assessments") { imported.trace.assessments = try Self.assessments(db, trace.id) }
                if tables.contains("entity_associations") {
                    imported.runs = try Self.links(db, trace.id, to: "run")
                    imported.prompts = try Self.links(db, trace.id, to: "prompt_version")
                }
                return imported
            }
        }
    }

    private static func spans(_ db: Database, _ trace: TraceID) throws -> [Span] {
        let rows = try String.fetchCursor(
            db, sql: "SELECT content FROM spans WHERE trace_id = ? ORDER BY start_time_unix_nano, span_id",
            arguments: [trace.text])
        var spans: [Span] = []
        while let content = try rows.next() {
            guard let span = MLflowSpan.stored(content, of: trace) else {
                throw AerieError(.dataLoss, "a span of the trace \(trace) is not in MLflow's form")
            }
            spans.append(span)
        }
        return spans
    }

    private static func links(_ db: Database, _ trace: TraceID, to kind: String) throws -> [String] {
        try String.fetchAll(
            db,
            sql: """
                SELECT destination_id FROM entity_associations
                WHERE source_type = 'trace' AND source_id = ? AND destination_type = ? ORDER BY destination_id
                """, arguments: [trace.text, kind])
    }

    private static func assessments(_ db: Database, _ trace: TraceID) throws -> [Assessment] {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT assessment_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp,
                    source_type, source_id, span_id, rationale, overrides, valid, assessment_metadata FROM assessments
                WHERE trace_id = ? ORDER BY created_timestamp, assessment_id
                """, arguments: [trace.text])
        return rows.map { row in
            Assessment(
                id: AssessmentID(row[0]), traceID: trace, name: row[1], createTime: Timestamp(milliseconds: row[5]),
                lastUpdateTime: Timestamp(milliseconds: row[6]),
                overrides: (row[11] as String?).flatMap { $0.isEmpty ? nil : AssessmentID($0) }, isValid: row[12],
                content: content(row))
        }
    }

    /// In the form of MLflow's API, whose parts the database has in columns.
    private static func content(_ row: Row) -> JSONObject {
        func json(_ column: Int) -> JSONValue? {
            (row[column] as String?).flatMap { try? JSONValue.parse($0, allowsNonFinite: true) }
        }
        var source: JSONObject = ["source_type": .string(row[7])]
        source["source_id"] = (row[8] as String?).map(JSONValue.string)
        var content: JSONObject = ["source": .object(source)]
        let value = json(3) ?? .null
        switch row[2] as String {
        case "expectation":
            // The API has a place for plain values, and takes others as text.
            let isPlain = value.array == nil && value.object == nil
            content["expectation"] =
                isPlain
                ? ["value": value]
                : ["serialized_value": ["serialization_format": "JSON_FORMAT", "value": .string(value.text())]]
        case "issue": content["issue"] = value
        default:
            var feedback: JSONObject = ["value": value]
            feedback["error"] = json(4)
            content["feedback"] = .object(feedback)
        }
        content["rationale"] = (row[10] as String?).map(JSONValue.string)
        content["metadata"] = json(13)
        content["span_id"] = (row[9] as String?).flatMap { $0.isEmpty ? nil : .string($0) }
        return content
    }
}
