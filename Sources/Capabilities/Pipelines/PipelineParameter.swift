public import AerieCore
public import AerieJSON

/// A parameter of a pipeline: its type, and the value it has unless a run overrides it.
public struct PipelineParameter: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable { case string, integer, number, bool, list, object }

    public var name: String
    public var kind: Kind
    /// `nil` if each run must give it.
    public var defaultValue: JSONValue?
    public var description: String

    public init(name: String, kind: Kind, defaultValue: JSONValue?, description: String = "") {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.description = description
    }

    /// Reads `{type, default, description}` or a plain default, whose type is then the parameter's.
    static func read(
        _ name: String, _ value: JSONValue, path: String, problems: inout [AerieError.Detail]
    ) -> PipelineParameter? {
        func problem(_ field: String, _ text: String) { problems.append(.init(field: field, problem: text)) }
        guard let object = value.object else {
            guard let kind = Kind(of: value) else {
                problem(path, "null has no type; write {type: …} for a parameter without a default")
                return nil
            }
            return PipelineParameter(name: name, kind: kind, defaultValue: value)
        }
        for key in object.keys where !["type", "default", "description"].contains(key) {
            problem("\(path).\(key)", "unknown field; a parameter has type, default and description")
        }
        let given = object["default"].flatMap { $0.isNull ? nil : $0 }
        guard let type = object["type"] ?? given.flatMap({ Kind(of: $0)?.rawValue }).map(JSONValue.string) else {
            problem(path, "needs a type or a default")
            return nil
        }
        guard let kind = type.string.flatMap(Kind.init(word:)) else {
            problem("\(path).type", "\(type.text()) is no type; one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
            return nil
        }
        if let given, kind.accepting(given) == nil {
            problem("\(path).default", "\(given.text()) is not of type \(kind.rawValue)")
            return nil
        }
        return PipelineParameter(
            name: name, kind: kind, defaultValue: given.flatMap(kind.accepting),
            description: object["description"]?.string ?? "")
    }
}

extension PipelineParameter.Kind {
    init?(of value: JSONValue) {
        switch value {
        case .null: return nil
        case .bool: self = .bool
        case .int: self = .integer
        case .double: self = .number
        case .string: self = .string
        case .array: self = .list
        case .object: self = .object
        }
    }

    init?(word: String) {
        switch word.lowercased() {
        case "string", "str": self = .string
        case "integer", "int": self = .integer
        case "number", "float", "double": self = .number
        case "bool", "boolean": self = .bool
        case "list", "array": self = .list
        case "object", "struct", "map": self = .object
        default: return nil
        }
    }

    /// The value in this type, or `nil` if it is of another. Text is read as the type, as a command line gives it.
    func accepting(_ value: JSONValue) -> JSONValue? {
        switch self {
        case .string: return value.string.map(JSONValue.string) ?? (value.array == nil && value.object == nil
            && !value.isNull ? .string(value.text()) : nil)
        case .integer: return value.int.map(JSONValue.int) ?? value.string.flatMap { Int64($0) }.map(JSONValue.int)
        case .number:
            if value.double != nil { return value }
            guard let number = value.string.flatMap(Double.init), number.isFinite else { return nil }
            return .double(number)
        case .bool:
            if value.bool != nil { return value }
            return switch value.string { case "true": true; case "false": false; default: nil }
        case .list: return nested(value, \.array)
        case .object: return nested(value, \.object)
        }
    }

    private func nested<Part>(_ value: JSONValue, _ part: (JSONValue) -> Part?) -> JSONValue? {
        if part(value) != nil { return value }
        guard let text = value.string, let parsed = try? JSONValue.parse(text), part(parsed) != nil else { return nil }
        return parsed
    }
}

extension PipelinePlan {
    /// The values of a run's parameters: the defaults with the overrides put over them.
    /// - Throws: `invalidArgument` that names every unknown, missing and wrongly typed one.
    public func parameterValues(overrides: JSONObject) throws(AerieError) -> JSONObject {
        var problems: [AerieError.Detail] = []
        var values = JSONObject()
        let known = parameters.map(\.name)
        for key in overrides.keys where !known.contains(key) {
            let list = known.isEmpty ? "this pipeline has none" : "there are \(known.joined(separator: ", "))"
            problems.append(.init(field: "parameters.\(key)", problem: "unknown parameter; \(list)"))
        }
        for parameter in parameters {
            let path = "parameters.\(parameter.name)"
            if let given = overrides[parameter.name] {
                if let value = parameter.kind.accepting(given) { values[parameter.name] = value }
                else { problems.append(.init(field: path, problem: "\(given.text()) is not of type \(parameter.kind.rawValue)")) }
            } else if let value = parameter.defaultValue {
                values[parameter.name] = value
            } else {
                problems.append(.init(field: path, problem: "has no default, so the run must give it"))
            }
        }
        if let error = AerieError.invalid("the parameters of pipeline '\(name)' are wrong", problems: problems) { throw error }
        return values
    }
}
