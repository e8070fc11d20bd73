public import AerieCore
import Datasets

/// Training data as it was known: for each row of an entity table the newest values of each view at or before the
/// row's time. Pure; it writes statements in DuckDB's dialect.
///
/// Every entity row is kept, in its order, duplicates and nulls too; a row without a match has nulls. A value counts
/// up to and including its age of `timeToLive`. Of several values of one key and time, the one created last counts,
/// and without a created column the one that stands last in the source. A view without join keys gives its newest
/// value to all rows. Timestamps with a zone are compared by their instant if the session's time zone is UTC.
///
/// A view's source is read twice, each time only the rows of entities that are asked for and only what is needed:
/// first keys and times, to find for each entity row its match, then the features of what was matched. What is held is
/// therefore of the size of the entity table, except for the keys and times that the engine sorts where it does not
/// `search`.
public struct PointInTimeJoin: Sendable {
    /// A view, and how it is joined.
    public struct View: Sendable {
        public var definition: FeatureViewDefinition
        /// Column of the entity table -> key column of the view (by its mapped name).
        public var keys: [(entity: String, view: String)]
        /// The features that are wanted, in order.
        public var features: [String]
        /// Further ones that computations read.
        public var inputs: [String] = []
        public var source: FeatureSource

        /// - Parameters:
        ///   - features: `nil` for all that the view declares.
        ///   - source: `nil` for what the definition says, with nothing known of the types.
        public init(
            _ definition: FeatureViewDefinition, keys: [(entity: String, view: String)], features: [String]? = nil,
            source: FeatureSource? = nil
        ) {
            self.definition = definition
            self.keys = keys
            self.features = features ?? definition.features.map(\.name)
            self.source =
                source
                ?? FeatureSource(
                    relation: definition.relation, timestamp: definition.timestampField ?? "event_timestamp")
        }
    }

    /// One step of the work: a table under a name, made of the tables of the stages before it.
    public struct Stage: Sendable {
        /// How a table is made.
        public enum Work: Sendable {
            case select(String)
            case search(Search)
        }

        public var table: String
        public var work: Work
        /// The view that is then joined; `nil` while nothing is yet.
        public var view: String?
        /// The table each of whose rows gives one of this.
        var completes: String?
        /// Tables that no later stage needs.
        public var frees: [String] = []
    }

    /// What stands after `FROM` for the entity table.
    public var entities: String
    public var entityColumns: [String]
    /// The column of the entity table that says when the row was.
    public var timestamp: String
    /// As the engine calls it; `nil` if nobody has looked.
    public var timestampType: String?
    public var views: [View]
    /// Features that are computed out of the views' and the entity table's columns.
    public var computations: [Computation] = []
    public var functions: [FunctionJoin] = []
    /// Names results `view__feature` instead of `feature`.
    public var usesFullNames: Bool
    /// The times of the entity table, if they are known: nothing outside of what they can see is read.
    public var times: ClosedRange<Int64>?
    /// Whether stages find matches by an `AsOfSearch` where a view's source allows it, instead of by a join that sorts
    /// the source. Needs a `SearchEngine`, and memory for the entity rows.
    public var searches = false

    public init(
        entities: String, entityColumns: [String], timestamp: String, timestampType: String? = nil, views: [View],
        usesFullNames: Bool = false
    ) {
        self.entities = entities
        self.entityColumns = entityColumns
        self.timestamp = timestamp
        self.timestampType = timestampType
        self.views = views
        self.usesFullNames = usesFullNames
    }

    public func outputName(_ view: View, _ feature: String) -> String {
        usesFullNames ? "\(view.definition.name)__\(feature)" : feature
    }

    /// One `SELECT` that gives the entity table's columns, then the features.
    /// - Throws: `invalidArgument` if two results have the same name, a feature is not declared or a column is missing.
    public func sql() throws(AerieError) -> String {
        var join = self
        join.searches = false
        let tables = try join.stages().compactMap { stage -> String? in
            guard case .select(let sql) = stage.work else { return nil }
            return "\(stage.table) AS MATERIALIZED (\(sql))"
        }
        return "WITH \(tables.joined(separator: ", ")) \(result)"
    }

    /// The same in steps, for `result` to put together.
    public func stages() throws(AerieError) -> [Stage] {
        try check()
        var stages = [Stage(table: Self.entityTable, work: .select(entityRows))]
        var keySets: [[String]] = []
        for (index, view) in views.enumerated() {
            let columns = view.keys.map(\.entity)
            let set = keySets.firstIndex(of: columns) ?? keySets.count
            if set == keySets.count {
                keySets.append(columns)
                if !columns.isEmpty { stages.append(Stage(table: keys(set), work: .select(distinct(columns)))) }
                stages.append(Stage(table: questions(set), work: .select(questions(columns, keys(set)))))
            }
            stages += self.stages(of: view, index, set)
        }
        return stages
    }

    private func stages(of view: View, _ index: Int, _ set: Int) -> [Stage] {
        let name = view.definition.name
        if let windows = view.definition.windows {
            return [Stage(table: values(index), work: .select(windowed(view, windows, set)), view: name)]
        }
        let (answers, features) = (matches(index), values(index))
        guard let search = search(view, set) else {
            return [
                Stage(table: answers, work: .select(match(view, set))),
                Stage(table: features, work: .select(newest(view, index, set)), view: name, frees: [answers]),
            ]
        }
        return [
            Stage(table: answers, work: .search(search)),
            Stage(
                table: features, work: .select(found(view, answers, set)), view: name, completes: answers,
                frees: [answers]),
        ]
    }

    /// The `SELECT` over the tables of the stages that gives the rows in their order.
    public var result: String {
        var columns = entityColumns.map { "e.\(sqlIdentifier($0))" }
        for (index, view) in views.enumerated() {
            for (place, feature) in view.features.enumerated() {
                columns.append("v\(index).f\(place) AS \(sqlIdentifier(outputName(view, feature)))")
            }
        }
        columns += computed
        let results = functions.indices.map { self.results(of: $0) }.joined()
        return "SELECT \(columns.joined(separator: ", ")) FROM \(entitiesAndValues)\(results) ORDER BY e.\(Self.row)"
    }

    /// What stands after `FROM` for each entity row with what was found for it.
    var entitiesAndValues: String {
        let joins = views.indices.map {
            " LEFT JOIN \(values($0)) AS v\($0) ON e.\(Self.row) = v\($0).\(Self.row)"
        }
        return "\(Self.entityTable) AS e\(joins.joined())"
    }

    /// A feature of a joined view.
    func value(of reference: FeatureReference) -> String {
        let index = views.firstIndex { $0.definition.name == reference.view } ?? 0
        let place = (views[index].features + views[index].inputs).firstIndex(of: reference.feature) ?? 0
        return "v\(index).f\(place)"
    }

    private func check() throws(AerieError) {
        guard entityColumns.contains(timestamp) else {
            throw .invalid(
                "eventTime",
                "the entity table has no column '\(timestamp)'; there are \(entityColumns.joined(separator: ", "))")
        }
        var names = Set(entityColumns.map { $0.lowercased() })
        for view in views {
            for key in view.keys where !entityColumns.contains(key.entity) {
                let problem =
                    "view '\(view.definition.name)' joins by '\(key.entity)', which the entity table does not have"
                throw AerieError(
                    .invalidArgument, problem, reason: "entity_rows.column",
                    details: [.init(field: "views", problem: problem)])
            }
            for feature in view.features {
                guard view.definition.features.contains(where: { $0.name == feature }) else {
                    throw .invalid("features", "view '\(view.definition.name)' declares no feature '\(feature)'")
                }
                try Self.add(outputName(view, feature), to: &names)
            }
        }
        try checkComputations(&names)
    }

    /// - Parameter names: those of the result, in lower case: to the engine, names that differ in case alone are one.
    /// - Throws: `invalidArgument` if the name is there.
    static func add(_ name: String, to names: inout Set<String>) throws(AerieError) {
        guard names.insert(name.lowercased()).inserted else {
            throw .invalid(
                "features",
                "'\(name)' would stand twice in the result, where case tells no names apart; ask for full feature names")
        }
    }
}

// MARK: Tables

extension PointInTimeJoin {
    private static let entityTable = "__aerie_entities"
    static let row = "__aerie_row"
    static let time = "__aerie_time"

    private func keys(_ set: Int) -> String { "__aerie_keys\(set)" }
    func questions(_ set: Int) -> String { "__aerie_asked\(set)" }
    private func matches(_ view: Int) -> String { "__aerie_matched\(view)" }
    private func values(_ view: Int) -> String { "__aerie_values\(view)" }

    private var entityRows: String {
        "SELECT *, row_number() OVER () AS \(Self.row), "
            + "\(sqlMicroseconds(sqlIdentifier(timestamp), type: timestampType)) AS \(Self.time) FROM \(entities)"
    }

    /// A short number for each entity, which sorts faster than what it stands for, and leaves all other entities out.
    private func distinct(_ columns: [String]) -> String {
        let names = columns.enumerated().map { "\(sqlIdentifier($1)) AS k\($0)" }
        let known = columns.map { "\(sqlIdentifier($0)) IS NOT NULL" }
        return "SELECT *, (row_number() OVER ())::INTEGER AS id FROM (SELECT DISTINCT \(names.joined(separator: ", ")) "
            + "FROM \(Self.entityTable) WHERE \(known.joined(separator: " AND ")))"
    }

    /// Which entity is asked for at which time; in this order if they are searched for.
    private func questions(_ columns: [String], _ keys: String) -> String {
        let order = searches ? " ORDER BY \(columns.isEmpty ? "" : "k.id, ")\(Self.time)" : ""
        if columns.isEmpty {
            return "SELECT \(Self.row), \(Self.time) FROM \(Self.entityTable) WHERE \(Self.time) IS NOT NULL\(order)"
        }
        let same = columns.enumerated().map { "e.\(sqlIdentifier($1)) = k.k\($0)" }
        return "SELECT e.\(Self.row), e.\(Self.time), k.id FROM \(Self.entityTable) AS e JOIN \(keys) AS k ON "
            + "\(same.joined(separator: " AND ")) WHERE e.\(Self.time) IS NOT NULL\(order)"
    }

    /// For each question the time of its answer.
    private func match(_ view: View, _ set: Int) -> String {
        let isKeyed = !view.keys.isEmpty
        let age = view.definition.timeToLive.map { " WHERE q.\(Self.time) - s.t <= \($0)" } ?? ""
        return "SELECT q.\(Self.row), \(isKeyed ? "q.id, " : "")s.t FROM \(questions(set)) AS q ASOF JOIN "
            + "(\(rows(view, set, []))) AS s ON \(isKeyed ? "q.id = s.id AND " : "")q.\(Self.time) >= s.t\(age)"
    }

    /// For each question that has an answer its features.
    private func newest(_ view: View, _ index: Int, _ set: Int) -> String {
        let position = view.source.position
        var columns: [String] = []
        let wanted = view.features + view.inputs
        for (place, feature) in wanted.enumerated() {
            columns.append("\(sqlIdentifier(view.definition.column(of: feature))) AS f\(place)")
        }
        if let created = view.definition.createdTimestampColumn { columns.append("\(sqlIdentifier(created)) AS c") }
        columns.append("\(position ?? "\"__aerie_at\"") AS p")
        let created = view.definition.createdTimestampColumn == nil ? "" : "s.c DESC NULLS LAST, "
        let features = wanted.indices.map { "s.f\($0)" }
        return "SELECT m.\(Self.row), \(features.joined(separator: ", ")) FROM \(matches(index)) AS m JOIN "
            + "(\(rows(view, set, columns))) AS s ON \(view.keys.isEmpty ? "" : "m.id = s.id AND ")m.t = s.t "
            + "QUALIFY row_number() OVER (PARTITION BY m.\(Self.row) ORDER BY \(created)s.p DESC) = 1"
    }

    /// The rows of a source that can be an answer: their entity's number, their time as `t` and the columns.
    func rows(_ view: View, _ set: Int, _ columns: [String]) -> String {
        let source = view.source
        let isKeyed = !view.keys.isEmpty
        let oldest = times.flatMap { times in
            view.definition.lifetime.map { times.lowerBound.subtractingReportingOverflow($0).partialValue }
        }
        var relation = source.relation
        if !columns.isEmpty, source.position == nil {
            relation = "(SELECT *, row_number() OVER () AS \"__aerie_at\" FROM \(relation))"
        }
        let keys = view.keys.enumerated().map { place, key in
            "\(sqlIdentifier(view.definition.column(of: key.view))) AS k\(place)"
        }
        let chosen = keys + ["\(source.microseconds) AS t"] + columns
        let seen = times.flatMap { source.isBetween(oldest, $0.upperBound) }.map { " WHERE \($0)" } ?? ""
        let table = "SELECT \(chosen.joined(separator: ", ")) FROM \(relation)\(seen)"
        guard isKeyed else { return "SELECT * FROM (\(table)) WHERE t IS NOT NULL" }
        let same = view.keys.indices.map { "r.k\($0) = k.k\($0)" }
        return "SELECT k.id, r.* FROM (\(table)) AS r JOIN \(self.keys(set)) AS k ON "
            + "\(same.joined(separator: " AND ")) WHERE r.t IS NOT NULL"
    }
}
