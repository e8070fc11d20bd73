public import AerieJSON

/// One value of a feature or of an entity's key.
public enum FeatureValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int32(Int32)
    case int64(Int64)
    case float(Float)
    case double(Double)
    case string(String)
    case bytes([UInt8])
    /// Seconds since 1970-01-01T00:00:00Z.
    case timestamp(Int64)
    /// A text of a form: JSON, UUID, TIME_UUID or DECIMAL.
    case text(FeatureType, String)
    /// Elements of one type; none of them null.
    case list(FeatureType, [FeatureValue])
    /// The same, each once, in the order in which they were first given.
    case set(FeatureType, [FeatureValue])
    /// Values within values, of a type that is nested.
    case nested(FeatureType, JSONValue)

    public var isNull: Bool { self == .null }
}
