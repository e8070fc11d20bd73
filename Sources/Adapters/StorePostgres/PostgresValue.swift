import AerieCore

/// A value of a statement, as text; `nil` is NULL.
struct PostgresValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral {
    let text: String?

    init(_ text: String?) { self.text = text }
    init(_ number: Int64?) { text = number.map { String($0) } }
    init(_ number: Int) { text = String(number) }
    init(_ flag: Bool) { text = flag ? "true" : "false" }
    init(_ number: Double) {
        text = number.isNaN ? "NaN" : number.isInfinite ? (number > 0 ? "Infinity" : "-Infinity") : "\(number)"
    }
    init(stringLiteral value: String) { text = value }
    init(integerLiteral value: Int64) { text = String(value) }
    init(nilLiteral: ()) { text = nil }

    /// One argument that is an array, such as for `unnest(?::text[])`.
    static func array<Elements: Sequence>(_ values: Elements) -> PostgresValue where Elements.Element == PostgresValue {
        var out = "{"
        for value in values {
            if out.utf8.count > 1 { out += "," }
            guard let text = value.text else {
                out += "NULL"
                continue
            }
            out += "\""
            for character in text.unicodeScalars {
                if character == "\"" || character == "\\" { out += "\\" }
                out.unicodeScalars.append(character)
            }
            out += "\""
        }
        return PostgresValue(out + "}")
    }

    static func array(_ numbers: [Int64]) -> PostgresValue {
        PostgresValue("{" + numbers.lazy.map { String($0) }.joined(separator: ",") + "}")
    }

    static func array(_ texts: [String]) -> PostgresValue { array(texts.map { PostgresValue($0) }) }
}

/// The rows that a statement gave, by row and column. Read where the connection is, and not kept.
struct PostgresRow {
    let values: [String?]
    let types: [UInt32]

    func text(_ column: Int) throws(AerieError) -> String {
        guard let value = values[column] else { throw Self.unexpected }
        return value
    }

    func optionalText(_ column: Int) -> String? { values[column] }

    func int(_ column: Int) throws(AerieError) -> Int64 {
        guard let value = values[column].flatMap({ Int64($0) }) else { throw Self.unexpected }
        return value
    }

    func optionalInt(_ column: Int) -> Int64? { values[column].flatMap { Int64($0) } }

    func optionalTime(_ column: Int) -> Timestamp? { optionalInt(column).map { Timestamp(milliseconds: $0) } }

    func double(_ column: Int) throws(AerieError) -> Double {
        guard let value = values[column].flatMap({ Double($0) }) else { throw Self.unexpected }
        return value
    }

    func time(_ column: Int) throws(AerieError) -> Timestamp { Timestamp(milliseconds: try int(column)) }

    static let unexpected = AerieError(.internal, "the metadata database answered in a form that is not expected")
}
