import AerieCore
import AerieJSON
import Datasets

extension FeatureStore {
    /// The places of the pushed rows that a view's suite lets pass, `nil` for all of them, and what it says of them. A
    /// view without a suite costs nothing; with one, the rows go through a table of the SQL engine.
    func passQuality(
        _ rows: [OnlineRow], _ columns: [(name: String, values: [JSONValue])], _ view: FeatureCatalog.View
    ) async throws(AerieError) -> (places: [Int]?, notes: [String]) {
        guard let quality = view.quality, !rows.isEmpty else { return (nil, []) }
        let engine = try engine()
        var types = Dictionary(
            view.definition.features.map { ($0.name, Self.sqlType($0.type)) }, uniquingKeysWith: { first, _ in first })
        for key in view.joinKeys { types[key.name] = key.type.map(Self.sqlType) }
        let declared = columns.enumerated().map { "c\($0) \(types[Self.mapped($1.name, view)] ?? "VARCHAR")" }
        try await engine.execute("CREATE TEMP TABLE pushed (\"__aerie_at\" BIGINT, \(declared.joined(separator: ", ")))")
        // Few enough values at a time for one statement.
        let step = max(1, 2000 / (columns.count + 1))
        for start in stride(from: 0, to: rows.count, by: step) {
            let places = start..<min(start + step, rows.count)
            let marks = "(?" + String(repeating: ", ?", count: columns.count) + ")"
            var values: [SQLValue] = []
            for place in places {
                values.append(.int(Int64(place)))
                for column in columns { values.append(Self.sqlValue(column.values[place])) }
            }
            let list = Array(repeating: marks, count: places.count).joined(separator: ", ")
            try await engine.execute("INSERT INTO pushed VALUES \(list)", values)
        }
        let named = columns.enumerated().map { (sql: "c\($0)", name: Self.mapped($1.name, view)) }
        let notes = try await check(CheckedRows(engine: engine, view: view, table: "pushed", columns: named), quality)
        let left = try await engine.query("SELECT \"__aerie_at\" FROM pushed ORDER BY 1")
        guard case .int(let places)? = left["__aerie_at"]?.values else { return ([], notes) }
        return (places.count == rows.count ? nil : places.map { Int($0) }, notes)
    }

    /// The name that a column of the source has in the view.
    private static func mapped(_ name: String, _ view: FeatureCatalog.View) -> String {
        view.definition.fieldMapping[name] ?? name
    }

    private static func sqlType(_ type: FeatureType) -> String {
        switch type {
        case .int32, .int64, .timestamp: "BIGINT"
        case .float, .double: "DOUBLE"
        case .bool: "BOOLEAN"
        default: "VARCHAR"
        }
    }

    private static func sqlValue(_ value: JSONValue) -> SQLValue {
        switch value {
        case .null: .null
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .double(let number): .double(number)
        case .string(let text): .text(text)
        case .array, .object: .text(value.text())
        }
    }
}
