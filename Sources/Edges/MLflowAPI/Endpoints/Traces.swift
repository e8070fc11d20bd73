import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

extension Endpoint {
    /// Traces as MLflow 3 writes and reads them; spans come by `SpanIntake`, or as a file in the artifact store.
    static let traces: [Endpoint] = infos + linking + assessments + traceMetrics + olderTraces

    private static let infos: [Endpoint] = [
        Endpoint(.post, "/mlflow/traces") { routes, call throws(AerieError) in
            guard call.fields.has("trace") else { return try await startOlder(routes, call) }
            let info = try call.fields.fields("trace").fields("trace_info")
            var trace = try info.trace()
            trace.assessments = try info.assessments(of: trace.id) { routes.traces.assessmentStamp() }
            return ["trace": ["trace_info": try await routes.traces.put(trace).mlflow]]
        },
        Endpoint(.get, "/mlflow/traces/get") { routes, call throws(AerieError) in
            let id = try call.fields.traceID()
            let trace = try await routes.traces.trace(id)
            return ["trace": trace.mlflow(spans: try await routes.traces.spans(of: [id])[id] ?? [])]
        },
        Endpoint(.post, "/mlflow/traces/batchGet", batchGet),
        Endpoint(.get, "/mlflow/traces/batchGet", batchGet),
        Endpoint(.get, "/mlflow/traces/{trace_id}") { routes, call throws(AerieError) in
            ["trace": ["trace_info": try await routes.traces.trace(try call.fields.traceID()).mlflow]]
        },
        Endpoint(.post, "/mlflow/traces/batchGetInfos") { routes, call throws(AerieError) in
            ["trace_infos": .array(try await named(routes, call).map(\.mlflow))]
        },
        Endpoint(.post, "/mlflow/traces/search") { routes, call throws(AerieError) in
            let fields = call.fields
            var experiments: [ExperimentID] = []
            for location in try fields.objects("locations") {
                experiments.append(try location.experimentLocation())
            }
            return try await search(routes, fields, experiments) { $0.mlflow }
        },
        Endpoint(.patch, "/mlflow/traces/{trace_id}/tags") { routes, call throws(AerieError) in
            let tag = Tag(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.traces.setTags(try call.fields.traceID(), [tag])
            return [:]
        },
        Endpoint(.delete, "/mlflow/traces/{trace_id}/tags") { routes, call throws(AerieError) in
            try await routes.traces.deleteTag(try call.fields.traceID(), key: try call.fields.required("key"))
            return [:]
        },
        Endpoint(.post, "/mlflow/traces/delete-traces") { routes, call throws(AerieError) in
            let fields = call.fields
            var selection = TraceSelection(
                experimentID: ExperimentID(try fields.required("experiment_id")),
                ids: try fields.strings("request_ids").map { TraceID($0) },
                until: try fields.time("max_timestamp_millis"))
            selection.limit = min(try fields.limit("max_traces", otherwise: selection.limit), selection.limit)
            return ["traces_deleted": .int(Int64(try await routes.traces.delete(selection)))]
        },
    ]

    private static let linking: [Endpoint] = [
        Endpoint(.post, "/mlflow/traces/link-prompts") { routes, call throws(AerieError) in
            var prompts: [String] = []
            for prompt in try call.fields.objects("prompt_versions") {
                let version = try prompt.required("version")
                guard Int64(version) != nil else {
                    throw .invalid("prompt_versions.version", "\"\(version.prefix(40))\" is no number")
                }
                prompts.append("\(try prompt.required("name"))/\(version)")
            }
            try await routes.traces.link(try call.fields.traceID(), prompts: prompts)
            return [:]
        },
        Endpoint(.post, "/mlflow/traces/link-to-run") { routes, call throws(AerieError) in
            try await routes.traces.link(
                try call.fields.strings("trace_ids").map { TraceID($0) }, to: try call.fields.runID())
            return [:]
        },
    ]

    private static let batchGet: Handler = { routes, call throws(AerieError) in
        let found = try await named(routes, call)
        let spans = try await routes.traces.spans(of: found.map(\.id))
        return ["traces": .array(found.map { $0.mlflow(spans: spans[$0.id] ?? []) })]
    }

    /// The traces that a call names, of the experiments that it names, if it does.
    private static func named(_ routes: MLflowRoutes, _ call: Call) async throws(AerieError) -> [Trace] {
        let found = try await routes.traces.traces(try call.fields.strings("trace_ids").map { TraceID($0) })
        guard call.fields.has("experiment_ids") else { return found }
        let experiments = Set(try call.fields.experimentIDs())
        return found.filter { experiments.contains($0.experimentID) }
    }

    static func search(
        _ routes: MLflowRoutes, _ fields: Fields, _ experiments: [ExperimentID], _ encode: (Trace) -> JSONValue
    ) async throws(AerieError) -> JSONObject {
        let page = try await routes.traces.search(
            in: experiments, filter: try fields.string("filter"), orderBy: try fields.strings("order_by"),
            limit: try fields.limit(otherwise: 100), pageToken: try fields.string("page_token"))
        var body = JSONObject()
        body.add("traces", page.elements.map(encode))
        body.add(nextPage: page.next)
        return body
    }
}

extension Fields {
    func traceID() throws(AerieError) -> TraceID { TraceID(try required("trace_id")) }

    func experimentLocation() throws(AerieError) -> ExperimentID {
        ExperimentID(try fields("mlflow_experiment").required("experiment_id"))
    }

    func trace() throws(AerieError) -> Trace {
        guard let time = try string("request_time") else { throw missing("request_time") }
        guard let requestTime = Timestamp(rfc3339: time) else {
            throw .invalid(
                "trace.trace_info.request_time", "\"\(time.prefix(40))\" is no time such as 2026-03-01T12:00:00Z")
        }
        var duration: Int64?
        if let text = try string("execution_duration") {
            guard text.hasSuffix("s"), let seconds = Double(text.dropLast()), abs(seconds) < 1e12 else {
                throw .invalid(
                    "trace.trace_info.execution_duration", "\"\(text.prefix(40))\" is no duration such as 1.5s")
            }
            duration = Int64((seconds * 1000).rounded())
        }
        return Trace(
            id: try traceID(), experimentID: try fields("trace_location").experimentLocation(),
            requestTime: requestTime, duration: duration,
            state: try word("state", TraceState.self, first: 0) ?? .unspecified,
            clientRequestID: try string("client_request_id"), requestPreview: try string("request_preview"),
            responsePreview: try string("response_preview"), metadata: try map("trace_metadata"),
            tags: try map("tags"))
    }
}

extension Trace {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "trace_id": .string(id.text),
            "trace_location": [
                "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": ["experiment_id": .string(experimentID.text)],
            ],
            "request_time": .string(requestTime.iso8601Milliseconds), "state": .string(state.rawValue),
        ]
        if let duration {
            let fraction = String(1000 + duration.magnitude % 1000).dropFirst()
            let sign = duration < 0 ? "-" : ""
            object["execution_duration"] = .string("\(sign)\(duration.magnitude / 1000).\(fraction)s")
        }
        object.add("client_request_id", clientRequestID)
        object.add("request_preview", requestPreview)
        object.add("response_preview", responsePreview)
        object["trace_metadata"] = .object(JSONObject(metadata.map { ($0.key, .string($0.value)) }))
        object["tags"] = .object(JSONObject(tags.map { ($0.key, .string($0.value)) }))
        object.add("assessments", assessments.map(\.mlflow))
        return .object(object)
    }

    /// Spans are kept as they are given here.
    func mlflow(spans: [Span]) -> JSONValue {
        var object: JSONObject = ["trace_info": mlflow]
        object.add("spans", spans.compactMap { try? JSONValue.parse($0.content) })
        return .object(object)
    }
}
