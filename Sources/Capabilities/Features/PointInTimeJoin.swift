public import AerieCore
import Datasets

/// Training data as it was known: for each row of an entity table the newest values of each view at or before the
/// row's time. Pure; it writes one statement in DuckDB's dialect.
///
/// Every entity row is kept, in its order, duplicates and nulls too; a row without a match has nulls. A value counts
/// up to and including its age of `timeToLive`. Of several values of one key and time, the one created last counts,
/// and without a created column the one that stands last in the source. A view without join keys gives its newest
/// value to all rows. Timestamps with a zone are compared by their instant if the session's time zone is UTC.
public struct PointInTimeJoin: Sendable {
    /// A view, and how it is joined.
    public struct View: Sendable {
        public var definition: FeatureViewDefinition
        /// Column of the entity table -> key column of the view (by its mapped name).
        public var keys: [(entity: String, view: String)]
        /// The features that are wanted, in order.
        public var features: [String]
        public var timestampField: String

        /// - Parameter features: `nil` for all that the view declares.
        public init(
            _ definition: FeatureViewDefinition, keys: [(entity: String, view: String)], features: [String]? = nil,
            timestampField: String? = nil
        ) {
            self.definition = definition
            self.keys = keys
            self.features = features ?? definition.features.map(\.name)
            self.timestampField = timestampField ?? definition.timestampField ?? "event_timestamp"
        }
    }

    private static let row = "__aerie_row"

    /// What stands after `FROM` for the entity table.
    public var entities: String
    public var entityColumns: [String]
    /// The column of the entity table that says when the row was.
    public var timestamp: String
    public var views: [View]
    /// Names results `view__feature` instead of `feature`.
    public var usesFullNames: Bool

    public init(
        entities: String, entityColumns: [String], timestamp: String, views: [View], usesFullNames: Bool = false
    ) {
        self.entities = entities
        self.entityColumns = entityColumns
        self.timestamp = timestamp
        self.views = views
        self.usesFullNames = usesFullNames
    }

    public func outputName(_ view: View, _ feature: String) -> String {
        usesFullNames ? "\(view.definition.name)__\(feature)" : feature
    }

    /// One `SELECT` that gives the entity table's columns, then the features.
    /// - Throws: `invalidArgument` if two results have the same name, a feature is not declared or a column is missing.
    public func sql() throws(AerieError) -> String {
        try check()
        let row = sqlIdentifier(Self.row)
        var tables = ["e AS (SELECT *, row_number() OVER () AS \(row) FROM \(entities))"]
        var columns = entityColumns.map { "e.\(sqlIdentifier($0))" }
        var joins = ""
        for (index, view) in views.enumerated() {
            tables.append("s\(index) AS (\(source(view)))")
            let keys = view.keys.map { "e.\(sqlIdentifier($0.entity)) = s\(index).\(sqlIdentifier($0.view))" }
            let conditions = keys + ["\(sqlInstant("e.\(sqlIdentifier(timestamp))")) >= s\(index).\"__aerie_time\""]
            joins += " ASOF LEFT JOIN s\(index) ON \(conditions.joined(separator: " AND "))"
            for feature in view.features {
                let value = "s\(index).\(sqlIdentifier(feature))"
                let name = sqlIdentifier(outputName(view, feature))
                guard let limit = view.definition.timeToLive else {
                    columns.append("\(value) AS \(name)")
                    continue
                }
                columns.append(
                    "CASE WHEN epoch_us(\(sqlInstant("e.\(sqlIdentifier(timestamp))"))) - "
                        + "epoch_us(s\(index).\"__aerie_time\") <= \(limit) THEN \(value) END AS \(name)")
            }
        }
        return
            "WITH \(tables.joined(separator: ", ")) SELECT \(columns.joined(separator: ", ")) FROM e\(joins) ORDER "
            + "BY e.\(row)"
    }

    /// One row a key and time: the columns by their mapped names, and the time as `__aerie_time`.
    private func source(_ view: View) -> String {
        func original(_ name: String) -> String {
            view.definition.fieldMapping.first { $0.value == name }?.key ?? name
        }
        let keys = view.keys.map(\.view)
        let time = sqlIdentifier(view.timestampField)
        var columns = ["\(sqlInstant(time)) AS \"__aerie_time\""]
        var chosen: Set<String> = []
        for name in keys + view.features where chosen.insert(name).inserted {
            columns.append("\(sqlIdentifier(original(name))) AS \(sqlIdentifier(name))")
        }
        let partition = keys.map { sqlIdentifier(original($0)) } + [sqlInstant(time)]
        let created = view.definition.createdTimestampColumn.map { "\(sqlIdentifier($0)) DESC NULLS LAST, " } ?? ""
        return "SELECT \(columns.joined(separator: ", ")) FROM (SELECT *, row_number() OVER () AS \"__aerie_at\" "
            + "FROM \(view.definition.relation)) WHERE \(time) IS NOT NULL QUALIFY row_number() OVER "
            + "(PARTITION BY \(partition.joined(separator: ", ")) ORDER BY \(created)\"__aerie_at\" DESC) = 1"
    }

    private func check() throws(AerieError) {
        var names = Set(entityColumns)
        guard names.contains(timestamp) else {
            throw .invalid(
                "eventTime",
                "the entity table has no column '\(timestamp)'; there are \(entityColumns.joined(separator: ", "))")
        }
        for view in views {
            for key in view.keys where !entityColumns.contains(key.entity) {
                throw .invalid(
                    "views",
                    "view '\(view.definition.name)' joins by '\(key.entity)', which the entity table does not have")
            }
            for feature in view.features {
                guard view.definition.features.contains(where: { $0.name == feature }) else {
                    throw .invalid("features", "view '\(view.definition.name)' declares no feature '\(feature)'")
                }
                guard names.insert(outputName(view, feature)).inserted else {
                    throw .invalid(
                        "features",
                        "'\(outputName(view, feature))' would stand twice in the result; ask for full feature names")
                }
            }
        }
    }
}

/// A column of any type of time, or of ISO text, as a moment in UTC of whole microseconds. By way of the type with a
/// zone, as not every type of time can be cast to every other; the session's zone must be UTC.
func sqlInstant(_ column: String) -> String { "\(column)::TIMESTAMPTZ::TIMESTAMP" }
