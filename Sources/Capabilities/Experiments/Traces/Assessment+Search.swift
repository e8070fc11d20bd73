public import AerieJSON

extension Assessment {
    /// What is said: that something is so, what should have been, or what is wrong.
    public enum Kind: String, Sendable, CaseIterable { case feedback, expectation, issue }

    public var kind: Kind? { Kind.allCases.first { content[$0.rawValue]?.object != nil } }

    /// The value, also of one that the client wrote as text; `nil` where there is none, as with an error.
    public var value: JSONValue? {
        guard let kind, let said = content[kind.rawValue] else { return nil }
        if let value = said["value"] { return value.isNull ? nil : value }
        return said["serialized_value"]?["value"]?.string.flatMap { try? JSONValue.parse($0) }
    }

    /// Whether the value is a number, which may be compared by its size.
    public var isNumeric: Bool { number != nil && value?.double != nil }

    /// What averages are made of: the value's number, or 1 for true and yes, 0 for false and no.
    public var number: Double? {
        switch value {
        case .bool(let flag)?: flag ? 1 : 0
        case .string(let text)?: ["yes": 1, "no": 0][text.lowercased().filter { !$0.isWhitespace }]
        case let value?: value.double.flatMap { $0.isFinite ? $0 : nil }
        case nil: nil
        }
    }

    /// Whether it is about the whole session of its trace, and so about every trace of that.
    public var isOfSession: Bool { content["metadata"]?["mlflow.trace.session"] != nil }
}
