/// The type of a feature's values, under the names that feature definitions use: those of Feast's value types.
public enum FeatureType: String, Sendable, Hashable, CaseIterable {
    case int32 = "INT32"
    case int64 = "INT64"
    case float = "FLOAT"
    case double = "DOUBLE"
    case string = "STRING"
    case bool = "BOOL"
    case bytes = "BYTES"
    case timestamp = "UNIX_TIMESTAMP"
    /// Texts of a form: a JSON document, 36 characters with dashes, a number with all of its digits.
    case json = "JSON"
    case uuid = "UUID"
    case timeUUID = "TIME_UUID"
    case decimal = "DECIMAL"
    case int32List = "INT32_LIST"
    case int64List = "INT64_LIST"
    case floatList = "FLOAT_LIST"
    case doubleList = "DOUBLE_LIST"
    case stringList = "STRING_LIST"
    case boolList = "BOOL_LIST"
    case bytesList = "BYTES_LIST"
    case timestampList = "UNIX_TIMESTAMP_LIST"
    case jsonList = "JSON_LIST"
    case uuidList = "UUID_LIST"
    case timeUUIDList = "TIME_UUID_LIST"
    case decimalList = "DECIMAL_LIST"
    case int32Set = "INT32_SET"
    case int64Set = "INT64_SET"
    case floatSet = "FLOAT_SET"
    case doubleSet = "DOUBLE_SET"
    case stringSet = "STRING_SET"
    case boolSet = "BOOL_SET"
    case bytesSet = "BYTES_SET"
    case timestampSet = "UNIX_TIMESTAMP_SET"
    case uuidSet = "UUID_SET"
    case timeUUIDSet = "TIME_UUID_SET"
    case decimalSet = "DECIMAL_SET"
    /// Values by texts, of whatever type each has. Of a struct the members are declared; both are kept in the same way.
    case map = "MAP"
    case mapList = "MAP_LIST"
    case structure = "STRUCT"
    case structureList = "STRUCT_LIST"
    /// Lists of lists or sets, of whatever type each has, and sets of them.
    case valueList = "VALUE_LIST"
    case valueSet = "VALUE_SET"

    /// Accepts any case, `Float32`, `Float64`, `Int`, `Timestamp`, `Array(Int64)`, `Set(String)` and
    /// `Array(Array(Int64))` as well.
    public init?(name: String) {
        let upper = name.uppercased()
        for (start, suffix, nested) in [("ARRAY(", "_LIST", FeatureType.valueList), ("SET(", "_SET", .valueSet)]
        where upper.hasPrefix(start) && upper.hasSuffix(")") {
            guard let element = FeatureType(name: String(upper.dropFirst(start.count).dropLast())) else { return nil }
            if element.isCollection { self = nested } else { self.init(rawValue: element.rawValue + suffix) }
            return
        }
        switch upper {
        case "FLOAT32": self = .float
        case "FLOAT64": self = .double
        case "INT": self = .int64
        case "TIMESTAMP", "UNIXTIMESTAMP": self = .timestamp
        case "TIMEUUID": self = .timeUUID
        case "BOOLEAN": self = .bool
        case "TEXT": self = .string
        default: self.init(rawValue: upper)
        }
    }

    static let names = allCases.map(\.rawValue)

    private var isCollection: Bool { rawValue.hasSuffix("_LIST") || rawValue.hasSuffix("_SET") }

    /// The type of the elements of a list or a set of one type; `nil` for what is neither.
    public var element: FeatureType? {
        switch self {
        case .int32List, .int32Set: .int32
        case .int64List, .int64Set: .int64
        case .floatList, .floatSet: .float
        case .doubleList, .doubleSet: .double
        case .stringList, .stringSet: .string
        case .boolList, .boolSet: .bool
        case .bytesList, .bytesSet: .bytes
        case .timestampList, .timestampSet: .timestamp
        case .jsonList: .json
        case .uuidList, .uuidSet: .uuid
        case .timeUUIDList, .timeUUIDSet: .timeUUID
        case .decimalList, .decimalSet: .decimal
        default: nil
        }
    }

    /// Whether the elements are a set, in which each is once.
    public var isSet: Bool {
        switch self {
        case .int32Set, .int64Set, .floatSet, .doubleSet, .stringSet, .boolSet, .bytesSet, .timestampSet, .uuidSet,
            .timeUUIDSet, .decimalSet:
            true
        default: false
        }
    }

    /// What stands for a null within a list of this type, as a repeated field of protobuf holds none; the value is the
    /// one that Feast 0.67 writes. `nil` for sets and lists of documents, where Feast has none either.
    var nullInList: FeatureValue? {
        switch self {
        case .int32List: .int32(0)
        case .int64List: .int64(0)
        case .floatList: .float(0)
        case .doubleList: .double(0)
        case .boolList: .bool(false)
        case .stringList: .string("")
        case .bytesList: .bytes([])
        // Feast's clients read it as none.
        case .timestampList: .timestamp(.min)
        case .uuidList: .text(.uuid, "")
        case .timeUUIDList: .text(.timeUUID, "")
        case .decimalList: .text(.decimal, "")
        default: nil
        }
    }

    /// Whether a value is a text of a form.
    public var isFormattedText: Bool {
        switch self {
        case .json, .uuid, .timeUUID, .decimal: true
        default: false
        }
    }

    /// Whether a value is made of values that have types of their own.
    public var isNested: Bool {
        switch self {
        case .map, .mapList, .structure, .structureList, .valueList, .valueSet: true
        default: false
        }
    }

    /// Whether a value is one number, flag or plain text, which can be compared.
    public var isComparable: Bool { self != .bytes && element == nil && !isFormattedText && !isNested }

    /// Whether an entity can be named by values of this type: those that Feast's key layout knows (`EntityKey`).
    public var isKey: Bool { [.string, .int64, .int32, .bytes, .timestamp].contains(self) }

    /// The types of keys, for messages.
    public static let keyNames = allCases.filter(\.isKey).map(\.rawValue).joined(separator: ", ")
}
