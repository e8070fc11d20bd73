import AerieCore
import AerieJSON
import Datasets
import Training

/// How a row becomes the plain numbers that the model takes.
///
/// A number stays as it is, a truth value is 0 or 1, a missing one is missing (NaN). A text is the position of its
/// value among the values of the training rows in the order of their UTF-8 bytes, counted from 0, and -1 for every
/// other and a missing one. It stands in the model's folder as `encoding.json`, so that whoever calls the model can
/// send the same codes.
struct FeatureEncoding {
    struct Feature {
        var name: String
        /// `nil` for numbers and truth values.
        var categories: [String]?
    }

    static let maximumCategories = 1000

    var features: [Feature]
    var names: [String] { features.map(\.name) }
    var categorical: [Int] { features.indices.filter { features[$0].categories != nil } }

    /// Learns the codes from the training rows.
    static func learn(
        _ names: [String], from relation: String, engine: any SQLEngine
    ) async throws(AerieError) -> FeatureEncoding {
        var types: [String: String] = [:]
        for column in try await engine.columns(of: relation) { types[column.name] = column.type }
        var features: [Feature] = []
        for name in names {
            guard let type = types[name] else { throw .invalid("with.features", "the table has no column '\(name)'") }
            guard FeaturePlan.isFeature(type) else {
                throw .invalid(
                    "with.features", "'\(name)' is a \(type); a feature is a number, a truth value or a text")
            }
            guard type.uppercased() == "VARCHAR" else {
                features.append(Feature(name: name))
                continue
            }
            let values = try await engine.query(
                "SELECT DISTINCT \(sqlIdentifier(name)) AS v FROM \(relation) WHERE \"split\" = 'train' AND "
                    + "\(sqlIdentifier(name)) IS NOT NULL LIMIT \(maximumCategories + 1)")
            guard values.rowCount <= maximumCategories else {
                throw .invalid(
                    "with.features",
                    "'\(name)' has more than \(maximumCategories) different texts; exclude it or make a number of it")
            }
            let categories = (0..<values.rowCount).compactMap { values.text("v", $0) }
            features.append(
                Feature(
                    name: name,
                    categories: categories.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }))
        }
        return FeatureEncoding(features: features)
    }

    /// The SQL expressions of the numbers, one a feature.
    var sql: [String] {
        features.map { feature in
            let name = sqlIdentifier(feature.name)
            guard let categories = feature.categories else { return "\(name)::DOUBLE" }
            guard !categories.isEmpty else { return "(-1)::DOUBLE" }
            let cases = categories.enumerated().map { "WHEN \(sqlString($1)) THEN \($0)" }.joined(separator: " ")
            return "(CASE \(name) \(cases) ELSE -1 END)::DOUBLE"
        }
    }

    /// The rows of one part of a table, in their order.
    func rows(
        _ relation: String, label: String, split: String, engine: any SQLEngine
    ) async throws(AerieError) -> (rows: LabelledRows, indices: [Int64]) {
        let columns = sql.enumerated().map { "\($1) AS f\($0)" }.joined(separator: ", ")
        let table = try await engine.query(
            "SELECT \(columns), \(sqlIdentifier(label))::DOUBLE AS label, row_index::BIGINT AS row_index FROM "
                + "\(relation) "
                + "WHERE \"split\" = \(sqlString(split)) ORDER BY row_index")
        let count = table.rowCount
        var values = [Double](repeating: .nan, count: count * features.count)
        for (index, column) in table.columns.prefix(features.count).enumerated() {
            for (row, value) in column.doubles.enumerated() { values[row * features.count + index] = value }
        }
        let labels = (table["label"]?.doubles ?? []).map { Float($0) }
        let indices = (0..<count).map { table.int("row_index", $0) }
        return (
            LabelledRows(featureNames: names, values: values, labels: labels, categoricalFeatures: categorical), indices
        )
    }

    var json: JSONValue {
        [
            "features": .array(
                features.map { feature in
                    guard let categories = feature.categories else {
                        return ["name": .string(feature.name), "type": "number"]
                    }
                    return [
                        "name": .string(feature.name), "type": "category", "unknown": -1,
                        "codes": .object(JSONObject(categories.enumerated().map { ($1, .int(Int64($0))) })),
                    ]
                })
        ]
    }

    init(features: [Feature]) { self.features = features }

    init(json: JSONValue) throws(AerieError) {
        features = []
        for element in json["features"]?.array ?? [] {
            guard let name = element["name"]?.string else {
                throw AerieError(.dataLoss, "encoding.json has a feature without a name")
            }
            let codes = element["codes"]?.object?.members.sorted { ($0.value.int ?? 0) < ($1.value.int ?? 0) }
            features.append(Feature(name: name, categories: codes?.map(\.key)))
        }
        guard !features.isEmpty else { throw AerieError(.dataLoss, "encoding.json names no feature") }
    }
}
