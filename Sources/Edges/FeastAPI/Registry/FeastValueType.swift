import Features

/// The numbers of `feast.types.ValueType.Enum`.
enum FeastValueType {
    private static let numbers: [(UInt64, FeatureType)] = [
        (1, .bytes), (2, .string), (3, .int32), (4, .int64), (5, .double), (6, .float), (7, .bool), (8, .timestamp),
        (12, .stringList), (13, .int32List), (14, .int64List), (15, .doubleList), (16, .floatList), (17, .boolList),
    ]

    private static let others: [UInt64: String] = [
        11: "BYTES_LIST", 18: "UNIX_TIMESTAMP_LIST", 19: "NULL", 20: "MAP", 21: "MAP_LIST", 32: "JSON", 34: "STRUCT",
        36: "UUID", 44: "DECIMAL", 48: "ZONED_TIMESTAMP",
    ]

    /// `nil` for a type that Aerie has no values of.
    static func type(_ number: UInt64) -> FeatureType? { numbers.first { $0.0 == number }?.1 }

    static func number(_ type: FeatureType) -> UInt64 { numbers.first { $0.1 == type }?.0 ?? 0 }

    static func name(_ number: UInt64) -> String {
        type(number)?.rawValue ?? others[number] ?? "number \(number) of Feast's types"
    }

    /// As Feast's Python types print, which is what it calls a feature's type in lists of features.
    static func pythonName(_ number: UInt64) -> String {
        guard let type = type(number) else { return name(number) }
        func scalar(_ type: FeatureType) -> String {
            switch type {
            case .int32: "Int32"
            case .int64: "Int64"
            case .float: "Float32"
            case .double: "Float64"
            case .bool: "Bool"
            case .bytes: "Bytes"
            case .timestamp: "UnixTimestamp"
            default: "String"
            }
        }
        let text = type.rawValue
        guard text.hasSuffix("_LIST"), let element = FeatureType(rawValue: String(text.dropLast(5))) else {
            return scalar(type)
        }
        return "Array(\(scalar(element)))"
    }
}
