public import AerieCore
import AerieJSON
public import Experiments
public import Imports

extension MLflowServerSource {
    /// The server gives no more traces in one answer.
    private static let tracesPerPage = 500
    /// Identifiers that are named in one address.
    private static let tracesPerCall = 25
    /// Fields of an assessment that have places of their own; the rest is kept as it comes.
    private static let assessmentFields: Set<String> = [
        "assessment_id", "assessment_name", "trace_id", "create_time", "last_update_time", "overrides", "valid",
    ]

    public func traces(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<Trace> {
        do throws(AerieError) {
            return try await page(after: place, per: Self.experimentsPerCall) { experiments, token throws(AerieError) in
                try await self.traces(in: experiments, limit: limit, token: token)
            }
        } catch {
            // Servers before MLflow 3 do not have it.
            guard error.code == .notFound, place == nil else { throw error }
            return ImportPage()
        }
    }

    /// One page of a search.
    func traces(
        in experiments: [ExperimentID], limit: Int, token: String?, filter: String? = nil
    ) async throws(AerieError) -> ImportPage<Trace> {
        let locations = experiments.map { experiment -> JSONValue in
            ["type": "MLFLOW_EXPERIMENT", "mlflow_experiment": ["experiment_id": .string(experiment.text)]]
        }
        var body: JSONObject = [
            "locations": .array(locations), "max_results": .int(Int64(min(limit, Self.tracesPerPage))),
            "order_by": ["timestamp_ms ASC"],
        ]
        body["filter"] = filter.map(JSONValue.string)
        body["page_token"] = token.map(JSONValue.string)
        let answer = try await server.post("/api/3.0/mlflow/traces/search", .object(body))
        var traces: [Trace] = []
        for value in answer["traces"]?.array ?? [] { traces.append(try Self.trace(value)) }
        return ImportPage(traces, next: answer.nextPage)
    }

    /// Spans that the server keeps come with the traces; others are a file among their artifacts.
    public func completed(_ traces: [Trace]) async throws(AerieError) -> [ImportedTrace] {
        var spans: [TraceID: [Span]] = [:]
        let kept = traces.filter { trace in trace.tags.contains { $0.key == SpanBatch.spansLocation } }.map(\.id)
        for start in stride(from: 0, to: kept.count, by: Self.tracesPerCall) {
            let some = kept[start..<min(start + Self.tracesPerCall, kept.count)]
            let answer = try await server.get(
                "/api/3.0/mlflow/traces/batchGet", some.map { ("trace_ids", $0.text) })
            for value in answer["traces"]?.array ?? [] {
                guard let id = value["trace_info"]?["trace_id"]?.string.map({ TraceID($0) }) else { continue }
                spans[id] = (value["spans"]?.array ?? []).compactMap { MLflowSpan.answered($0, of: id) }
            }
        }
        let links = try await links.take(traces, from: self)
        return traces.map { trace in
            ImportedTrace(
                trace, spans: spans[trace.id] ?? [], runs: links[trace.id]?.runs ?? [],
                prompts: links[trace.id]?.prompts ?? [])
        }
    }

    private static func trace(_ value: JSONValue) throws(AerieError) -> Trace {
        let id = TraceID(try value.required("trace_id"))
        let location = value["trace_location"]?["mlflow_experiment"] ?? .null
        return Trace(
            id: id, experimentID: ExperimentID(try location.required("experiment_id")),
            requestTime: value["request_time"]?.string.flatMap { Timestamp(rfc3339: $0) }
                ?? Timestamp(milliseconds: 0),
            duration: value["execution_duration"]?.string.flatMap { text in
                text.hasSuffix("s") ? Double(text.dropLast()).map { Int64(($0 * 1000).rounded()) } : nil
            },
            state: TraceState(rawValue: value["state"]?.string ?? "") ?? .unspecified,
            clientRequestID: value["client_request_id"]?.string, requestPreview: value["request_preview"]?.string,
            responsePreview: value["response_preview"]?.string, metadata: value.map("trace_metadata"),
            tags: value.map("tags"),
            assessments: (value["assessments"]?.array ?? []).compactMap { assessment($0, of: id) })
    }

    static func assessment(_ value: JSONValue, of trace: TraceID) -> Assessment? {
        guard let id = value.text(at: "assessment_id"), let object = value.object else { return nil }
        let created = value["create_time"]?.string.flatMap { Timestamp(rfc3339: $0) } ?? Timestamp(milliseconds: 0)
        return Assessment(
            id: AssessmentID(id), traceID: trace, name: value["assessment_name"]?.string ?? "", createTime: created,
            lastUpdateTime: value["last_update_time"]?.string.flatMap { Timestamp(rfc3339: $0) } ?? created,
            overrides: value.text(at: "overrides").map { AssessmentID($0) }, isValid: value["valid"]?.bool ?? true,
            content: JSONObject(
                object.members.filter { !assessmentFields.contains($0.key) }.map { ($0.key, $0.value) }))
    }
}

extension JSONValue {
    /// An object of texts, by key.
    fileprivate func map(_ key: String) -> [Tag] {
        (self[key]?.object?.members ?? []).map { Tag(key: $0.key, value: $0.value.string ?? "") }
            .sorted { $0.key < $1.key }
    }
}
