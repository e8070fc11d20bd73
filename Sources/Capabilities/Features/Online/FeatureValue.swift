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
    /// Elements of one type; none of them null.
    case list(FeatureType, [FeatureValue])

    public var isNull: Bool { self == .null }
}

extension FeatureType {
    /// The type of a list's elements; `nil` for what is no list.
    public var element: FeatureType? {
        switch self {
        case .int32List: .int32
        case .int64List: .int64
        case .floatList: .float
        case .doubleList: .double
        case .stringList: .string
        case .boolList: .bool
        default: nil
        }
    }
}
