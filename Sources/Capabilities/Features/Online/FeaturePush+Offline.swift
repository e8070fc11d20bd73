public import AerieCore
public import AerieJSON

/// Where rows that are pushed go.
public enum PushTarget: String, Sendable, CaseIterable {
    case online
    case offline
    case both = "online_and_offline"
}

extension FeatureStore {
    /// Keeps rows for reading offline, with the columns that the view's source has.
    func keep(
        _ columns: [(name: String, values: [JSONValue])], rows: [OnlineRow], of view: FeatureCatalog.View
    ) async throws(AerieError) {
        guard let pushed = access.pushed else {
            throw AerieError(.unsupported, "this process keeps no pushed rows; push to the online store only")
        }
        guard !rows.isEmpty else { return }
        let definition = view.definition
        func column(_ name: String) -> [JSONValue]? {
            let original = definition.column(of: name)
            return (columns.first { $0.name == name } ?? columns.first { $0.name == original })?.values
        }
        var kept: [PushedColumn] = []
        var values: [(Int) -> JSONValue] = []
        for key in view.joinKeys {
            guard let given = column(key.name) else { continue }
            let isText = given.contains { $0.string != nil }
            kept.append(
                PushedColumn(
                    name: definition.column(of: key.name),
                    type: key.type?.sqlName ?? (isText ? FeatureType.string : .int64).sqlName))
            values.append { given[$0] }
        }
        kept.append(PushedColumn(name: definition.timestampField ?? "event_timestamp", type: "TIMESTAMPTZ"))
        values.append { .string(FeatureTime.text(rows[$0].time)) }
        if let created = definition.createdTimestampColumn {
            kept.append(PushedColumn(name: created, type: "TIMESTAMPTZ"))
            values.append { rows[$0].created == 0 ? .null : .string(FeatureTime.text(rows[$0].created)) }
        }
        for (place, feature) in definition.features.enumerated() {
            guard let given = column(feature.name) else { continue }
            kept.append(PushedColumn(name: definition.column(of: feature.name), type: feature.type.sqlName))
            values.append { Self.json(rows[$0].values[place], given: given[$0]) }
        }
        let lines = rows.indices.map { row in
            var object = JSONObject()
            for (column, value) in zip(kept, values) { object[column.name] = value(row) }
            return JSONValue.object(object).text()
        }
        try await pushed.append(lines, columns: kept, to: definition.pushedTo)
    }

    /// - Parameter given: what the value was made of. Nulls within a list stay null: a column can hold them.
    private static func json(_ value: FeatureValue?, given: JSONValue) -> JSONValue {
        switch value {
        case .list(_, let elements)?:
            .array(zip(elements, given.array ?? []).map { $1.isNull ? .null : json($0) })
        default: json(value)
        }
    }

    private static func json(_ value: FeatureValue?) -> JSONValue {
        switch value {
        case .none: .null
        // Moments are seconds in a feature's values; one past all microseconds is Feast's null, or no moment at all.
        case .timestamp(let seconds)?:
            seconds.magnitude > Int64.max.magnitude / 1_000_000 ? .null : .string(FeatureTime.text(seconds * 1_000_000))
        case .set(.timestamp, let moments)?: .array(moments.map(json))
        case let value?: value.json
        }
    }
}
