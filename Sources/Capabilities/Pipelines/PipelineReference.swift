public import AerieCore
public import AerieJSON

/// What a `${…}` in a pipeline stands for.
public struct PipelineReference: Hashable, Sendable, CustomStringConvertible {
    public enum Source: Hashable, Sendable {
        case parameter(String)
        /// A step's output; `path` goes on into a value that is an object or a list.
        case output(step: String, name: String, path: [String])
        case runID
        case pipelineName
    }

    public var source: Source
    /// As it was written, without `${` and `}`.
    public var text: String
    public var description: String { "${\(text)}" }

    /// Reads what stands between `${` and `}`.
    /// - Throws: `invalidArgument` that lists the forms there are.
    public init(_ text: String) throws(AerieError) {
        let text = String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        self.text = text
        switch (parts.first, parts.count) {
        case ("parameters", 2) where !parts[1].isEmpty: source = .parameter(parts[1])
        case ("steps", 3...) where !parts.dropFirst().contains(""):
            source = .output(step: parts[1], name: parts[2], path: Array(parts.dropFirst(3)))
        case ("run", 2) where parts[1] == "id": source = .runID
        case ("pipeline", 2) where parts[1] == "name": source = .pipelineName
        default:
            throw .invalid("", "'${\(text)}' refers to nothing; write ${parameters.NAME}, ${steps.STEP.OUTPUT}, "
                + "${run.id} or ${pipeline.name}")
        }
    }
}

/// A string of a pipeline, cut into its literal and its referring parts. `$${` stands for a literal `${`.
public struct PipelineTemplate: Hashable, Sendable {
    public enum Piece: Hashable, Sendable {
        case literal(String)
        case reference(PipelineReference)
    }

    public let pieces: [Piece]

    /// - Throws: `invalidArgument` for an unclosed or meaningless `${…}`.
    public init(_ text: String) throws(AerieError) {
        var pieces: [Piece] = []
        var literal = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            literal += rest[rest.startIndex..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                literal += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let end = rest.firstIndex(of: "}") else {
                    throw .invalid("", "'\(rest.prefix(40))' is not closed by a '}'; a literal '${' is written '$${'")
                }
                if !literal.isEmpty { pieces.append(.literal(literal)) }
                literal = ""
                pieces.append(.reference(try PipelineReference(String(rest.dropFirst(2)[..<end]))))
                rest = rest[rest.index(after: end)...]
            } else {
                literal += "$"
                rest = rest.dropFirst()
            }
        }
        literal += rest
        if !literal.isEmpty || pieces.isEmpty { pieces.append(.literal(literal)) }
        self.pieces = pieces
    }

    public var references: [PipelineReference] {
        pieces.compactMap { if case .reference(let reference) = $0 { reference } else { nil } }
    }

    /// A string that is one reference and nothing else keeps the type of what it refers to; else all becomes text.
    public func resolve(
        _ lookup: (PipelineReference) throws(AerieError) -> JSONValue
    ) throws(AerieError) -> JSONValue {
        if pieces.count == 1, case .reference(let reference) = pieces[0] { return try lookup(reference) }
        var text = ""
        for piece in pieces {
            switch piece {
            case .literal(let literal): text += literal
            case .reference(let reference): text += try lookup(reference).embeddedText
            }
        }
        return .string(text)
    }
}

extension JSONValue {
    /// As part of a longer text: a string without its quotes, everything else as JSON.
    var embeddedText: String { string ?? text() }

    /// Every string in the value that refers to something, with its path.
    func forEachString(path: String, _ body: (String, String) -> Void) {
        switch self {
        case .string(let text): body(text, path)
        case .array(let elements):
            for (index, element) in elements.enumerated() { element.forEachString(path: "\(path)[\(index)]", body) }
        case .object(let object):
            for member in object.members { member.value.forEachString(path: "\(path).\(member.key)", body) }
        default: break
        }
    }

    /// The value with every reference in it replaced by what `lookup` gives.
    /// - Throws: what `lookup` throws, and `invalidArgument` for a meaningless `${…}`.
    public func resolvingReferences(
        _ lookup: (PipelineReference) throws(AerieError) -> JSONValue
    ) throws(AerieError) -> JSONValue {
        switch self {
        case .string(let text):
            return text.contains("$") ? try PipelineTemplate(text).resolve(lookup) : self
        case .array(let elements):
            var resolved: [JSONValue] = []
            for element in elements { resolved.append(try element.resolvingReferences(lookup)) }
            return .array(resolved)
        case .object(let object):
            var resolved = JSONObject()
            for member in object.members {
                resolved.members.append(.init(key: member.key, value: try member.value.resolvingReferences(lookup)))
            }
            return .object(resolved)
        default: return self
        }
    }
}
