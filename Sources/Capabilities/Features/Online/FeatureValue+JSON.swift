public import AerieCore
public import AerieJSON

extension FeatureValue {
    /// A JSON value as one of a type. Numbers may come as text, as Python's `int()` and `float()` take them; moments as
    /// ISO text or in seconds. A null within a list is its type's `nullInList`.
    /// - Throws: `invalidArgument` naming `field`, the value and the type.
    public init(json: JSONValue, type: FeatureType, field: String) throws(AerieError) {
        func wrong() -> AerieError { .invalid(field, "\(json.text()) is no \(type.rawValue)") }
        if json.isNull {
            self = .null
            return
        }
        if let element = type.element {
            guard let values = json.array else { throw wrong() }
            var list: [FeatureValue] = []
            for value in values {
                let given = try FeatureValue(json: value, type: element, field: field)
                guard let one = given.isNull ? type.nullInList : given else {
                    throw .invalid(field, "a value of \(type.rawValue) must not hold null")
                }
                list.append(one)
            }
            var seen: Set<FeatureValue> = []
            self = type.isSet ? .set(element, list.filter { seen.insert($0).inserted }) : .list(element, list)
            return
        }
        if type.isNested {
            guard let nested = Self.nested(json, type) else { throw wrong() }
            self = .nested(type, nested)
            return
        }
        if type.isFormattedText {
            guard let text = Self.formatted(json, type) else { throw wrong() }
            self = .text(type, text)
            return
        }
        var trimmed: String? { json.string?.filter { !$0.isWhitespace } }
        switch type {
        case .bool:
            guard let value = json.bool ?? json.int.flatMap({ $0 == 0 ? false : $0 == 1 ? true : nil }) else {
                throw wrong()
            }
            self = .bool(value)
        case .int32:
            guard let value = (json.int ?? trimmed.flatMap { Int64($0) }).flatMap({ Int32(exactly: $0) }) else {
                throw wrong()
            }
            self = .int32(value)
        case .int64:
            guard let value = json.int ?? trimmed.flatMap({ Int64($0) }) else { throw wrong() }
            self = .int64(value)
        case .float, .double:
            guard let value = json.double ?? trimmed.flatMap(Self.number) else { throw wrong() }
            self = type == .float ? .float(Float(value)) : .double(value)
        case .timestamp:
            guard let value = json.int ?? json.string.flatMap(FeatureTime.parse).map({ $0 / 1_000_000 }) else {
                throw wrong()
            }
            self = .timestamp(value)
        case .bytes:
            guard let bytes = json.string.flatMap(Base64.standard.decode) else { throw wrong() }
            self = .bytes(bytes)
        default:
            guard let text = json.string else { throw wrong() }
            self = .string(text)
        }
    }

    /// The value of a key whose entity names no type: a whole number is an `INT64`, a text a `STRING`.
    public init(key json: JSONValue, field: String) throws(AerieError) {
        switch json {
        case .string(let text): self = .string(text)
        case .int(let number): self = .int64(number)
        case .null: throw .invalid(field, "a key must not be null")
        default: throw .invalid(field, "\(json.text()) is no key; keys are whole numbers or texts")
        }
    }

    /// A text of a form as it was given, of a DECIMAL also a number, of JSON also any other value; `nil` for another.
    private static func formatted(_ json: JSONValue, _ type: FeatureType) -> String? {
        switch type {
        case .json:
            guard let text = json.string else { return json.text() }
            return (try? JSONValue.parse(text, allowsNonFinite: true)) == nil ? nil : text
        case .decimal:
            let text = json.string ?? (json.double == nil ? nil : json.text())
            return text.flatMap { number($0) == nil ? nil : $0 }
        default:
            let digits = json.string?.filter { $0 != "-" } ?? ""
            return digits.count == 32 && digits.allSatisfy { $0.isASCII && $0.isHexDigit } ? json.string : nil
        }
    }

    /// Values within values, of which maps may be texts of JSON, as Feast's SDK sends them; `nil` for another.
    private static func nested(_ json: JSONValue, _ type: FeatureType) -> JSONValue? {
        let given = json.string.flatMap { try? JSONValue.parse($0, allowsNonFinite: true) } ?? json
        switch type {
        case .map, .structure: return given.object.map(JSONValue.object)
        case .mapList, .structureList:
            guard let values = given.array else { return Optional.none }
            let maps = values.compactMap { nested($0, .map) }
            return maps.count == values.count ? .some(.array(maps)) : Optional.none
        default:
            let isOfLists = given.array?.allSatisfy { $0.array != nil || $0.isNull } == true
            return isOfLists ? .some(given) : Optional.none
        }
    }

    private static func number(_ text: String) -> Double? {
        switch text {
        case "NaN": .nan
        case "Infinity": .infinity
        case "-Infinity": -.infinity
        default: Double(text)
        }
    }

    /// As Feast's HTTP server writes it: numbers that JSON lacks as `"NaN"`, `"Infinity"`, bytes in base64.
    public var json: JSONValue {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .int32(let value): .int(Int64(value))
        case .int64(let value), .timestamp(let value): .int(value)
        case .float(let value): Self.json(Double(value))
        case .double(let value): Self.json(value)
        case .string(let value): .string(value)
        case .bytes(let value): .string(Base64.standard.encode(value))
        case .text(_, let text): .string(text)
        case .list(_, let values), .set(_, let values): .array(values.map(\.json))
        case .nested(_, let value): Self.finite(value)
        }
    }

    private static func finite(_ value: JSONValue) -> JSONValue {
        switch value {
        case .double(let number): json(number)
        case .array(let values): .array(values.map(finite))
        case .object(let object): .object(JSONObject(object.members.map { ($0.key, finite($0.value)) }))
        default: value
        }
    }

    private static func json(_ value: Double) -> JSONValue {
        if value.isNaN { return .string("NaN") }
        if value.isInfinite { return .string(value < 0 ? "-Infinity" : "Infinity") }
        return .double(value)
    }
}
