import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Foundation

/// Rows for the online store that are being made, in parts that are told apart by the hash of the key.
protocol OnlineRowSource: Sendable {
    /// Where the rows go.
    var target: OnlineView { get }
    /// How many entities there are.
    func count() async throws(AerieError) -> Int64
    /// Into how many parts the rows are best dealt, so that two are in memory; 1 at least.
    func parts() async throws(AerieError) -> Int64
    /// Every row falls into one part.
    func rows(part: Int64, of parts: Int64) async throws(AerieError) -> [OnlineRow]
}

/// The newest row of each entity in a range of time, read out of a view's source.
struct MaterializationSource: OnlineRowSource {
    /// Rows of a part.
    private static let chunk: Int64 = 40_000

    let view: FeatureCatalog.View
    let engine: any SQLEngine
    /// All rows of the range, of which the newest were chosen; `nil` where nothing asks for others.
    let origin: CheckedRows.Origin?
    private let hash: String

    /// - Parameter left: the parts, of how many, that are wanted; `nil` for all. An entity is always in the same part.
    init(
        _ view: FeatureCatalog.View, in range: ClosedRange<Int64>, engine: any SQLEngine, access: SourceAccess,
        left: (parts: [Int64], of: Int64)? = nil
    ) async throws(AerieError) {
        self.view = view
        self.engine = engine
        let definition = view.definition
        let source = try await definition.source(engine, access)
        func original(_ name: String) -> String { sqlIdentifier(definition.column(of: name)) }
        let keys = view.joinKeys.map { Self.key(original($0.name), $0) }
        let time = sqlInstant(sqlIdentifier(source.timestamp))
        let created = definition.createdTimestampColumn.map { sqlInstant(sqlIdentifier($0)) }
        var columns = keys.enumerated().map { "\($1) AS k\($0)" }
        for (index, feature) in definition.features.enumerated() {
            columns.append("\(Self.cast(original(feature.name), feature.type)) AS f\(index)")
        }
        columns.append("epoch_us(\(time)) AS t")
        columns.append("\(created.map { "coalesce(epoch_us(\($0)), 0)" } ?? "0::BIGINT") AS c")
        hash = Self.hash(of: view.joinKeys.indices.map { "k\($0)" })
        var conditions =
            ["\(time) BETWEEN make_timestamp(\(range.lowerBound)) AND make_timestamp(\(range.upperBound))"]
            + keys.map { "\($0) IS NOT NULL" }
        if let left, !keys.isEmpty { conditions.append(Self.isIn(left, keys)) }
        let partition = keys.isEmpty ? "" : "PARTITION BY \(keys.joined(separator: ", ")) "
        let order = "\(time) DESC, \(created.map { "\($0) DESC NULLS LAST, " } ?? "")\"__aerie_at\" DESC"
        let position = source.position ?? "row_number() OVER ()"
        let rank = "row_number() OVER (\(partition)ORDER BY \(order))"
        let rows =
            " FROM (SELECT *, \(position) AS \"__aerie_at\" FROM "
            + "\(source.relation)) WHERE \(conditions.joined(separator: " AND "))"
        guard view.quality?.onFailure == .quarantine else {
            origin = nil
            try await keep("SELECT \(columns.joined(separator: ", "))\(rows) QUALIFY \(rank) = 1")
            return
        }
        let names = keys.indices.map { "k\($0)" }.joined(separator: ", ")
        let origin = CheckedRows.Origin(
            table: "seen",
            choice: "SELECT * EXCLUDE (r) FROM seen QUALIFY row_number() OVER "
                + "(\(keys.isEmpty ? "" : "PARTITION BY \(names) ")ORDER BY r) = 1")
        self.origin = origin
        try await keep("SELECT \(columns.joined(separator: ", ")), \(rank) AS r\(rows)", as: origin.table)
        try await keep(origin.choice)
    }

    /// A view that is computed of others: every entity that has a row in the range, as the point-in-time join has it at
    /// the end, or now if that is earlier. Rows are of that moment.
    init(
        computing view: FeatureCatalog.View, in range: ClosedRange<Int64>, engine: any SQLEngine, store: FeatureStore,
        left: (parts: [Int64], of: Int64)? = nil
    ) async throws(AerieError) {
        self.view = view
        self.engine = engine
        origin = nil
        hash = Self.hash(of: view.joinKeys.indices.map { "k\($0)" })
        let moment = max(range.lowerBound, min(range.upperBound, store.clock.now().milliseconds * 1000))
        let file = "\(store.access.folder)/\(UUID().uuidString).parquet"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let (name, features) = (view.definition.name, view.definition.features)
        let result = try await store.historical(
            HistoricalRequest(
                selection: .init(references: features.map { "\(name):\($0.name)" }),
                rows: .range(start: range.lowerBound, end: moment), output: file, outputFormat: .parquet),
            namespace: view.key.namespace)
        guard Set(result.columns.prefix { $0 != EntityRange.timestamp }) == Set(view.joinKeys.map(\.name)) else {
            throw .invalid(
                "spec.entities",
                "feature view '\(name)' is kept by \(view.joinKeys.map(\.name).joined(separator: ", ")), and computed of views by "
                    + result.columns.prefix { $0 != EntityRange.timestamp }.joined(separator: ", ")
                    + "; it can be written, and not be materialized")
        }
        let keys = view.joinKeys.map { Self.key(sqlIdentifier($0.name), $0) }
        var columns = keys.enumerated().map { "\($1) AS k\($0)" }
        for (index, feature) in features.enumerated() {
            columns.append("\(Self.cast(sqlIdentifier(feature.name), feature.type)) AS f\(index)")
        }
        columns += ["\(moment)::BIGINT AS t", "0::BIGINT AS c"]
        let wanted = left.map { " WHERE " + Self.isIn($0, keys) } ?? ""
        try await keep("SELECT \(columns.joined(separator: ", ")) FROM read_parquet(\(sqlString(file)))\(wanted)")
    }

    /// What deals entities to parts: of the kept keys and of those in the source the same.
    static func hash(of keys: [String]) -> String {
        keys.isEmpty ? "0" : "hash(\(keys.map { "\($0)::VARCHAR" }.joined(separator: ", ")))"
    }

    static func isIn(_ left: (parts: [Int64], of: Int64), _ keys: [String]) -> String {
        let parts = left.parts.map(String.init).joined(separator: ", ")
        return parts.isEmpty ? "false" : "\(hash(of: keys)) % \(left.of) IN (\(parts))"
    }

    private func keep(_ rows: String, as table: String = "newest") async throws(AerieError) {
        // Nobody looks at the progress of a statement here, and keeping it costs a tenth of the work.
        try await engine.execute("SET enable_progress_bar = false")
        // A statement that waits for what it reads ahead takes a core for that (decision 0031).
        try await engine.execute("SET disable_parquet_prefetching = true")
        // Once, into a table of the engine's own, which spills to the disk if it must.
        try await engine.execute("CREATE TEMP TABLE \(table) AS \(rows)")
    }

    var target: OnlineView { view.online }

    func count() async throws(AerieError) -> Int64 { try await engine.count("newest") }

    func parts() async throws(AerieError) -> Int64 { max(1, (try await count() + Self.chunk - 1) / Self.chunk) }

    func rows(part: Int64, of parts: Int64) async throws(AerieError) -> [OnlineRow] {
        let wanted = parts > 1 ? " WHERE \(hash) % \(parts) = \(part)" : ""
        let table = try await engine.query("SELECT * FROM newest\(wanted)")
        let keyCount = view.joinKeys.count
        let features = view.definition.features
        guard table.columns.count == keyCount + features.count + 2 else {
            throw AerieError(.internal, "the SQL engine gives \(table.columns.count) columns")
        }
        let (times, created) = (table.columns[keyCount + features.count], table.columns[keyCount + features.count + 1])
        var rows: [OnlineRow] = []
        rows.reserveCapacity(table.rowCount)
        for row in 0..<table.rowCount {
            var key: [FeatureValue] = keyCount == 0 ? [.string("")] : []
            for (index, joinKey) in view.joinKeys.enumerated() {
                key.append(try Self.key(table.columns[index][row], joinKey))
            }
            var values: [FeatureValue?] = []
            values.reserveCapacity(features.count)
            for (index, feature) in features.enumerated() {
                values.append(try Self.value(table.columns[keyCount + index][row], feature))
            }
            guard case .int(let time) = times[row], case .int(let written) = created[row] else {
                throw AerieError(.internal, "the SQL engine gives no time")
            }
            rows.append(OnlineRow(key: try view.entityKey.bytes(key), time: time, created: written, values: values))
        }
        return rows
    }

    private static func cast(_ column: String, _ type: FeatureType) -> String {
        switch type {
        case .int32, .int64: "CAST(\(column) AS BIGINT)"
        case .float, .double: "CAST(\(column) AS DOUBLE)"
        case .bool: "CAST(\(column) AS BOOLEAN)"
        case .string, .uuid, .timeUUID, .decimal: "CAST(\(column) AS VARCHAR)"
        case .bytes: "base64(CAST(\(column) AS BLOB))"
        case .timestamp: "CAST(floor(epoch(\(sqlInstant(column)))) AS BIGINT)"
        default:
            switch type.element {
            case .bytes?, .timestamp?, .uuid?, .timeUUID?, .decimal?:
                "CAST(to_json([\(cast("x", type.element ?? .string)) FOR x IN \(column)]) AS VARCHAR)"
            default: "CAST(to_json(\(column)) AS VARCHAR)"
            }
        }
    }

    /// What a key's column is selected as.
    static func key(_ column: String, _ key: FeatureCatalog.JoinKey) -> String {
        key.type == .bytes ? cast(column, .bytes) : column
    }

    static func key(_ value: SQLValue, _ key: FeatureCatalog.JoinKey) throws(AerieError) -> FeatureValue {
        switch value {
        case .int(let number): return try key.value(.int(number), field: key.name)
        case .text(let text): return try key.value(.string(text), field: key.name)
        case .timestamp(let micros): return .timestamp(micros / 1_000_000)
        case .double(let number):
            guard let whole = Int64(exactly: number) else { throw .invalid(key.name, "\(number) is no key") }
            return try key.value(.int(whole), field: key.name)
        default: throw .invalid(key.name, "the column's type cannot be a key; keys are whole numbers or texts")
        }
    }

    private static func value(
        _ value: SQLValue, _ feature: FeatureViewDefinition.Feature
    ) throws(AerieError) -> FeatureValue {
        switch (value, feature.type) {
        case (.null, _): return .null
        case (.int(let number), .int32):
            guard let small = Int32(exactly: number) else {
                throw .invalid(feature.name, "\(number) does not fit into INT32")
            }
            return .int32(small)
        case (.int(let number), .timestamp): return .timestamp(number)
        case (.int(let number), _): return .int64(number)
        case (.double(let number), .float): return .float(Float(number))
        case (.double(let number), _): return .double(number)
        case (.bool(let value), _): return .bool(value)
        case (.text(let text), .string): return .string(text)
        case (.text(let text), .bytes), (.text(let text), .uuid), (.text(let text), .timeUUID),
            (.text(let text), .decimal):
            return try FeatureValue(json: .string(text), type: feature.type, field: feature.name)
        case (.text(let text), let type):
            let json: JSONValue
            do throws(JSONError) { json = try JSONValue.parse(text, allowsNonFinite: true) } catch {
                throw error.asAerieError(in: feature.name)
            }
            return try FeatureValue(json: json, type: type, field: feature.name)
        case (.timestamp(let micros), _): return .timestamp(micros / 1_000_000)
        }
    }
}

extension SQLEngine {
    /// The rows of what stands after `FROM`.
    func count(_ relation: String) async throws(AerieError) -> Int64 {
        guard case .int(let count)? = try await query("SELECT count(*) FROM \(relation)").columns.first?[0] else {
            throw AerieError(.internal, "the SQL engine counts no rows")
        }
        return count
    }
}
