import AerieCore
import AerieJSON
import Experiments
import HTTPTypes
import Hummingbird
import NIOCore

/// `POST /v1/traces`: spans as OpenTelemetry's exporters and MLflow's clients send them, in protobuf or JSON.
struct SpanIntake {
    static let bodyLimit = 32 << 20
    static let unpackedLimit = 64 << 20
    private static let experiment = HTTPField.Name("x-mlflow-experiment-id")
    private static let run = HTTPField.Name("x-mlflow-run-id")

    let spans: [Span]
    let tags: [TraceID: [Tag]]

    static func handle(_ request: Request, _ routes: MLflowRoutes) async throws(AerieError) -> Response {
        guard let experiment = experiment.flatMap({ request.headers[$0] }), Int64(experiment) != nil else {
            throw .invalid("x-mlflow-experiment-id", "Missing value for required header 'x-mlflow-experiment-id'.")
        }
        let type = request.headers[.contentType].map { $0.prefix { $0 != ";" }.lowercased() } ?? ""
        guard ["application/x-protobuf", "application/json"].contains(type) else {
            throw .invalid(
                "Content-Type", "is \"\(type.prefix(60))\"; application/x-protobuf or application/json was expected")
        }
        let body: ByteBuffer
        do { body = try await request.body.collect(upTo: bodyLimit) } catch {
            throw AerieError(
                .invalidArgument, "the request's body is longer than \(bodyLimit) bytes or was cut short", cause: error)
        }
        let bytes = try Inflate.unpack(
            Array(body.readableBytesView), encoding: request.headers[.contentEncoding] ?? "", limit: unpackedLimit)
        let isJSON = type == "application/json"
        let intake = try SpanIntake(isJSON ? try message(json: bytes) : try message(protobuf: bytes))
        let run = run.flatMap { request.headers[$0] }.flatMap { $0.isEmpty ? nil : RunID($0) }
        try await routes.traces.record(intake.spans, in: ExperimentID(experiment), tags: intake.tags, run: run)
        return Response(
            status: .ok, headers: [.contentType: type],
            body: ResponseBody(byteBuffer: ByteBuffer(string: isJSON ? "{}" : "")))
    }

    private static func message(json bytes: [UInt8]) throws(AerieError) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(bytes) } catch {
            throw error.asAerieError(in: "request body")
        }
        return try MessageSchema.request.normalized(value)
    }

    private static func message(protobuf bytes: [UInt8]) throws(AerieError) -> JSONObject {
        let result = bytes.withUnsafeBytes { buffer -> Result<JSONObject, AerieError> in
            var reader = MessageReader(buffer)
            do throws(AerieError) { return .success(try reader.read(.request)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// - Parameter message: an ExportTraceServiceRequest.
    init(_ message: JSONObject) throws(AerieError) {
        var spans: [Span] = []
        var tags: [TraceID: [Tag]] = [:]
        let resources = message["resource_spans"]?.array ?? []
        guard !resources.isEmpty else { throw .invalid("body", "Invalid OpenTelemetry format - no spans found") }
        for resource in resources {
            let described = Self.tags(resource["resource"]?["attributes"]?.array ?? [])
            for scope in resource["scope_spans"]?.array ?? [] {
                for value in scope["spans"]?.array ?? [] {
                    let span = try Self.span(value)
                    spans.append(span)
                    tags[span.traceID, default: []] += Self.own(value) + described
                }
            }
        }
        self.spans = spans
        self.tags = tags
    }

    private static func span(_ value: JSONValue) throws(AerieError) -> Span {
        guard var object = value.object else { throw .invalid("spans", "an object was expected") }
        func identifier(_ key: String, _ length: Int) throws(AerieError) -> String? {
            guard let bytes = object[key]?.string.flatMap(Base64.standard.decode), !bytes.isEmpty else { return nil }
            guard bytes.count <= length, bytes.contains(where: { $0 != 0 }) else {
                throw .invalid(key, "has \(bytes.count) bytes; an identifier has \(length), not all 0")
            }
            return Hexadecimal.encode(Array(repeating: 0, count: length - bytes.count) + bytes)
        }
        guard let trace = try identifier("trace_id", 16) else { throw .invalid("trace_id", "is missing in a span") }
        guard let id = try identifier("span_id", 8) else { throw .invalid("span_id", "is missing in a span") }
        func time(_ key: String) throws(AerieError) -> Int64? {
            guard let number = object[key]?.string.flatMap(UInt64.init), number != 0 else { return nil }
            guard let time = Int64(exactly: number) else { throw .invalid(key, "\(number) is no time") }
            return time
        }
        let state: TraceState =
            switch object["status"]?["code"]?.int {
            case 1: .ok
            case 2: .error
            default: .unspecified
            }
        let traceID = TraceID("tr-" + trace)
        // The trace's own name, whatever a client calls it.
        let request: JSONValue = [
            "key": "mlflow.traceRequestId", "value": ["string_value": .string(traceID.text)],
        ]
        let attributes = (object["attributes"]?.array ?? []).filter { $0["key"]?.string != "mlflow.traceRequestId" }
        object["attributes"] = .array(attributes + [request])
        let kind = attributes.first { $0["key"]?.string == "mlflow.spanType" }?["value"]?["string_value"]?.string
        return Span(
            traceID: traceID, id: id, parentID: try identifier("parent_span_id", 8),
            name: object["name"]?.string ?? "", kind: kind ?? "", start: try time("start_time_unix_nano") ?? 0,
            end: try time("end_time_unix_nano"), state: state, content: JSONValue.object(object).text())
    }

    /// What a resource says of itself becomes tags of its traces; names that are kept for others do not.
    private static func tags(_ attributes: [JSONValue]) -> [Tag] {
        attributes.compactMap { attribute in
            guard let key = attribute["key"]?.string, !key.isEmpty, !key.hasPrefix("telemetry.sdk."),
                !key.hasPrefix("mlflow."), key.utf8.count <= 250, let member = attribute["value"]?.object?.members.first
            else { return nil }
            return Tag(key: key, value: member.value.string ?? member.value.text())
        }
    }

    /// Tags that a client wrote on the first span, since spans are all that it could send.
    private static func own(_ span: JSONValue) -> [Tag] {
        let prefix = "mlflow.traceTag."
        guard span["parent_span_id"] == nil else { return [] }
        return (span["attributes"]?.array ?? []).compactMap { attribute in
            guard let key = attribute["key"]?.string, key.hasPrefix(prefix), key.utf8.count > prefix.utf8.count,
                let value = attribute["value"]?["string_value"]?.string
            else { return nil }
            return Tag(key: String(key.dropFirst(prefix.count)), value: value)
        }
    }
}
