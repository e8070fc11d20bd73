import AerieCore
public import AerieJSON

extension JSONValue {
    /// A value of a result as JSON; a timestamp as `2026-01-31T12:34:56Z`.
    public init(_ value: SQLValue) {
        switch value {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .text(let text): self = .string(text)
        case .timestamp(let microseconds): self = .string(Timestamp(milliseconds: microseconds / 1000).iso8601)
        }
    }
}
