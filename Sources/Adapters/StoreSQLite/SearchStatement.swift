import AerieCore
import Experiments
import GRDB

/// A search as one SELECT of row keys. Every value of the client's is an argument, none is part of the text.
struct SearchStatement {
    private(set) var conditions: [String] = []
    private(set) var arguments: [any DatabaseValueConvertible] = []
    let tables: SearchTables

    init(_ tables: SearchTables) { self.tables = tables }

    mutating func require(_ sql: String, _ values: [any DatabaseValueConvertible] = []) {
        conditions.append(sql)
        arguments += values
    }

    mutating func require(in column: String, _ values: [any DatabaseValueConvertible]) {
        require("\(column) IN (\(Self.marks(values.count)))", values)
    }

    /// A statement takes no more than some 30,000 arguments, so long lists go as one.
    mutating func require(in column: String, numbers: [Int64]) {
        guard numbers.count > 1000 else { return require(in: column, numbers) }
        let list = numbers.lazy.map { String($0) }.joined(separator: ",")
        require("\(column) IN (SELECT value FROM json_each(?))", ["[\(list)]"])
    }

    static func marks(_ count: Int) -> String { Array(repeating: "?", count: count).joined(separator: ",") }

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
            var inner = SearchStatement(tables)
            inner.require("s.key = ?", [key])
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
        var inner = SearchStatement(tables)
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
        case (.like, .text(let pattern)): require("\(column) GLOB ?", [Self.glob(pattern)])
        case (.ilike, .text(let pattern)): require("\(column) LIKE ?", [pattern])
        case (.in, .list(let values)): require(in: column, values)
        case (.notIn, .list(let values)): require("\(column) NOT IN (\(Self.marks(values.count)))", values)
        case (let comparison, .number(let number)): require("\(column) \(comparison.rawValue) ?", [number])
        case (let comparison, .text(let text)): require("\(column) \(comparison.rawValue) ?", [text])
        default: require("\(column) IS \(condition.comparison == .isNull ? "" : "NOT ")NULL")
        }
    }

    /// SQLite's LIKE knows no case; its GLOB does. `%` and `_` become `*` and `?`, and those stand for themselves.
    static func glob(_ pattern: String) -> String {
        var out = ""
        for character in pattern {
            switch character {
            case "%": out += "*"
            case "_": out += "?"
            case "*", "?", "[": out += "[\(character)]"
            default: out.append(character)
            }
        }
        return out
    }

    /// The keys of one page, and where the next one begins.
    mutating func page(_ db: Database, _ query: SearchQuery) throws -> (keys: [Int64], next: PagePosition?) {
        let newest = try Self.newest(db, query, tables)
        let ordering = try SearchOrdering(query.order, tables)
        try restrict(to: query, newest: newest)
        let rows = try rows(
            db, from: "\(tables.table) t\(ordering.joins)", ordering.joinArguments, ordering.terms,
            after: query.position?.after, limit: query.limit + 1)
        return Self.page(rows, limit: query.limit, newest: newest)
    }

    /// The newest row that the pages of a search may show: the newest there was when the first one was read.
    static func newest(_ db: Database, _ query: SearchQuery, _ tables: SearchTables) throws -> Int64 {
        if let position = query.position { return position.newest }
        return try Int64.fetchOne(db, sql: "SELECT MAX(\(tables.sequence)) FROM \(tables.table)") ?? 0
    }

    /// Adds the conditions of a query. The sign keeps SQLite from reading the rows in the order of their numbers.
    mutating func restrict(to query: SearchQuery, newest: Int64) throws(AerieError) {
        require("+t.\(tables.sequence) <= ?", [newest])
        for condition in query.conditions { try add(condition) }
    }

    /// - Parameter after: the values of the row that the last page ended with, one each term.
    func rows(
        _ db: Database, from: String, _ fromArguments: [any DatabaseValueConvertible], _ terms: [SearchTerm],
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
        all.append(limit)
        let cursor = try Row.fetchCursor(
            try db.cachedStatement(sql: sql), arguments: StatementArguments(all))
        var rows: [SearchRow] = []
        while let row = try cursor.next() { rows.append(SearchRow(row)) }
        return rows
    }

    /// Cuts the rows to a page, of which there is another if one row more was found.
    static func page(_ rows: [SearchRow], limit: Int, newest: Int64) -> (keys: [Int64], next: PagePosition?) {
        guard rows.count > limit else { return (rows.map(\.key), nil) }
        return (rows.prefix(limit).map(\.key), PagePosition(newest: newest, after: rows[limit - 1].values))
    }
}

/// Rows of a table with `owner`, `key` and `value`, for many owners in one statement.
enum Satellite {
    static func read(_ db: Database, _ table: String, owners: [Int64]) throws -> [Int64: [Tag]] {
        var result: [Int64: [Tag]] = [:]
        for batch in OwnerBatch.of(owners) {
            let rows = try batch.rows(
                db, "SELECT owner, key, value FROM \(table) WHERE owner IN (\(batch.marks)) ORDER BY owner, key")
            while let row = try rows.next() { result[row[0], default: []].append(Tag(key: row[1], value: row[2])) }
        }
        return result
    }

    static func write(_ db: Database, _ table: String, owner: Int64, _ tags: [Tag]) throws {
        guard !tags.isEmpty else { return }
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO \(table) (owner, key, value) VALUES (?, ?, ?)
                ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value
                """)
        for tag in tags { try statement.execute(arguments: [owner, tag.key, tag.value]) }
    }

    /// - Returns: whether it was there.
    static func delete(_ db: Database, _ table: String, owner: Int64, key: String) throws -> Bool {
        try db.execute(sql: "DELETE FROM \(table) WHERE owner = ? AND key = ?", arguments: [owner, key])
        return db.changesCount > 0
    }
}

/// Rows that are asked for together, filled up to one of a few sizes, so that their statements are parsed once.
struct OwnerBatch {
    private let owners: [Int64]
    let marks: String

    private static let sizes = [1, 8, 64, 256, 1000].map { ($0, SearchStatement.marks($0)) }

    static func of(_ owners: [Int64]) -> [OwnerBatch] {
        owners.chunks(of: 1000).map { chunk in
            let (size, marks) = sizes.first { $0.0 >= chunk.count } ?? sizes[sizes.count - 1]
            return OwnerBatch(owners: chunk + Array(repeating: -1, count: size - chunk.count), marks: marks)
        }
    }

    func rows(_ db: Database, _ sql: String) throws -> RowCursor {
        try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: StatementArguments(owners))
    }
}

extension Array {
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
