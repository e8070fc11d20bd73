/// The shape that a kind's `spec` must have: enough to report every wrong field by its path, and to warn of fields
/// that Aerie knows and does not carry out.
public indirect enum FieldSchema: Sendable {
    case string
    /// One of these words, exactly.
    case choice([String])
    case bool
    case integer(ClosedRange<Int64>)
    case number(ClosedRange<Double>)
    case array(FieldSchema)
    /// An object whose member names the user chooses.
    case map(FieldSchema)
    case object([Field])
    /// Any value; checked by nobody, or by the kind's own `validate`.
    case any
    /// A recursive shape (a graph node's children): looked up when it is needed.
    case deferred(@Sendable () -> FieldSchema)

    public static let anyInteger = FieldSchema.integer(.min ... .max)
    public static let anyNumber = FieldSchema.number(-.infinity ... .infinity)
}

/// One member of an object, and what Aerie does with it.
public struct Field: Sendable {
    public enum Support: Sendable, Hashable {
        case carriedOut
        /// Known and accepted, without effect. The note tells the user what happens instead; it is part of the warning.
        case accepted(note: String)
    }

    public var name: String
    public var schema: FieldSchema
    public var isRequired: Bool
    public var support: Support

    public init(_ name: String, _ schema: FieldSchema, required: Bool = false, support: Support = .carriedOut) {
        self.name = name
        self.schema = schema
        self.isRequired = required
        self.support = support
    }
}
