public import AerieCore
import AerieJSON
import AerieResources
public import Datasets
import Synchronization

/// How far a materialization has come.
public struct MaterializationProgress: Sendable {
    public var view: String
    public var rows: Int64
    /// Of all entities with a value in the range.
    public var total: Int64
}

extension FeatureStore {
    /// Rows that are in memory at a time.
    private static let chunk: Int64 = 50_000

    /// Copies the newest values of each entity with a time from `start` to `end`, both included, into the online store.
    ///
    /// Reads go on meanwhile. It can be run again at any time: values that are newer stay. What ends early has written
    /// some entities and has not moved the view's mark, so that the next incremental one begins where this one did.
    /// - Parameters:
    ///   - start: microseconds since 1970; `nil` begins where the last one ended, and without one at the view's age
    ///     limit before `end`, or at the beginning of time for a view without a limit.
    ///   - names: the views; `nil` for all that are online.
    /// - Throws: `conflict` if one of them is being materialized already.
    public func materialize(
        _ names: [String]?, from start: Int64?, to end: Int64, namespace: String = "default",
        progress: @Sendable (MaterializationProgress) -> Void = { _ in }
    ) async throws(AerieError) -> [MaterializationProgress] {
        try await reserve(names, from: start, to: end, namespace: namespace).run(progress)
    }

    /// Views that nobody else materializes until `run` has ended. It must be run.
    public struct ReservedMaterialization: Sendable {
        public let views: [FeatureCatalog.View]
        fileprivate let store: FeatureStore
        fileprivate let ranges: [ClosedRange<Int64>]

        public func run(
            _ progress: @Sendable (MaterializationProgress) -> Void = { _ in }
        ) async throws(AerieError) -> [MaterializationProgress] {
            defer { store.end(views) }
            var results: [MaterializationProgress] = []
            for (view, range) in zip(views, ranges) {
                let result = try await store.materialize(
                    view, from: range.lowerBound, to: range.upperBound, progress)
                try await store.record(view, from: range.lowerBound, to: range.upperBound, rows: result.total)
                results.append(result)
            }
            return results
        }
    }

    /// The first half of `materialize`: everything that can be wrong with the question is said here.
    public func reserve(
        _ names: [String]?, from start: Int64?, to end: Int64, namespace: String = "default"
    ) async throws(AerieError) -> ReservedMaterialization {
        let views = try await materializable(names, namespace)
        var ranges: [ClosedRange<Int64>] = []
        for view in views {
            let from = start ?? Self.mark(view) ?? view.definition.timeToLive.map { end - $0 } ?? 0
            guard from <= end else {
                throw .invalid("start_ts", "\(FeatureTime.text(from)) is after the end, \(FeatureTime.text(end))")
            }
            ranges.append(from...end)
        }
        try begin(views)
        return ReservedMaterialization(views: views, store: self, ranges: ranges)
    }

    /// The views that `materialize` would take.
    public func materializable(
        _ names: [String]?, _ namespace: String = "default"
    ) async throws(AerieError) -> [FeatureCatalog.View] {
        let catalog = try await catalog(namespace)
        guard let names else {
            return catalog.views.values.filter(\.isMaterialized).sorted { $0.definition.name < $1.definition.name }
        }
        var views: [FeatureCatalog.View] = []
        for name in names {
            let view = try catalog.view(name)
            guard view.isOnline else {
                throw .invalid("feature_views", "Feature view \(name) is not configured to be served online")
            }
            guard view.isMaterialized else {
                throw .invalid(
                    "feature_views",
                    "feature view \(name) is "
                        + (view.onDemand == nil ? "fed by its stream" : "computed at each read, out of other views"))
            }
            views.append(view)
        }
        return views
    }

    private func begin(_ views: [FeatureCatalog.View]) throws(AerieError) {
        let taken = busy.withLock { busy -> String? in
            if let taken = views.first(where: { busy.contains($0.key) }) { return taken.definition.name }
            busy.formUnion(views.map(\.key))
            return nil
        }
        if let taken {
            throw AerieError(
                .conflict, "Feature view \(taken) is already being materialized", reason: "materialization.running")
        }
    }

    private func end(_ views: [FeatureCatalog.View]) { busy.withLock { $0.subtract(views.map(\.key)) } }

    /// Where the last materialization of a view ended.
    public static func mark(_ view: FeatureCatalog.View) -> Int64? {
        view.status["materializedUntil"]?.string.flatMap(FeatureTime.parse)
    }

    private func record(_ view: FeatureCatalog.View, from: Int64, to: Int64, rows: Int64) async throws(AerieError) {
        var status = try await resources.get(view.key).status ?? [:]
        var intervals = status["materializations"]?.array ?? []
        intervals.append([
            "start": .string(FeatureTime.text(from)), "end": .string(FeatureTime.text(to)), "rows": .int(rows),
            "at": .string(FeatureTime.text(clock.now().milliseconds * 1000)),
        ])
        status["materializations"] = .array(Array(intervals.suffix(50)))
        let latest = max(to, Self.mark(view) ?? .min)
        status["materializedUntil"] = .string(FeatureTime.text(latest))
        try await resources.putStatus(view.key, uid: view.uid, status: status)
    }

    private func materialize(
        _ view: FeatureCatalog.View, from: Int64, to: Int64, _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> MaterializationProgress {
        let engine = try engine()
        let source = try await MaterializationSource(view, from: from, to: to, engine: engine)
        let total = try await source.count()
        var progress = MaterializationProgress(view: view.definition.name, rows: 0, total: total)
        report(progress)
        let parts = max(1, (total + Self.chunk - 1) / Self.chunk)
        for part in 0..<parts where total > 0 {
            if Task.isCancelled { throw AerieError(.cancelled, "the materialization was cancelled") }
            let rows = try await source.rows(part: part, of: parts)
            _ = try await online.write(view.online, rows)
            progress.rows += Int64(rows.count)
            report(progress)
        }
        return progress
    }
}

/// The newest row of each entity in a range of time, read out of a view's source.
struct MaterializationSource {
    private let view: FeatureCatalog.View
    private let engine: any SQLEngine
    private let newest: String

    init(
        _ view: FeatureCatalog.View, from: Int64, to: Int64, engine: any SQLEngine
    ) async throws(AerieError) {
        self.view = view
        self.engine = engine
        let definition = view.definition
        let source = try await definition.source(engine)
        func original(_ name: String) -> String { sqlIdentifier(definition.column(of: name)) }
        let time = sqlInstant(sqlIdentifier(source.timestamp))
        let created = definition.createdTimestampColumn.map { sqlInstant(sqlIdentifier($0)) }
        var columns = view.joinKeys.enumerated().map { "\(original($1.name)) AS k\($0)" }
        for (index, feature) in definition.features.enumerated() {
            columns.append("\(Self.cast(original(feature.name), feature.type)) AS f\(index)")
        }
        columns.append("epoch_us(\(time)) AS t")
        columns.append("\(created.map { "coalesce(epoch_us(\($0)), 0)" } ?? "0::BIGINT") AS c")
        let keys = view.joinKeys.map { original($0.name) }
        let conditions =
            ["\(time) BETWEEN make_timestamp(\(from)) AND make_timestamp(\(to))"]
            + keys.map { "\($0) IS NOT NULL" }
        let partition = keys.isEmpty ? "" : "PARTITION BY \(keys.joined(separator: ", ")) "
        let order = "\(time) DESC, \(created.map { "\($0) DESC NULLS LAST, " } ?? "")\"__aerie_at\" DESC"
        newest =
            "SELECT \(columns.joined(separator: ", ")) FROM (SELECT *, row_number() OVER () AS \"__aerie_at\" FROM "
            + "\(source.relation)) WHERE \(conditions.joined(separator: " AND ")) "
            + "QUALIFY row_number() OVER (\(partition)ORDER BY \(order)) = 1"
        // Once, into a table of the engine's own, which spills to the disk if it must.
        try await engine.execute("CREATE TEMP TABLE newest AS \(newest)")
    }

    func count() async throws(AerieError) -> Int64 {
        guard case .int(let count)? = try await engine.query("SELECT count(*) FROM newest").columns.first?[0] else {
            throw AerieError(.internal, "the SQL engine counts no rows")
        }
        return count
    }

    /// Every row falls into one part.
    func rows(part: Int64, of parts: Int64) async throws(AerieError) -> [OnlineRow] {
        let table = try await engine.query("SELECT * FROM newest WHERE rowid % \(parts) = \(part)")
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
        case .string: "CAST(\(column) AS VARCHAR)"
        case .bytes: "base64(CAST(\(column) AS BLOB))"
        case .timestamp: "CAST(floor(epoch(\(sqlInstant(column)))) AS BIGINT)"
        default: "CAST(to_json(\(column)) AS VARCHAR)"
        }
    }

    private static func key(_ value: SQLValue, _ key: FeatureCatalog.JoinKey) throws(AerieError) -> FeatureValue {
        switch (value, key.type) {
        case (.int(let number), .int32?): return .int32(Int32(truncatingIfNeeded: number))
        case (.int(let number), .string?): return .string("\(number)")
        case (.int(let number), _): return .int64(number)
        case (.text(let text), .int64?):
            guard let number = Int64(text) else { throw .invalid(key.name, "'\(text)' is no INT64") }
            return .int64(number)
        case (.text(let text), _): return .string(text)
        case (.timestamp(let micros), _): return .timestamp(micros / 1_000_000)
        case (.double(let number), _):
            guard let whole = Int64(exactly: number) else { throw .invalid(key.name, "\(number) is no key") }
            return .int64(whole)
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
        case (.text(let text), .bytes):
            return try FeatureValue(json: .string(text), type: .bytes, field: feature.name)
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
