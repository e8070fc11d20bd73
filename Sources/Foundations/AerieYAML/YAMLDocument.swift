public import AerieCore
public import AerieJSON
internal import Yams

/// One YAML document as a JSON value that remembers where each field stood, so that a wrong field is reported with
/// its line.
public struct YAMLDocument: Sendable {
    public let value: JSONValue
    private let lines: [String: Int]

    /// Reads every document of a text, which may hold several, separated by `---`; empty ones are left out.
    ///
    /// JSON is YAML too. Anchors are resolved; a text that expands to more than `maximumNodes` values is refused,
    /// and so are duplicate keys. Untagged scalars follow YAML 1.2's core schema: `yes` and `on` are strings.
    /// - Throws: `invalidArgument` with the line and column of the first mistake in the syntax.
    public static func parseAll(_ text: String, maximumNodes: Int = 200_000) throws(AerieError) -> [YAMLDocument] {
        do {
            var documents: [YAMLDocument] = []
            var nodes = try compose_all(yaml: text)
            var budget = maximumNodes
            while let node = nodes.next() {
                var builder = Builder(budget: budget)
                let value = try builder.convert(node, path: "")
                budget = builder.budget
                if value != .null { documents.append(YAMLDocument(value: value, lines: builder.lines)) }
            }
            // The sequence ends at the first mistake and keeps it, instead of throwing it.
            if let error = nodes.error { throw error }
            return documents
        } catch let error as AerieError {
            throw error
        } catch let error as YamlError {
            throw Self.translate(error)
        } catch {
            throw AerieError(.invalidArgument, "not YAML", cause: error)
        }
    }

    /// The line on which the field stands, counted from 1; that of the nearest enclosing field if it is not there.
    /// - Parameter path: as in `spec.predictors[0].name`; empty for the document.
    public func line(of path: String) -> Int? {
        var path = path[...]
        while true {
            if let line = lines[String(path)] { return line }
            guard !path.isEmpty else { return nil }
            let cut = path.lastIndex { $0 == "." || $0 == "[" } ?? path.startIndex
            path = path[path.startIndex..<cut]
        }
    }

    /// The same problems with the lines of their fields filled in.
    public func locate(_ problems: [AerieError.Detail]) -> [AerieError.Detail] {
        problems.map { problem in
            var located = problem
            located.line = problem.line ?? line(of: problem.field)
            return located
        }
    }

    fileprivate static func duplicate(keys: [String], mark: Mark?) -> AerieError {
        let names = keys.joined(separator: ", ")
        let place = mark.map { "line \($0.line): " } ?? ""
        return AerieError(
            .invalidArgument, "\(place)the same key is written twice: \(names)",
            details: [
                .init(field: names, problem: "the same key is written twice", line: mark?.line, column: mark?.column)
            ])
    }

    private static func translate(_ error: YamlError) -> AerieError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            AerieError(
                .invalidArgument, "line \(mark.line), column \(mark.column): \(problem)",
                details: [.init(field: "", problem: problem, line: mark.line, column: mark.column)])
        case .duplicatedKeysInMapping(let duplicates, let context):
            Self.duplicate(keys: duplicates, mark: context.mark)
        case .reader(let problem, let offset, _, _):
            AerieError(
                .invalidArgument, "not YAML: \(problem)",
                details: [.init(field: "", problem: problem, offset: offset)], cause: error)
        case .memory: AerieError(.resourceExhausted, "the YAML text takes more memory than there is", cause: error)
        default: AerieError(.invalidArgument, "not YAML", cause: error)
        }
    }
}

/// Turns Yams' nodes into JSON values and notes the line of each path.
private struct Builder {
    var lines: [String: Int] = [:]
    var budget: Int

    init(budget: Int) { self.budget = budget }

    mutating func convert(_ node: Node, path: String) throws -> JSONValue {
        budget -= 1
        guard budget >= 0 else { throw AerieError(.resourceExhausted, "the YAML document expands to too many values") }
        if let mark = node.mark, lines[path] == nil { lines[path] = mark.line }
        switch node {
        case .scalar(let scalar): return convert(scalar)
        case .sequence(let sequence):
            var elements: [JSONValue] = []
            for (index, child) in sequence.enumerated() {
                elements.append(try convert(child, path: "\(path)[\(index)]"))
            }
            return .array(elements)
        case .mapping(let mapping):
            var object = JSONObject()
            var names: Set<String> = []
            for (key, child) in mapping {
                guard let name = key.scalar?.string else {
                    let line = key.mark?.line
                    throw AerieError.invalid(path, "a key must be plain text, not a list or a mapping", line: line)
                }
                guard names.insert(name).inserted else { throw YAMLDocument.duplicate(keys: [name], mark: key.mark) }
                let childPath = path.isEmpty ? name : "\(path).\(name)"
                if let mark = key.mark { lines[childPath] = mark.line }
                object.members.append(.init(key: name, value: try convert(child, path: childPath)))
            }
            return .object(object)
        case .alias: throw AerieError(.invalidArgument, "\(path): an alias to nothing")
        }
    }

    /// YAML 1.2's core schema for plain scalars; anything quoted is a string.
    private func convert(_ scalar: Node.Scalar) -> JSONValue {
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        let text = scalar.string
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".nan", ".NaN", ".NAN": return .double(.nan)
        case ".inf", ".Inf", ".INF", "+.inf": return .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
        default: break
        }
        if let value = Int64(text) { return .int(value) }
        if text.hasPrefix("0x"), let value = Int64(text.dropFirst(2), radix: 16), !text.contains("-") {
            return .int(value)
        }
        if text.hasPrefix("0o"), let value = Int64(text.dropFirst(2), radix: 8), !text.contains("-") {
            return .int(value)
        }
        if let first = text.utf8.first(where: { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") }),
            first == UInt8(ascii: ".") || (first >= UInt8(ascii: "0") && first <= UInt8(ascii: "9")),
            !text.contains("x"), !text.contains("_"), let value = Double(text)
        {
            return .double(value)
        }
        return .string(text)
    }
}
