public import AerieCore
public import AerieJSON
public import Streaming

/// Makes events of one view out of named values, with every name resolved. Immutable.
public struct StreamEventReader: Sendable {
    private let keys: [(key: FeatureCatalog.JoinKey, names: [String])]
    private let entityKey: EntityKey
    private let time: [String]
    private let id: [String]?
    private let columns: [(kind: WindowDefinition.ColumnKind, names: [String])]

    /// - Precondition: `windows` is the view's own.
    init(_ view: FeatureCatalog.View, _ windows: WindowDefinition) {
        /// A name, and what the source calls it.
        func names(_ name: String) -> [String] {
            let original = view.definition.fieldMapping.first { $0.value == name }?.key
            return [name] + (original.map { [$0] } ?? [])
        }
        keys = view.joinKeys.map { ($0, names($0.name)) }
        entityKey = view.entityKey
        time = names(windows.stream.timestampField)
        id = windows.stream.eventID.map(names)
        columns = zip(windows.kinds, windows.plan.columns).map { ($0, names($1)) }
    }

    /// - Parameters:
    ///   - field: the value of a name; `nil` if there is none.
    ///   - place: how a name is called in messages.
    /// - Throws: `invalidArgument` for what is missing or does not fit. A column that is missing is null.
    public func event(
        arrival: Int64, _ field: (String) -> JSONValue?, place: (String) -> String
    ) throws(AerieError) -> StreamEvent {
        func value(_ names: [String]) -> (JSONValue?, String) {
            for name in names { if let value = field(name) { return (value, name) } }
            return (nil, names[0])
        }
        func required(_ names: [String], _ why: String) throws(AerieError) -> (JSONValue, String) {
            let (found, name) = value(names)
            guard let found, !found.isNull else { throw .invalid(place(name), "is missing: \(why)") }
            return (found, name)
        }
        var key: [FeatureValue] = keys.isEmpty ? [.string("")] : []
        for entry in keys {
            let (found, name) = try required(entry.names, "it is a join key")
            key.append(try entry.key.value(found, field: place(name)))
        }
        let (moment, timeName) = try required(time, "it says when the event was")
        var identity: UInt64?
        if let id {
            let (found, _) = try required(id, "it tells events apart")
            identity = StableHash.of((found.string ?? found.text()).utf8)
        }
        var values: [StreamValue] = []
        values.reserveCapacity(columns.count)
        for column in columns {
            let (found, name) = value(column.names)
            values.append(try Self.value(found ?? .null, column.kind, name, place))
        }
        return StreamEvent(
            key: try entityKey.bytes(key), time: try FeatureStore.time(moment, place(timeName)), arrival: arrival,
            id: identity, values: values)
    }

    private static func value(
        _ json: JSONValue, _ kind: WindowDefinition.ColumnKind, _ name: String, _ place: (String) -> String
    ) throws(AerieError) -> StreamValue {
        switch (kind, json) {
        case (_, .null): return .null
        case (.number, .bool(let flag)): return .number(flag ? 1 : 0)
        case (.number, _):
            if let number = json.double { return number.isFinite ? .number(number) : .null }
            guard case .double(let number) = try FeatureValue(json: json, type: .double, field: place(name)) else {
                return .null
            }
            return number.isFinite ? .number(number) : .null
        case (.text, .string(let text)): return .text(text)
        case (.flag, .bool(let flag)): return .flag(flag)
        case (.text, _): throw .invalid(place(name), "\(json.text()) is no STRING")
        case (.flag, _): throw .invalid(place(name), "\(json.text()) is no BOOL")
        case (.any, .string(let text)): return .text(text)
        case (.any, .bool(let flag)): return .flag(flag)
        case (.any, _):
            guard let number = json.double else { return .text(json.text()) }
            return number.isFinite ? .number(number) : .null
        }
    }
}

extension FeatureCatalog.JoinKey {
    /// A value of this key out of JSON. Where keys are texts a whole number is its digits: tables and callers have
    /// numbers instead.
    func value(_ json: JSONValue, field: String) throws(AerieError) -> FeatureValue {
        if type == .string, case .int(let number) = json { return .string("\(number)") }
        if let type { return try FeatureValue(json: json, type: type, field: field) }
        return try FeatureValue(key: json, field: field)
    }
}
