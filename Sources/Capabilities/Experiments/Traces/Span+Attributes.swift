import AerieJSON

extension Span {
    /// An attribute as text: a text as it is, anything else as the JSON that says it.
    public func attribute(_ key: String) -> String? { Self.attribute(key, in: content) }

    /// The same of a span's content.
    public static func attribute(_ key: String, in content: String) -> String? {
        value(of: key, in: content).map { $0.string ?? $0.text() }
    }

    private static func value(of key: String, in content: String) -> JSONValue? {
        guard content.contains(key), let value = try? JSONValue.parse(content) else { return nil }
        for attribute in value["attributes"]?.array ?? [] where attribute["key"]?.string == key {
            return attribute["value"].flatMap { plain($0) }
        }
        return nil
    }

    /// The language model that was called.
    public var model: String? { attribute("mlflow.llm.model").map { ExperimentLimits.cut($0, to: 500) } }
    /// Who serves the language model.
    public var provider: String? { attribute("mlflow.llm.provider").map { ExperimentLimits.cut($0, to: 500) } }
    /// US dollars for `input_cost`, `output_cost` or `total_cost`.
    public func cost(_ part: String) -> Double? {
        guard let said = Self.value(of: "mlflow.llm.cost", in: content) else { return nil }
        // Some clients write an object as the text that says it.
        let object = said.string.flatMap { try? JSONValue.parse($0) } ?? said
        return object[part]?.double.flatMap { $0.isFinite ? $0 : nil }
    }

    /// Values are objects whose one key tells the type.
    private static func plain(_ value: JSONValue) -> JSONValue? {
        guard let member = value.object?.members.first else { return nil }
        switch member.key {
        case "array_value": return .array((member.value["values"]?.array ?? []).map { plain($0) ?? .null })
        case "kvlist_value":
            let members = (member.value["values"]?.array ?? []).map { entry in
                (entry["key"]?.string ?? "", entry["value"].flatMap { plain($0) } ?? .null)
            }
            return .object(JSONObject(members))
        case "int_value": return member.value.string.flatMap { Int64($0) }.map { .int($0) } ?? member.value
        default: return member.value
        }
    }
}
