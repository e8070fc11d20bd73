import AerieCore
import AerieJSON
import Experiments

/// Spans as MLflow has them: as OpenTelemetry's JSON in its answers, and in a form of its own in its database.
enum MLflowSpan {
    /// Reads a span of an answer, and keeps it as it is.
    /// - Returns: `nil` for one without an identifier.
    static func answered(_ value: JSONValue, of trace: TraceID) -> Span? {
        guard let object = value.object, let id = identifier(value, "span_id", bytes: 8) else { return nil }
        let kind = (object["attributes"]?.array ?? []).first { $0["key"]?.string == "mlflow.spanType" }
        let state: TraceState =
            switch value["status"]?["code"] {
            case .string("STATUS_CODE_OK"), .int(1): .ok
            case .string("STATUS_CODE_ERROR"), .int(2): .error
            default: .unspecified
            }
        return Span(
            traceID: trace, id: id, parentID: identifier(value, "parent_span_id", bytes: 8),
            name: value["name"]?.string ?? "", kind: kind?["value"]?["string_value"]?.string ?? "",
            start: value.integer("start_time_unix_nano") ?? 0,
            end: value.integer("end_time_unix_nano").flatMap { $0 == 0 ? nil : $0 }, state: state,
            content: value.text())
    }

    /// Reads a row's `content`: attributes are an object there, each value JSON in a text.
    /// - Returns: `nil` for what is no span.
    static func stored(_ content: String, of trace: TraceID) -> Span? {
        guard let value = try? JSONValue.parse(content, allowsNonFinite: true), var object = value.object else {
            return nil
        }
        let attributes = (object["attributes"]?.object?.members ?? []).map { member -> (String, JSONValue) in
            let value = member.value.string.flatMap { try? JSONValue.parse($0, allowsNonFinite: true) }
            return (member.key, value ?? member.value)
        }
        object["attributes"] = list(attributes)
        if let events = object["events"]?.array { object["events"] = .array(events.map { self.event($0) }) }
        // OpenTelemetry's JSON leaves out what is not set.
        for key in ["parent_span_id", "end_time_unix_nano"] where object[key] == .null { object[key] = nil }
        for key in ["events", "links"] where object[key]?.array?.isEmpty == true { object[key] = nil }
        if var status = object["status"]?.object, status["message"]?.string?.isEmpty == true {
            status["message"] = nil
            object["status"] = .object(status)
        }
        return answered(.object(object), of: trace)
    }

    private static func event(_ value: JSONValue) -> JSONValue {
        guard var event = value.object else { return value }
        event["attributes"] = list((event["attributes"]?.object?.members ?? []).map { ($0.key, $0.value) })
        return .object(event)
    }

    private static func identifier(_ value: JSONValue, _ key: String, bytes length: Int) -> String? {
        guard let bytes = value[key]?.string.flatMap(Base64.standard.decode), !bytes.isEmpty, bytes.count <= length
        else { return nil }
        return Hexadecimal.encode(Array(repeating: 0, count: length - bytes.count) + bytes)
    }

    /// Attributes as OpenTelemetry has them: a list of keys and typed values.
    private static func list(_ members: [(String, JSONValue)]) -> JSONValue {
        .array(members.map { ["key": .string($0.0), "value": typed($0.1)] })
    }

    private static func typed(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null: return [:]
        case .bool: return ["bool_value": value]
        case .string: return ["string_value": value]
        case .int(let number): return ["int_value": .string("\(number)")]
        case .array(let values): return ["array_value": ["values": .array(values.map { typed($0) })]]
        case .object(let object):
            return ["kvlist_value": ["values": list(object.members.map { ($0.key, $0.value) })]]
        default:
            // JSON has no word for the infinities and NaN; OpenTelemetry writes them as text.
            guard let number = value.double, !number.isFinite else { return ["double_value": value] }
            return ["double_value": .string(number.isNaN ? "NaN" : number > 0 ? "Infinity" : "-Infinity")]
        }
    }
}
