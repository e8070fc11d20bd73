import AerieCore
import Experiments
import GRDB

/// Which tables a search reads, and how its attributes are called there.
struct SearchTables: Sendable {
    /// The table of the things searched for.
    var table: String
    /// The column that other tables refer to.
    var key: String
    /// Counts up with every new row, so that later pages can leave out what came after the first.
    var sequence: String
    /// Columns by attribute. Expressions of the adapter's own, never a client's text.
    var attributes: [String: String]
    /// Satellite tables with `owner`, `key` and `value`.
    var satellites: [SearchField.Kind: String]
    var defaultOrder: String
}

/// A search as one SELECT of row keys. Every value of the client's is an argument, none is part of the text.
struct SearchStatement {
    private var conditions: [String] = []
    private var arguments: [any DatabaseValueConvertible] = []
    private let tables: SearchTables

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
            let select = "SELECT s.owner FROM \(satellite) s WHERE \(inner.conditions.joined(separator: " AND "))"
            require("t.\(tables.key) \(isMissing ? "NOT IN" : "IN") (\(select))", inner.arguments)
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

    private mutating func compare(_ column: String, _ condition: SearchCondition) {
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
        let newest: Int64
        if let position = query.position {
            newest = position.newest
        } else {
            newest = try Int64.fetchOne(db, sql: "SELECT MAX(\(tables.sequence)) FROM \(tables.table)") ?? 0
        }
        require("t.\(tables.sequence) <= ?", [newest])
        for condition in query.conditions { try add(condition) }
        var joins = ""
        var order: [String] = []
        var joinArguments: [any DatabaseValueConvertible] = []
        for (index, part) in query.order.enumerated() {
            let direction = part.ascending ? "ASC" : "DESC"
            if part.field.kind == .attribute {
                guard let column = tables.attributes[part.field.key] else {
                    throw AerieError.invalid("order_by", "cannot order by '\(part.field.key)' here")
                }
                order.append("\(column) IS NULL, \(column) \(direction)")
            } else if let satellite = tables.satellites[part.field.kind] {
                joins += " LEFT JOIN \(satellite) o\(index) ON o\(index).owner = t.\(tables.key) AND o\(index).key = ?"
                joinArguments.append(part.field.key)
                // What has no value comes last, and NaN just before it.
                let nan = part.field.kind == .metric ? ", o\(index).is_nan" : ""
                order.append("o\(index).value IS NULL\(nan), o\(index).value \(direction)")
            } else {
                throw AerieError.invalid("order_by", "cannot order by '\(part.field.key)' here")
            }
        }
        order.append(tables.defaultOrder)
        var offset = 0
        if let position = query.position {
            guard case .integer(let number)? = position.after.first, number >= 0 else { throw PagePosition.wrong() }
            offset = Int(number)
        }
        let sql =
            "SELECT t.\(tables.key) FROM \(tables.table) t\(joins) WHERE \(conditions.joined(separator: " AND ")) "
            + "ORDER BY \(order.joined(separator: ", ")) LIMIT ? OFFSET ?"
        let all = joinArguments + arguments + [query.limit + 1, offset]
        var keys = try Int64.fetchAll(db, sql: sql, arguments: StatementArguments(all))
        guard keys.count > query.limit else { return (keys, nil) }
        keys.removeLast()
        return (keys, PagePosition(newest: newest, after: [.integer(Int64(offset + query.limit))]))
    }
}

/// Rows of a table with `owner`, `key` and `value`, for many owners in one statement.
enum Satellite {
    static func read(_ db: Database, _ table: String, owners: [Int64]) throws -> [Int64: [Tag]] {
        var result: [Int64: [Tag]] = [:]
        for chunk in owners.chunks(of: 500) {
            let sql =
                "SELECT owner, key, value FROM \(table) WHERE owner IN (\(SearchStatement.marks(chunk.count))) ORDER BY owner, key"
            let rows = try Row.fetchCursor(db, sql: sql, arguments: StatementArguments(chunk))
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

extension Array {
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
