public import AerieCore
public import AerieJSON
import AerieResources
import Datasets

/// What the values of each feature looked like at a materialization: counts, moments, quantiles, a histogram or the
/// values that come most often. Kept with every materialization, so that later ones can be compared with it.
public enum FeatureStatistics {
    /// Equal-width bins between the least and the greatest finite value.
    private static let bins = 20
    private static let quantiles = ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]

    /// The log that keeps a view's statistics, one record for each materialization.
    static func log(_ view: FeatureCatalog.View) -> String { "statistics/\(view.key.namespace)/\(view.definition.name)" }

    /// An object with one member for each feature.
    static func collect(_ source: MaterializationSource) async throws(AerieError) -> JSONValue {
        let features = source.view.definition.features
        var columns: [SQLColumn] = []
        for sql in aggregates(features) { columns += try await source.engine.query(sql).columns }
        let table = SQLTable(columns: columns)
        let histograms = try await histograms(features, table, source.engine)
        var object = JSONObject()
        for (index, feature) in features.enumerated() {
            var member = try await one("f\(index)", feature.type, table, source)
            member["histogram"] = histograms[index]
            object[feature.name] = .object(member)
        }
        return .object(object)
    }

    /// Statements of one row each. Distinct values are counted by a reading for each feature, as such aggregates beside
    /// others slow all of them, and not by subqueries, for which the engine would look for an order to join them in.
    /// All quantiles of a feature are asked for at once, which sorts its values once.
    private static func aggregates(_ features: [FeatureViewDefinition.Feature]) -> [String] {
        var moments = ["count(*) AS n"]
        var finite: [String] = []
        var distinct: [String] = []
        var readings: [String] = []
        var lists: [String] = []
        var places: [String] = []
        for (index, feature) in features.enumerated() {
            let column = "f\(index)"
            moments.append("count(\(column)) AS \"\(column)_count\"")
            guard let number = number(column, feature.type) else { continue }
            distinct.append("max(n) FILTER (WHERE f = \(index)) AS \"\(column)_distinct\"")
            readings.append(
                "SELECT \(index) AS f, count(*) AS n FROM (SELECT \(column) FROM newest WHERE \(column) IS NOT NULL "
                    + "GROUP BY \(column))")
            finite.append("CASE WHEN isfinite(\(number)) THEN \(number) END AS n\(index)")
            for (name, function) in [("mean", "avg"), ("std", "stddev_samp"), ("min", "min"), ("max", "max")] {
                moments.append("\(function)(n\(index)) AS \"\(column)_\(name)\"")
            }
            lists.append("quantile_cont(n\(index), [\(quantiles.joined(separator: ", "))]) AS \(column)")
            for (place, quantile) in quantiles.enumerated() {
                places.append("\(column)[\(place + 1)] AS \"\(column)_q\(quantile)\"")
            }
        }
        let rows = "(SELECT \((["*"] + finite).joined(separator: ", ")) FROM newest)"
        var statements = ["SELECT \(moments.joined(separator: ", ")) FROM \(rows)"]
        if !distinct.isEmpty {
            statements.append(
                "SELECT \(distinct.joined(separator: ", ")) FROM (\(readings.joined(separator: " UNION ALL ")))")
            statements.append(
                "SELECT \(places.joined(separator: ", ")) FROM (SELECT \(lists.joined(separator: ", ")) FROM \(rows))")
        }
        return statements
    }

    private static func number(_ column: String, _ type: FeatureType) -> String? {
        switch type {
        case .bool: "\(column)::INT::DOUBLE"
        case _ where type.isNumeric: "\(column)::DOUBLE"
        default: nil
        }
    }

    private static func one(
        _ column: String, _ type: FeatureType, _ table: SQLTable, _ source: MaterializationSource
    ) async throws(AerieError) -> JSONObject {
        func value(_ name: String) -> JSONValue { JSONValue(table["\(column)_\(name)"]?[0] ?? .null) }
        let count = value("count").int ?? 0
        let rows = JSONValue(table["n"]?[0] ?? .null).int ?? 0
        var result: JSONObject = ["type": .string(type.rawValue), "count": .int(count), "nulls": .int(rows - count)]
        if number(column, type) != nil {
            for name in ["distinct", "mean", "std", "min", "max"] { result[name] = value(name) }
            var object = JSONObject()
            for quantile in quantiles { object[quantile] = value("q\(quantile)") }
            result["quantiles"] = .object(object)
        }
        if type == .string || type == .bool || (type.isNumeric && (value("distinct").int ?? .max) <= 20) {
            result["top"] = try await top(column, source)
        }
        return result
    }

    /// By a feature's place, of those that are numbers and have a finite value; all of them counted by one statement.
    private static func histograms(
        _ features: [FeatureViewDefinition.Feature], _ table: SQLTable, _ engine: any SQLEngine
    ) async throws(AerieError) -> [Int: JSONValue] {
        var found: [Int: (min: Double, max: Double, counts: [Int64])] = [:]
        var readings: [String] = []
        for (index, feature) in features.enumerated() {
            guard let number = number("f\(index)", feature.type),
                case .double(let least)? = table["f\(index)_min"]?[0],
                case .double(let greatest)? = table["f\(index)_max"]?[0]
            else { continue }
            found[index] = (least, greatest, [Int64](repeating: 0, count: greatest > least ? bins : 1))
            let width = greatest - least
            let bin =
                width > 0 && width.isFinite
                ? "least(\(bins - 1), floor((\(number) - (\(least))) / \(width) * \(bins))::INT)" : "0"
            readings.append(
                "SELECT \(index) AS f, \(bin) AS b, count(*) AS n FROM newest WHERE isfinite(\(number)) GROUP BY b")
        }
        if readings.isEmpty { return [:] }
        let rows = try await engine.query(readings.joined(separator: " UNION ALL "))
        for row in 0..<rows.rowCount {
            guard case .int(let index)? = rows["f"]?[row], case .int(let bin)? = rows["b"]?[row],
                case .int(let count)? = rows["n"]?[row], found[Int(index)]?.counts.indices.contains(Int(bin)) == true
            else { continue }
            found[Int(index)]?.counts[Int(bin)] = count
        }
        return found.mapValues { one in
            ["min": .double(one.min), "max": .double(one.max), "counts": .array(one.counts.map(JSONValue.int))]
        }
    }

    private static func top(_ column: String, _ source: MaterializationSource) async throws(AerieError) -> JSONValue {
        let table = try await source.engine.query(
            "SELECT \(column)::VARCHAR AS v, count(*) AS n FROM newest WHERE \(column) IS NOT NULL GROUP BY v "
                + "ORDER BY n DESC, v LIMIT 10")
        return .array(
            (0..<table.rowCount).map { row in
                ["value": JSONValue(table["v"]?[row] ?? .null), "count": JSONValue(table["n"]?[row] ?? .null)]
            })
    }
}

extension FeatureStore {
    /// The statistics of a view's last materializations, the newest first.
    /// - Throws: `notFound` for an unknown view.
    public func statistics(
        view name: String, namespace: String = "default", limit: Int = 20
    ) async throws(AerieError) -> [JSONValue] {
        let view = try await catalog(namespace).view(name)
        return try await records(FeatureStatistics.log(view), limit: limit)
    }

    /// The last records of a log, the newest first. What is no JSON, as it was cut off by a crash, is left out.
    func records(_ name: String, limit: Int) async throws(AerieError) -> [JSONValue] {
        let lines = try await log?.read(name, last: limit) ?? []
        return lines.reversed().compactMap { try? JSONValue.parse($0, allowsNonFinite: true) }
    }
}
