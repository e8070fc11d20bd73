public import AerieCore
public import Experiments

/// A search as one SELECT of row keys. Every value of the client's is an argument, none is part of the text.
public struct SearchStatement {
    private(set) var conditions: [String] = []
    private(set) var arguments: [SQLArgument] = []
    let tables: SearchTables
    let dialect: SQLDialect

    public init(_ tables: SearchTables, _ dialect: SQLDialect) {
        self.tables = tables
        self.dialect = dialect
    }

    public mutating func require(_ sql: String, _ values: [SQLArgument] = []) {
        conditions.append(sql)
        arguments += values
    }

    public mutating func require(in column: String, _ values: [SQLArgument]) {
        require("\(column) IN (\(Self.marks(values.count)))", values)
    }

    /// A statement takes no more than some 30,000 arguments, so long lists go as one.
    public mutating func require(in column: String, numbers: [Int64]) {
        guard numbers.count > 1000 else { return require(in: column, numbers.map { .integer($0) }) }
        require(dialect.list(column), [.integers(numbers)])
    }

    private static func marks(_ count: Int) -> String { Array(repeating: "?", count: count).joined(separator: ",") }

    mutating func add(_ condition: SearchCondition) throws(AerieError) {
        let key = condition.field.key
        switch condition.field.kind {
        case .attribute:
            guard let column = tables.attributes[key] else {
                throw .invalid(
                    "filter",
                    "cannot search for '\(key)' here")
            }
            compare(column, condition)
        case .dataset: addDataset(condition)
        case .span, .feedback, .expectation, .issue:
            throw .invalid("filter", "\(condition.field.kind.rawValue) belongs to searches of traces")
        case .metric, .param, .tag, .metadata:
            guard let satellite = tables.satellites[condition.field.kind] else {
                throw .invalid("filter", "cannot search for '\(key)' here")
            }
            var condition = condition
            var isMissing = condition.comparison == .isNull
            // Clients add this condition to every search of models, and mean also those that lack the tag.
            if key == "mlflow.prompt.is_prompt", condition.comparison == .notEqual {
                condition.comparison = .equal
                isMissing = true
            }
            var inner = SearchStatement(tables, dialect)
            inner.require("s.key = ?", [.text(key)])
            if condition.comparison != .isNull, condition.comparison != .isNotNull {
                inner.compare(
                    "s.value",
                    condition)
            }
            // NaN is kept as a mark beside a 0; it differs from every number and is neither above nor below one.
            if condition.field.kind == .metric {
                if condition.comparison == .notEqual {
                    inner.conditions[inner.conditions.count - 1] = "(s.is_nan = 1 OR s.value != ?)"
                } else {
                    inner.require("s.is_nan = 0")
                }
            }
            // Asked row by row, in the order of the page, so that a full page ends the search.
            let select =
                "SELECT 1 FROM \(satellite) s WHERE s.owner = t.\(tables.key) AND "
                + inner.conditions.joined(separator: " AND ")
            require("\(isMissing ? "NOT " : "")EXISTS (\(select))", inner.arguments)
        }
    }

    private mutating func addDataset(_ condition: SearchCondition) {
        var inner = SearchStatement(tables, dialect)
        if condition.field.key == "context" {
            inner.require("s.key = 'mlflow.data.context'")
            inner.compare("s.value", condition)
            let select = "SELECT s.run FROM run_dataset_tags s WHERE \(inner.conditions.joined(separator: " AND "))"
            require("t.\(tables.key) IN (\(select))", inner.arguments)
        } else {
            inner.compare(condition.field.key == "name" ? "d.name" : "d.digest", condition)
            let select =
                "SELECT s.run FROM run_datasets s JOIN datasets d ON d.seq = s.dataset WHERE "
                + inner.conditions.joined(separator: " AND ")
            require("t.\(tables.key) IN (\(select))", inner.arguments)
        }
    }

    mutating func compare(_ column: String, _ condition: SearchCondition) {
        switch (condition.comparison, condition.value) {
        case (.like, .text(let pattern)): require(dialect.like(column), [.text(dialect.pattern(pattern))])
        case (.ilike, .text(let pattern)): require(dialect.ilike(column), [.text(pattern)])
        case (.rlike, .text(let pattern)): require(dialect.rlike(column), [.text(pattern)])
        case (.in, .list(let values)): require(in: column, values.map { .text($0) })
        case (.notIn, .list(let values)):
            require("\(column) NOT IN (\(Self.marks(values.count)))", values.map { .text($0) })
        case (let comparison, .number(let number)):
            // A whole number is compared as one, so that the index of a whole-number column serves it.
            if let whole = Int64(exactly: number) {
                require("\(column) \(comparison.rawValue) ?", [.integer(whole)])
            } else {
                require("\(column) \(comparison.rawValue) CAST(? AS DOUBLE PRECISION)", [.number(number)])
            }
        case (let comparison, .text(let text)): require("\(column) \(comparison.rawValue) ?", [.text(text)])
        default: require("\(column) IS \(condition.comparison == .isNull ? "" : "NOT ")NULL")
        }
    }

    /// The keys of one page, and where the next one begins.
    public mutating func page(
        _ connection: some SearchConnection, _ query: SearchQuery
    ) throws -> (keys: [Int64], next: PagePosition?) {
        let newest = try Self.newest(connection, query, tables)
        let ordering = try SearchOrdering(query.order, tables)
        try restrict(to: query, newest: newest)
        let rows = try rows(
            connection, from: "\(tables.table) t\(ordering.joins)", ordering.joinArguments, ordering.terms,
            after: query.position?.after, limit: query.limit + 1)
        return Self.page(rows, limit: query.limit, newest: newest)
    }

    /// The newest row that the pages of a search may show: the newest there was when the first one was read.
    static func newest(
        _ connection: some SearchConnection, _ query: SearchQuery, _ tables: SearchTables
    ) throws -> Int64 {
        if let position = query.position { return position.newest }
        return try connection.number("SELECT MAX(\(tables.sequence)) FROM \(tables.table)", []) ?? 0
    }

    /// Adds the conditions of a query. The sign keeps SQLite from reading the rows in the order of their numbers.
    mutating func restrict(to query: SearchQuery, newest: Int64) throws(AerieError) {
        require("+t.\(tables.sequence) <= ?", [.integer(newest)])
        for condition in query.conditions { try add(condition) }
    }

    /// - Parameter after: the values of the row that the last page ended with, one each term.
    func rows(
        _ connection: some SearchConnection, from: String, _ fromArguments: [SQLArgument], _ terms: [SearchTerm],
        after: [PageValue]?, limit: Int
    ) throws -> [SearchRow] {
        var conditions = conditions
        var all = fromArguments + arguments
        if let after {
            guard after.count == terms.count else { throw PagePosition.wrong() }
            var sql = ""
            for (index, term) in terms.enumerated() {
                let sign = term.ascending ? ">" : "<"
                sql += "(\(term.sql) \(sign) ?" + (index < terms.count - 1 ? " OR (\(term.sql) = ? AND " : "")
            }
            sql += String(repeating: ")", count: terms.count * 2 - 1)
            if let first = terms.first {
                // Says the same of the first term alone, in the form in which an index is entered.
                conditions.append("\(first.sql) \(first.ascending ? ">=" : "<=") ?")
                all.append(try after[0].argument())
            }
            conditions.append(sql)
            for (index, value) in after.enumerated() {
                let argument = try value.argument()
                all += index < after.count - 1 ? [argument, argument] : [argument]
            }
        }
        let order = terms.map { "\($0.sql) \($0.ascending ? "ASC" : "DESC")" }.joined(separator: ", ")
        let sql =
            "SELECT t.\(tables.key), \(terms.map(\.sql).joined(separator: ", ")) FROM \(from)"
            + " WHERE \(conditions.joined(separator: " AND ")) ORDER BY \(order) LIMIT ?"
        all.append(.integer(Int64(limit)))
        let rows = try connection.rows(sql, all)
        // SQLite compares a text and a number without a word; the rows tell what the terms are.
        if let after, let row = rows.first, zip(after, row.values).contains(where: { $0.isText != $1.isText }) {
            throw PagePosition.wrong()
        }
        return rows
    }

    /// Cuts the rows to a page, of which there is another if one row more was found.
    static func page(_ rows: [SearchRow], limit: Int, newest: Int64) -> (keys: [Int64], next: PagePosition?) {
        guard rows.count > limit else { return (rows.map(\.key), nil) }
        return (rows.prefix(limit).map(\.key), PagePosition(newest: newest, after: rows[limit - 1].values))
    }
}
