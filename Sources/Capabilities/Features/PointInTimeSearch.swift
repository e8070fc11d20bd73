import AerieArrow
public import AerieCore
public import Datasets
import Synchronization

extension PointInTimeJoin {
    /// Entity rows that are searched for at once. More of them are left to the engine, which can spill: a search holds
    /// 40 bytes for each.
    static let searchLimit = 1 << 24

    /// What lends rows to a search and takes its answers.
    typealias SearchEngine = ArrowSQLEngine & LendingSQLEngine

    /// What an `AsOfSearch` reads.
    public struct Search: Sendable {
        /// A `SELECT` of what is asked.
        var questions: String
        /// A `SELECT` of the rows that can be an answer.
        var rows: String
        /// In microseconds.
        var timeToLive: Int64?
    }

    /// How the answers for a view are searched for; `nil` if its source does not know the places of its rows, or its
    /// created column is not of a type that is compared here.
    func search(_ view: View, _ set: Int) -> Search? {
        guard searches, let position = view.position else { return nil }
        var columns = [position]
        if let created = view.definition.createdTimestampColumn {
            guard let order = view.source.order(of: created) else { return nil }
            columns.append("\(order) AS c")
        }
        let isKeyed = !view.keys.isEmpty
        let names = (isKeyed ? ["id::BIGINT"] : ["0::BIGINT"]) + ["t", "p"] + (columns.count == 2 ? ["c"] : [])
        return Search(
            questions: "SELECT \(names[0]), \(Self.time), \(Self.row) FROM \(questions(set))",
            rows: "SELECT \(names.joined(separator: ", ")) FROM (\(rows(view, set, columns)))",
            timeToLive: view.definition.timeToLive)
    }

    /// The features of the rows that a search has found.
    ///
    /// Keys are compared again: files that change between the two readings have other rows at these places.
    func found(_ view: View, _ matches: String, _ set: Int) -> String {
        let wanted = view.features + view.inputs
        let columns = wanted.enumerated().map { place, feature in
            "\(sqlIdentifier(view.definition.column(of: feature))) AS f\(place)"
        }
        let features = wanted.indices.map { "s.f\($0)" }
        return "SELECT m.\(Self.row), \(features.joined(separator: ", ")) FROM \(matches) AS m JOIN "
            + "(\(rows(view, set, columns + [view.position ?? "p"]))) AS s ON \(view.keys.isEmpty ? "" : "m.id = s.id AND ")"
            + "m.p = s.p"
    }
}

extension PointInTimeJoin.View {
    fileprivate var position: String? { source.position.map { "(\($0))::BIGINT AS p" } }
}

extension FeatureSource {
    /// A column that sorts by its 64 bits as its values do; `nil` if its type is another, or not known.
    fileprivate func order(of column: String) -> String? {
        switch types[column] {
        case "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "BIGINT":
            sqlIdentifier(column)
        case "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER": "\(sqlIdentifier(column))::BIGINT"
        default: nil
        }
    }
}

extension PointInTimeJoin.Stage {
    /// Makes the table in the engine, and drops those that are not needed any more.
    /// - Throws: `conflict` if a source changed while it was read; what the engine throws.
    public func make(on engine: any SQLEngine) async throws(AerieError) {
        switch work {
        case .select(let sql): try await engine.execute("CREATE TEMP TABLE \(table) AS \(sql)")
        case .search(let search):
            guard let engine = engine as? any PointInTimeJoin.SearchEngine else {
                throw AerieError(.unsupported, "the SQL engine lends no rows to search among")
            }
            try await search.run(on: engine, into: table)
        }
        if let answers = completes {
            let lost = try await engine.query(
                "SELECT (SELECT count(*) FROM \(answers)) - (SELECT count(*) FROM \(table))")
            guard lost.columns.first?[0] == .int(0) else {
                throw AerieError(
                    .conflict, "the source of view '\(view ?? "")' changed while it was read; ask again")
            }
        }
        for table in frees { try await engine.execute("DROP TABLE \(table)") }
    }
}

extension PointInTimeJoin.Search {
    /// Answers that are given to the engine at once.
    private static let batchSize = 1 << 17

    fileprivate func run(on engine: any PointInTimeJoin.SearchEngine, into table: String) async throws(AerieError) {
        let search = Mutex(AsOfSearch(timeToLive: timeToLive))
        try await engine.lend(questions, isOrdered: true) { rows throws(AerieError) in
            try search.withLock { search throws(AerieError) in try search.ask(rows) }
        }
        search.withLock { $0.begin() }
        try await engine.lend(rows, isOrdered: false) { rows in search.withLock { $0.offer(rows) } }
        let columns = AsOfSearch.answerSchema
        try await engine.execute(
            "CREATE TABLE \(table) (\(columns.fields.map { "\($0.name) BIGINT" }.joined(separator: ", ")))")
        while let batch = search.withLock({ $0.answers(atMost: Self.batchSize) }) {
            try await engine.append(batch, of: columns, to: table)
        }
    }
}
