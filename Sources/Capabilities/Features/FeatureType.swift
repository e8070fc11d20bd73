/// The type of a feature's values, under the names that feature definitions use.
public enum FeatureType: String, Sendable, Hashable, CaseIterable {
    case int32 = "INT32"
    case int64 = "INT64"
    case float = "FLOAT"
    case double = "DOUBLE"
    case string = "STRING"
    case bool = "BOOL"
    case bytes = "BYTES"
    case timestamp = "UNIX_TIMESTAMP"
    case int32List = "INT32_LIST"
    case int64List = "INT64_LIST"
    case floatList = "FLOAT_LIST"
    case doubleList = "DOUBLE_LIST"
    case stringList = "STRING_LIST"
    case boolList = "BOOL_LIST"

    /// Accepts any case, `Float32`, `Float64`, `Int`, `Timestamp` and `Array(Int64)` as well.
    public init?(name: String) {
        let upper = name.uppercased()
        if upper.hasPrefix("ARRAY("), upper.hasSuffix(")") {
            guard let element = FeatureType(name: String(upper.dropFirst(6).dropLast())) else { return nil }
            self.init(rawValue: element.rawValue + "_LIST")
            return
        }
        switch upper {
        case "FLOAT32": self = .float
        case "FLOAT64": self = .double
        case "INT": self = .int64
        case "TIMESTAMP": self = .timestamp
        case "BOOLEAN": self = .bool
        case "TEXT": self = .string
        default: self.init(rawValue: upper)
        }
    }

    static let names = allCases.map(\.rawValue)
}
