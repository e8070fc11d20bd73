import AerieCore
import AerieJSON
import AerieResources

/// Checks a value against a `FieldSchema`, where any string with a `${…}` in it may stand for a value of any type.
struct SpecShape {
    var problems: [AerieError.Detail] = []
    /// Whether strings with references are accepted everywhere.
    var acceptsReferences: Bool
    private var depth = 0

    init(acceptsReferences: Bool) { self.acceptsReferences = acceptsReferences }

    mutating func check(_ value: JSONValue, _ schema: FieldSchema, path: String) {
        if acceptsReferences, let text = value.string, text.contains("${") { return }
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { return wrong(path, "is nested more than 100 levels deep") }
        switch schema {
        case .any: break
        case .string: if value.string == nil { wrong(path, "must be a string, not \(Self.noun(value))") }
        case .choice(let words):
            if !words.contains(value.string ?? "") {
                wrong(path, "\(value.text()) is not one of \(words.joined(separator: ", "))")
            }
        case .bool: if value.bool == nil { wrong(path, "must be true or false, not \(Self.noun(value))") }
        case .integer(let range):
            guard let number = value.int else { return wrong(path, "must be a whole number, not \(Self.noun(value))") }
            if !range.contains(number) { wrong(path, "\(number) is not from \(range.lowerBound) to \(range.upperBound)") }
        case .number(let range):
            guard let number = value.double else { return wrong(path, "must be a number, not \(Self.noun(value))") }
            if !range.contains(number) { wrong(path, "\(number) is not from \(range.lowerBound) to \(range.upperBound)") }
        case .array(let element):
            guard let elements = value.array else { return wrong(path, "must be a list, not \(Self.noun(value))") }
            for (index, child) in elements.enumerated() { check(child, element, path: "\(path)[\(index)]") }
        case .map(let element):
            guard let object = value.object else { return wrong(path, "must be an object, not \(Self.noun(value))") }
            for member in object.members { check(member.value, element, path: "\(path).\(member.key)") }
        case .object(let fields): checkObject(value, fields, path: path)
        case .deferred(let make): check(value, make(), path: path)
        }
    }

    private mutating func checkObject(_ value: JSONValue, _ fields: [Field], path: String) {
        guard let object = value.object else { return wrong(path, "must be an object, not \(Self.noun(value))") }
        for member in object.members {
            guard let field = fields.first(where: { $0.name == member.key }) else {
                let known = fields.map(\.name).joined(separator: ", ")
                wrong("\(path).\(member.key)", known.isEmpty ? "unknown field; none is expected here" : "unknown field; there are \(known)")
                continue
            }
            check(member.value, field.schema, path: "\(path).\(member.key)")
        }
        for field in fields where field.isRequired && object[field.name] == nil {
            wrong("\(path).\(field.name)", "is required")
        }
    }

    private mutating func wrong(_ path: String, _ problem: String) {
        problems.append(.init(field: path, problem: problem))
    }

    private static func noun(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "true or false"
        case .int, .double: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
