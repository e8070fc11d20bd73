import Features

/// The numbers of `feast.types.ValueType.Enum`.
enum FeastValueType {
    /// Bytes, of which Feast says besides what is in them.
    private static let ofBytes: [UInt64: FeatureType] = [30: .bytes, 31: .bytes]

    private static let others: [UInt64: String] = [19: "NULL", 47: "SCALAR_MAP", 48: "ZONED_TIMESTAMP"]

    /// `nil` for a type that Aerie has no values of.
    static func type(_ number: UInt64) -> FeatureType? {
        ofBytes[number] ?? Int(exactly: number).flatMap { FeatureType(feastNumber: $0) }
    }

    static func number(_ type: FeatureType) -> UInt64 { UInt64(type.feastNumber) }

    static func name(_ number: UInt64) -> String {
        type(number)?.rawValue ?? others[number] ?? "number \(number) of Feast's types"
    }

    /// As Feast's Python types print, which is what it calls a feature's type in lists of features.
    static func pythonName(_ number: UInt64) -> String { type(number).map(pythonName) ?? name(number) }

    private static func pythonName(_ type: FeatureType) -> String {
        if let element = type.element { return "\(type.isSet ? "Set" : "Array")(\(pythonName(element)))" }
        return switch type {
        case .int32: "Int32"
        case .int64: "Int64"
        case .float: "Float32"
        case .double: "Float64"
        case .bool: "Bool"
        case .bytes: "Bytes"
        case .timestamp: "UnixTimestamp"
        case .json: "Json"
        case .uuid: "Uuid"
        case .timeUUID: "TimeUuid"
        case .decimal: "Decimal"
        case .map: "Map"
        case .mapList: "Array(Map)"
        case .structure: "Struct"
        case .structureList: "Array(Struct)"
        case .valueList: "Array"
        case .valueSet: "Set"
        default: "String"
        }
    }
}
