import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

/// Traces as clients before MLflow 3 write and read them, and as newer ones do where they must.
extension Endpoint {
    static let olderTraces: [Endpoint] = [
        Endpoint(.patch, "/mlflow/traces/{trace_id}") { routes, call throws(AerieError) in
            let fields = call.fields
            var trace = try await routes.traces.trace(try fields.traceID())
            if let end = try fields.time("timestamp_ms") {
                trace.duration = end.milliseconds - trace.requestTime.milliseconds
            }
            trace.state = try fields.olderState() ?? trace.state
            trace.metadata = try fields.tags("request_metadata").replacing(in: trace.metadata)
            trace.tags = try fields.tags().replacing(in: trace.tags)
            return ["trace_info": try await routes.traces.put(trace).older]
        },
        Endpoint(.get, "/mlflow/traces/{trace_id}/info") { routes, call throws(AerieError) in
            ["trace_info": try await routes.traces.trace(try call.fields.traceID()).older]
        },
        Endpoint(.get, "/mlflow/traces") { routes, call throws(AerieError) in
            try await search(routes, call.fields, try call.fields.experimentIDs()) { $0.older }
        },
    ]

    static func startOlder(_ routes: MLflowRoutes, _ call: Call) async throws(AerieError) -> JSONObject {
        let fields = call.fields
        guard let time = try fields.time("timestamp_ms") else { throw fields.missing("timestamp_ms") }
        let identifier = routes.traces.assessmentStamp().id.text.dropFirst(2)
        let trace = Trace(
            id: TraceID("tr-" + identifier), experimentID: try fields.experimentID(), requestTime: time,
            state: .inProgress, metadata: try fields.tags("request_metadata"), tags: try fields.tags())
        return ["trace_info": try await routes.traces.put(trace).older]
    }
}

extension Fields {
    fileprivate func olderState() throws(AerieError) -> TraceState? {
        try word("status", OlderState.self, first: 0)?.state
    }
}

/// The states in the order of the older message's numbers.
private enum OlderState: String, CaseIterable {
    case unspecified = "TRACE_STATUS_UNSPECIFIED"
    case ok = "OK"
    case error = "ERROR"
    case inProgress = "IN_PROGRESS"

    var state: TraceState {
        switch self {
        case .unspecified: .unspecified
        case .ok: .ok
        case .error: .error
        case .inProgress: .inProgress
        }
    }
}

extension [Tag] {
    fileprivate func replacing(in old: [Tag]) -> [Tag] {
        let keys = Set(map(\.key))
        return old.filter { !keys.contains($0.key) } + self
    }
}

extension Trace {
    fileprivate var older: JSONValue {
        let status = state == .unspecified ? "TRACE_STATUS_UNSPECIFIED" : state.rawValue
        var object: JSONObject = [
            "request_id": .string(id.text), "experiment_id": .string(experimentID.text),
            "timestamp_ms": .int(requestTime.milliseconds), "status": .string(status),
        ]
        if let duration { object["execution_time_ms"] = .int(duration) }
        object.add("request_metadata", metadata.map(\.mlflow))
        object.add("tags", tags.map(\.mlflow))
        return .object(object)
    }
}
