public import Experiments

/// Finds a page of runs so that the cost depends on the page and not on how many runs there are.
///
/// Three ways lead to a page, and small counts of index entries decide between them:
/// - along the experiment's index of start times or names, asking each run for the conditions, until the page is full;
/// - from the entries of one rare condition, when those are few;
/// - along the index of the values of the metric, param or tag that is ordered by, when most runs have one.
///
/// Several experiments, or stages, are read one by one and merged: each has an index of its own order, all together
/// have none.
public struct RunSearch<Connection: SearchConnection> {
    let connection: Connection
    let query: SearchQuery
    let tables: SearchTables
    private let newest: Int64
    let ordering: SearchOrdering

    /// Rows of an index that are counted at most to choose a way; about a millisecond.
    private static var countLimit: Int { 20_000 }
    /// Entries of a condition that are few: all of them are looked up and sorted.
    private static var fewEntries: Int { 10_000 }
    /// More than these are not read one by one.
    private static var partsLimit: Int { 32 }

    /// - Parameter tables: of runs, with columns `experiment` and `stage`.
    public init(_ connection: Connection, _ query: SearchQuery, _ tables: SearchTables) throws {
        self.connection = connection
        self.query = query
        self.tables = tables
        newest = try SearchStatement.newest(connection, query, tables)
        ordering = try SearchOrdering(query.order, tables)
    }

    public func page() throws -> (keys: [Int64], next: PagePosition?) {
        let experiments = query.experimentIDs.compactMap { Int64($0.text) }
        let stages = query.view == .all ? ["active", "deleted"] : [query.view == .activeOnly ? "active" : "deleted"]
        let parts = experiments.count * stages.count
        var rows: [SearchRow] = []
        if parts == 0 || parts > Self.partsLimit {
            var statement = SearchStatement(tables, connection.dialect)
            if !experiments.isEmpty { statement.require(in: "t.experiment", numbers: experiments) }
            statement.require(in: "t.stage", stages.map { .text($0) })
            try statement.restrict(to: query, newest: newest)
            rows = try plain(statement)
        } else {
            for experiment in experiments {
                for stage in stages { rows += try part(experiment, stage) }
            }
            if parts > 1 {
                rows.sort { $0.comes(before: $1, ordering.terms) }
                rows = Array(rows.prefix(query.limit + 1))
            }
        }
        return SearchStatement.page(rows, limit: query.limit, newest: newest)
    }

    /// A page of one experiment and stage.
    private func part(_ experiment: Int64, _ stage: String) throws -> [SearchRow] {
        var statement = SearchStatement(tables, connection.dialect)
        statement.require("t.experiment = ?", [.integer(experiment)])
        statement.require("t.stage = ?", [.text(stage)])
        try statement.restrict(to: query, newest: newest)
        let walked = query.order.first.flatMap { tables.satellites[$0.field.kind] }
        let conditions = query.conditions.filter { tables.satellites[$0.field.kind] != nil }
        guard walked != nil || !conditions.isEmpty else { return try plain(statement) }

        let runs = try count(
            "SELECT 1 FROM runs t WHERE t.experiment = ? AND t.stage = ?", [.integer(experiment), .text(stage)],
            upTo: Self.countLimit)
        if let rows = try fromRareCondition(conditions, runs: runs, statement) { return rows }
        if let walked, let first = query.order.first {
            let entries = try count(
                "SELECT 1 FROM \(walked) s WHERE s.key = ?", [.text(first.field.key)], upTo: runs * 4 + 1000)
            if runs == Self.countLimit || entries < runs * 4 + 1000 {
                return try alongValues(of: first, in: walked, statement)
            }
        }
        return try plain(statement)
    }

    private func plain(_ statement: SearchStatement) throws -> [SearchRow] {
        try statement.rows(
            connection, from: "\(tables.table) t\(ordering.joins)", ordering.joinArguments, ordering.terms,
            after: query.position?.after, limit: query.limit + 1)
    }

    private func count(
        _ sql: String, _ arguments: [SQLArgument], upTo limit: Int
    ) throws -> Int {
        Int(
            try connection.number(
                "SELECT COUNT(*) FROM (\(sql) LIMIT ?) AS counted", arguments + [.integer(Int64(limit))]) ?? 0)
    }

    // MARK: From a rare condition

    private func fromRareCondition(
        _ conditions: [SearchCondition], runs: Int, _ statement: SearchStatement
    ) throws -> [SearchRow]? {
        var best: (entries: Int, condition: SearchCondition)?
        for condition in conditions where Self.isSelective(condition) {
            var entries = SearchStatement(tables, connection.dialect)
            entries.require("s.key = ?", [.text(condition.field.key)])
            if condition.field.kind == .metric { entries.require("s.is_nan = 0") }
            entries.compare("s.value", condition)
            let sql = "SELECT 1 FROM \(satellite(condition)) s WHERE \(entries.conditions.joined(separator: " AND "))"
            let found = try count(sql, entries.arguments, upTo: min(best?.entries ?? .max, Self.fewEntries))
            if found < best?.entries ?? Self.fewEntries { best = (found, condition) }
        }
        // With few runs in the experiment there is nothing to gain.
        guard let best, best.entries < runs / 4 || runs == Self.countLimit else { return nil }
        var entries = SearchStatement(tables, connection.dialect)
        entries.require("d.key = ?", [.text(best.condition.field.key)])
        if best.condition.field.kind == .metric { entries.require("d.is_nan = 0") }
        entries.compare("d.value", best.condition)
        var statement = statement
        statement.require(entries.conditions.joined(separator: " AND "), entries.arguments)
        // CROSS keeps the order of the tables as it is written.
        let from =
            "\(satellite(best.condition)) d \(connection.dialect.orderedJoin) runs t ON t.seq = d.owner\(ordering.joins)"
        return try statement.rows(
            connection, from: from, ordering.joinArguments, ordering.terms, after: query.position?.after,
            limit: query.limit + 1)
    }

    private func satellite(_ condition: SearchCondition) -> String { tables.satellites[condition.field.kind] ?? "" }

    /// Conditions that the index of values answers with one range.
    static func isSelective(_ condition: SearchCondition) -> Bool {
        switch condition.comparison {
        case .equal, .less, .lessOrEqual, .greater, .greaterOrEqual: true
        case .notEqual, .like, .ilike, .rlike, .in, .notIn, .isNull, .isNotNull: false
        }
    }

    // MARK: Along the values that are ordered by

    /// Runs with a value in the order of the values, then those with NaN, then those without one: the three ranks of
    /// `SearchOrdering`, each a statement of its own, as far as the page needs them.
    private func alongValues(
        of first: SearchOrder, in satellite: String, _ statement: SearchStatement
    ) throws -> [SearchRow] {
        let same = query.conditions.filter { $0.field == first.field && $0.comparison != .isNull }
        let isPromptRule = first.field.key == "mlflow.prompt.is_prompt"
        var ranks = same.isEmpty || isPromptRule ? [0, 1, 2] : [0, 1]
        if first.field.kind != .metric { ranks.removeAll { $0 == 1 } }
        var after = query.position?.after
        if let position = after {
            guard position.count == ordering.terms.count, case .integer(let rank) = position[0],
                (0...2).contains(rank)
            else {
                throw PagePosition.wrong()
            }
            ranks.removeAll { $0 < Int(rank) }
            if ranks.first != Int(rank) { after = nil }
        }
        var rows: [SearchRow] = []
        for rank in ranks where rows.count <= query.limit {
            let limit = query.limit + 1 - rows.count
            let walk = ValueWalk(rank: rank, first: first, satellite: satellite, same: same, statement: statement)
            rows +=
                rank < 2 && first.field.kind == .metric
                ? try blockwise(walk, after: after, limit: limit) : try ranked(walk, after: after, limit: limit)
            after = nil
        }
        return rows
    }

    /// - Parameter range: of the values; `nil` for all.
    func ranked(
        _ walk: ValueWalk, in range: ValueRange? = nil, after: [PageValue]?, limit: Int
    ) throws -> [SearchRow] {
        let (rank, first, satellite) = (walk.rank, walk.first, walk.satellite)
        var statement = walk.statement
        let others = ordering.satelliteJoins.dropFirst().joined()
        let otherArguments = Array(ordering.joinArguments.dropFirst())
        let rest = Array(ordering.terms.dropFirst(2))
        if rank == 2 {
            statement.require(
                "NOT EXISTS (SELECT 1 FROM \(satellite) m WHERE m.owner = t.seq AND m.key = ?)",
                [.text(first.field.key)])
            let found = try statement.rows(
                connection, from: "runs t\(others)", otherArguments, rest, after: after.map { Array($0.dropFirst(2)) },
                limit: limit)
            let filler: PageValue = first.field.kind == .metric ? .integer(0) : .text("")
            return found.map { SearchRow(key: $0.key, values: [.integer(2), filler] + $0.values) }
        }
        statement.require("o0.key = ?", [.text(first.field.key)])
        if first.field.kind == .metric { statement.require("o0.is_nan = ?", [.integer(Int64(rank))]) }
        if rank == 0 {
            for condition in walk.same where Self.isSelective(condition) { statement.compare("o0.value", condition) }
        }
        range?.restrict(&statement, "o0.value", ascending: first.ascending)
        let terms = [SearchTerm(sql: "o0.value", ascending: first.ascending)] + rest
        let found = try statement.rows(
            connection, from: "\(satellite) o0 \(connection.dialect.orderedJoin) runs t ON t.seq = o0.owner\(others)",
            otherArguments, terms,
            after: after.map { Array($0.dropFirst()) }, limit: limit)
        return found.map { SearchRow(key: $0.key, values: [.integer(Int64(rank))] + $0.values) }
    }
}
