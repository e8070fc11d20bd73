extension FeatureType {
    /// The number of the type in `feast.types.ValueType.Enum`, which is also that of the member of `feast.types.Value`
    /// that holds its values.
    public var feastNumber: Int {
        switch self {
        case .bytes: 1
        case .string: 2
        case .int32: 3
        case .int64: 4
        case .double: 5
        case .float: 6
        case .bool: 7
        case .timestamp: 8
        case .bytesList: 11
        case .stringList: 12
        case .int32List: 13
        case .int64List: 14
        case .doubleList: 15
        case .floatList: 16
        case .boolList: 17
        case .timestampList: 18
        case .map: 20
        case .mapList: 21
        case .bytesSet: 22
        case .stringSet: 23
        case .int32Set: 24
        case .int64Set: 25
        case .doubleSet: 26
        case .floatSet: 27
        case .boolSet: 28
        case .timestampSet: 29
        case .json: 32
        case .jsonList: 33
        case .structure: 34
        case .structureList: 35
        case .uuid: 36
        case .timeUUID: 37
        case .uuidList: 38
        case .timeUUIDList: 39
        case .uuidSet: 40
        case .timeUUIDSet: 41
        case .valueList: 42
        case .valueSet: 43
        case .decimal: 44
        case .decimalList: 45
        case .decimalSet: 46
        }
    }

    private static let byNumber = Dictionary(uniqueKeysWithValues: allCases.map { ($0.feastNumber, $0) })

    /// `nil` for a number that is no type of these.
    public init?(feastNumber: Int) {
        guard let type = Self.byNumber[feastNumber] else { return nil }
        self = type
    }

    /// The type of a list of such values; `nil` where there is none.
    var list: FeatureType? { FeatureType(rawValue: rawValue + "_LIST") }

    /// The type of a set of such values; `nil` where there is none.
    var set: FeatureType? { FeatureType(rawValue: rawValue + "_SET") }
}
