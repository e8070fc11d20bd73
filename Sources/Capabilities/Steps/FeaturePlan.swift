import AerieCore
import AerieJSON
import Datasets
import Features

/// The table as it grows: what stands after `FROM`, and its columns.
struct FeaturePlan {
    var relation: String
    /// Without `row_index`, which the relation has as well.
    var columns: [(name: String, type: String)]

    init(relation: String, columns: [(name: String, type: String)]) {
        self.relation = relation
        self.columns = columns
    }

    var names: [String] { columns.map(\.name) }
    func type(of name: String) -> String? { columns.first { $0.name == name }?.type }

    static func isNumber(_ type: String) -> Bool {
        let words = ["INT", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "REAL"]
        return words.contains(where: type.uppercased().contains) && !type.contains("INTERVAL") && !type.contains("[")
    }

    static func isFeature(_ type: String) -> Bool {
        isNumber(type) || ["BOOLEAN", "VARCHAR"].contains(type.uppercased())
    }

    func baseColumns(
        _ input: StepInput, label: String, eventTime: String, log: (String) -> Void
    ) throws(AerieError) -> [String] {
        for reserved in ["row_index", "split"] where names.contains(reserved) {
            throw input.wrong("table", "has a column '\(reserved)', a name that this step needs itself; rename it")
        }
        if let chosen = try input.texts("columns") {
            for name in chosen where !names.contains(name) {
                throw input.wrong(
                    "columns", "the table has no column '\(name)'; there are \(names.joined(separator: ", "))")
            }
            for name in chosen {
                if name == label { throw input.wrong("columns", "'\(name)' is the label, which cannot be a feature") }
                if let type = type(of: name), !Self.isFeature(type) {
                    throw input.wrong(
                        "columns", "'\(name)' is a \(type); a feature is a number, a truth value or a text")
                }
            }
            return chosen
        }
        let left = Set(try input.texts("exclude") ?? []).union([label, eventTime])
        return columns.compactMap { column in
            guard !left.contains(column.name) else { return nil }
            guard Self.isFeature(column.type) else {
                log("'\(column.name)' is a \(column.type) and no feature")
                return nil
            }
            return column.name
        }
    }

    /// Joins the declared views and gives the names of their features.
    mutating func joinViews(
        _ input: StepInput, eventTime: String?, _ engine: any SQLEngine
    ) async throws(AerieError) -> [String] {
        guard let list = input.parameters["views"]?.array, !list.isEmpty else { return [] }
        guard let eventTime else {
            throw input.wrong("views", "a point-in-time join needs the rows' time; name its column by eventTime")
        }
        let keyNames = try input.object("joinKeys") ?? [:]
        var views: [PointInTimeJoin.View] = []
        for (index, element) in list.enumerated() {
            let path = "\(input.path).views[\(index)]"
            guard let object = element.object else { throw .invalid(path, "must be a feature view") }
            let name = (object["metadata"]?["name"] ?? object["name"])?.string ?? ""
            let definition = try FeatureViewDefinition.parse(
                object["spec"]?.object ?? object, name: name, path: object["spec"] == nil ? path : "\(path).spec")
            let view = StepInput(object, path: path)
            let keys = try view.texts("joinKeys") ?? definition.entities.map { keyNames[$0]?.string ?? $0 }
            views.append(
                PointInTimeJoin.View(
                    definition, keys: keys.map { (entity: $0, view: $0) },
                    source: try await definition.source(engine)))
        }
        let join = PointInTimeJoin(
            entities: relation, entityColumns: names + ["row_index"], timestamp: eventTime,
            timestampType: type(of: eventTime), views: views,
            usesFullNames: try input.flag("fullFeatureNames", default: false))
        relation = "(\(try join.sql()))"
        var added: [String] = []
        for view in views {
            for feature in view.features {
                added.append(join.outputName(view, feature))
                let isText = view.definition.features.contains { $0.name == feature && $0.type == .string }
                columns.append((added[added.count - 1], isText ? "VARCHAR" : "DOUBLE"))
            }
        }
        return added
    }

    mutating func addExpressions(_ input: StepInput, log: (String) -> Void) throws(AerieError) -> [String] {
        var added: [String] = []
        var pieces: [String] = []
        for (index, element) in (input.parameters["expressions"]?.array ?? []).enumerated() {
            let path = "\(input.path).expressions[\(index)]"
            guard let object = element.object else { throw .invalid(path, "must be an object with name and sql") }
            let expression = StepInput(object, path: path)
            let name = try expression.requiredText("name")
            let sql = try expression.requiredText("sql")
            let missing = (try expression.texts("requires") ?? []).filter { !names.contains($0) }
            if !missing.isEmpty {
                log("'\(name)' is left out: the table has no \(missing.joined(separator: ", "))")
                continue
            }
            guard !names.contains(name), !added.contains(name), name != "row_index", name != "split" else {
                throw expression.wrong("name", "there is a column '\(name)' already")
            }
            pieces.append("(\(sql)) AS \(sqlIdentifier(name))")
            added.append(name)
        }
        if !pieces.isEmpty { relation = "(SELECT *, \(pieces.joined(separator: ", ")) FROM \(relation))" }
        return added
    }
}

/// Which rows are for training, which for choosing, and which for judging.
struct SplitRule {
    enum By: String { case time, row, stratified }

    let by: By
    private let train: Double
    private let validation: Double
    private let seed: Int

    init(_ input: StepInput, hasEventTime: Bool) throws(AerieError) {
        let word = try input.text("by") ?? (hasEventTime ? "time" : "row")
        guard let by = By(rawValue: word) else { throw input.wrong("by", "'\(word)' is not time, row or stratified") }
        // A stream without times is in their order already.
        self.by = by == .time && !hasEventTime ? .row : by
        train = try input.number("train", in: 0.01...0.98, default: 0.6)
        validation = try input.number("validation", in: 0.01...0.98, default: 0.15)
        seed = try input.whole("seed", in: 0 ... .max, default: 7)
        guard train + validation <= 0.99 else {
            throw input.wrong(
                "validation",
                "train and validation together are \(train + validation); at least 0.01 must be left to test")
        }
    }

    /// An expression that is `train`, `validation` or `test` for each row.
    func sql(eventTime: String, label: String) -> String {
        let partition = by == .stratified ? "PARTITION BY \(sqlIdentifier(label)) " : ""
        let order =
            switch by {
            case .time: "\(sqlIdentifier(eventTime)), row_index"
            case .row: "row_index"
            // MD5 is the same in every version of the engine, which its own hash is not.
            case .stratified: "md5('\(seed):' || row_index::VARCHAR), row_index"
            }
        let position = "row_number() OVER (\(partition)ORDER BY \(order))"
        let count = "count(*) OVER (\(partition))"
        return "CASE WHEN \(position) <= floor(\(count) * \(train)::DOUBLE + 1e-6) THEN 'train' "
            + "WHEN \(position) <= floor(\(count) * \(train + validation)::DOUBLE + 1e-6) THEN 'validation' ELSE "
            + "'test' END"
    }
}
