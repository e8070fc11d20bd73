import AerieCore
import AerieJSON
import Features

/// Reading the fields of a body. Each names the field that is wrong.
extension FeastRoutes {
    static func text(_ body: JSONObject, _ name: String) throws(AerieError) -> String? {
        guard let value = body[name], !value.isNull else { return nil }
        guard let text = value.string else { throw .invalid(name, "must be a text") }
        return text
    }

    static func required(_ body: JSONObject, _ name: String) throws(AerieError) -> String {
        guard let text = try text(body, name) else {
            throw AerieError(
                .invalidArgument, "\(name): Field required", reason: "body.missing",
                details: [.init(field: name, problem: "Field required")])
        }
        return text
    }

    static func flag(
        _ body: JSONObject, _ name: String, unless fallback: Bool = false
    ) throws(AerieError) -> Bool {
        guard let value = body[name], !value.isNull else { return fallback }
        guard let flag = value.bool else { throw .invalid(name, "must be true or false") }
        return flag
    }

    static func whole(_ body: JSONObject, _ name: String) throws(AerieError) -> Int? {
        guard let value = body[name], !value.isNull else { return nil }
        guard let number = value.int.flatMap({ Int(exactly: $0) }) else { throw .invalid(name, "must be a whole number") }
        return number
    }

    static func texts(_ body: JSONObject, _ name: String) throws(AerieError) -> [String] {
        guard let value = body[name], !value.isNull else { return [] }
        guard let list = value.array else { throw .invalid(name, "must be a list of texts") }
        var texts: [String] = []
        for (index, element) in list.enumerated() {
            guard let text = element.string else { throw .invalid("\(name)[\(index)]", "must be a text") }
            texts.append(text)
        }
        return texts
    }

    /// `{"driver_id": [1, 2]}`; a single value stands for a list of one.
    static func columns(
        _ object: JSONObject, _ name: String
    ) throws(AerieError) -> [(name: String, values: [JSONValue])] {
        var columns: [(name: String, values: [JSONValue])] = []
        for member in object.members {
            // Repeated values as Feast's protobuf writes them in JSON.
            let value = member.value["val"] ?? member.value
            columns.append((member.key, value.array ?? [value]))
        }
        return columns
    }

    static func frame(_ body: JSONObject) throws(AerieError) -> [(name: String, values: [JSONValue])] {
        guard let frame = body["df"]?.object else {
            let problem = body["df"] == nil
                ? "Field required" : "must be columns by their names: {\"driver_id\": [1, 2], \"event_timestamp\": [\"…\", \"…\"]}"
            throw AerieError(
                .invalidArgument, "df: \(problem)", reason: "body.missing", details: [.init(field: "df", problem: problem)])
        }
        var columns: [(name: String, values: [JSONValue])] = []
        for member in frame.members {
            guard let values = member.value.array else { throw .invalid("df.\(member.key)", "must be a list") }
            columns.append((member.key, values))
        }
        let rows = columns.map(\.values.count).min() ?? 0
        for place in columns.indices where columns[place].values.count == 2 * rows {
            if let once = Self.once(columns[place].values) { columns[place].values = once }
        }
        return columns
    }

    /// Feast's SDK counts the keys of a stream feature view among its features too, and sends each value twice.
    private static func once(_ values: [JSONValue]) -> [JSONValue]? {
        let pairs = stride(from: 0, to: values.count, by: 2)
        guard pairs.allSatisfy({ values[$0] == values[$0 + 1] }) else { return nil }
        return pairs.map { values[$0] }
    }

    static func time(_ body: JSONObject, _ name: String) throws(AerieError) -> Int64 {
        let text = try required(body, name)
        guard let micros = FeatureTime.parse(text) else {
            throw .invalid(name, "Invalid isoformat string: '\(text)'; write 2026-01-31T12:00:00Z")
        }
        return micros
    }
}
