public import AerieCore
public import AerieJSON

/// Compares a value with the shape it must have. Pure; reports everything that is wrong, not just the first.
///
/// Cost: one visit a value. At most `maximumProblems` problems are kept, so that a hostile document cannot grow the
/// answer without limit.
public struct SchemaChecker: Sendable {
    public static let maximumProblems = 200

    public private(set) var problems: [AerieError.Detail] = []
    /// Paths of fields that are known and have no effect, each with what happens instead.
    public private(set) var warnings: [String] = []

    public init() {}

    /// What is wrong with the value, and what of it has no effect.
    public static func check(
        _ value: JSONValue, against schema: FieldSchema, at path: String = ""
    ) -> (problems: [AerieError.Detail], warnings: [String]) {
        var checker = SchemaChecker()
        checker.visit(value, schema, path)
        return (checker.problems, checker.warnings)
    }

    private mutating func visit(_ value: JSONValue, _ schema: FieldSchema, _ path: String) {
        switch schema {
        case .any: break
        case .deferred(let shape): visit(value, shape(), path)
        case .string: if value.string == nil { mismatch(value, "a string", path) }
        case .bool: if value.bool == nil { mismatch(value, "true or false", path) }
        case .choice(let words): checkChoice(value, words, path)
        case .integer(let range): checkInteger(value, range, path)
        case .number(let range): checkNumber(value, range, path)
        case .array(let element):
            guard let elements = value.array else { return mismatch(value, "a list", path) }
            for (index, child) in elements.enumerated() { visit(child, element, "\(path)[\(index)]") }
        case .map(let element):
            guard let object = value.object else { return mismatch(value, "a mapping", path) }
            for member in object.members { visit(member.value, element, Self.join(path, member.key)) }
        case .object(let fields):
            guard let object = value.object else { return mismatch(value, "a mapping", path) }
            checkMembers(object, fields, path)
        }
    }

    private mutating func checkMembers(_ object: JSONObject, _ fields: [Field], _ path: String) {
        var seen: Set<String> = []
        for member in object.members {
            let memberPath = Self.join(path, member.key)
            guard seen.insert(member.key).inserted else {
                report(memberPath, "is written twice")
                continue
            }
            guard let field = fields.first(where: { $0.name == member.key }) else {
                report(memberPath, "no such field" + NearestName.hint(member.key, among: fields.map(\.name)))
                continue
            }
            // An empty field is as good as an absent one.
            if member.value.isNull {
                if field.isRequired { report(memberPath, "is required and empty") }
                continue
            }
            if case .accepted(let note) = field.support, warnings.count < Self.maximumProblems {
                warnings.append("\(memberPath): accepted without effect: \(note)")
            }
            visit(member.value, field.schema, memberPath)
        }
        for field in fields where field.isRequired && !seen.contains(field.name) {
            report(Self.join(path, field.name), "is required")
        }
    }

    private mutating func checkChoice(_ value: JSONValue, _ words: [String], _ path: String) {
        guard let word = value.string else { return mismatch(value, "one of " + words.joined(separator: ", "), path) }
        guard !words.contains(word) else { return }
        let nearest = NearestName.of(word, among: words).map { "; did you mean \"\($0)\"?" } ?? ""
        report(path, "\"\(Self.cut(word))\" is not one of \(words.joined(separator: ", "))\(nearest)")
    }

    private mutating func checkInteger(_ value: JSONValue, _ range: ClosedRange<Int64>, _ path: String) {
        guard let number = value.int else { return mismatch(value, "a whole number", path) }
        guard !range.contains(number) else { return }
        let limit = number < range.lowerBound ? "at least \(range.lowerBound)" : "at most \(range.upperBound)"
        report(path, "\(number) is out of range; it must be \(limit)")
    }

    private mutating func checkNumber(_ value: JSONValue, _ range: ClosedRange<Double>, _ path: String) {
        guard let number = value.double else { return mismatch(value, "a number", path) }
        guard !number.isNaN else { return report(path, "must be a number, not NaN") }
        guard !range.contains(number) else { return }
        let limit = number < range.lowerBound ? "at least \(range.lowerBound)" : "at most \(range.upperBound)"
        report(path, "\(number) is out of range; it must be \(limit)")
    }

    private mutating func mismatch(_ value: JSONValue, _ wanted: String, _ path: String) {
        let found = switch value {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .int(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .string(let text): "the string \"\(Self.cut(text))\""
        case .array: "a list"
        case .object: "a mapping"
        }
        let quote = if wanted == "a string", !value.isContainer, !value.isNull { "; write it in quotes" } else { "" }
        report(path, "\(wanted) was expected, \(found) stands there\(quote)")
    }

    private mutating func report(_ path: String, _ problem: String) {
        if problems.count < Self.maximumProblems { problems.append(.init(field: path, problem: problem)) }
    }

    static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
    static func cut(_ text: String) -> String { text.count > 60 ? text.prefix(57) + "…" : text }
}

extension JSONValue {
    fileprivate var isContainer: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }
}
