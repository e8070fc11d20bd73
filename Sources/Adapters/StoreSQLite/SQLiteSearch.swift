import Experiments
import GRDB
import SearchSQL

/// A reader's connection as searches use it.
struct SQLiteSearch: SearchConnection {
    let db: Database

    init(_ db: Database) { self.db = db }

    var dialect: SQLDialect { .sqlite }

    func rows(_ sql: String, _ arguments: [SQLArgument]) throws -> [SearchRow] {
        try SearchPattern.telling {
            let cursor = try Row.fetchCursor(try db.cachedStatement(sql: sql), arguments: Self.bound(arguments))
            var rows: [SearchRow] = []
            while let row = try cursor.next() {
                rows.append(SearchRow(key: row[0], values: (1..<row.count).map { Self.value(row[$0]) }))
            }
            return rows
        }
    }

    func number(_ sql: String, _ arguments: [SQLArgument]) throws -> Int64? {
        try SearchPattern.telling {
            try Int64.fetchOne(try db.cachedStatement(sql: sql), arguments: Self.bound(arguments))
        }
    }

    private static func bound(_ arguments: [SQLArgument]) -> StatementArguments {
        StatementArguments(
            arguments.map { argument -> any DatabaseValueConvertible in
                switch argument {
                case .integer(let number): number
                case .number(let number): number
                case .text(let text): text
                case .integers(let list): "[\(list.lazy.map { String($0) }.joined(separator: ","))]"
                }
            })
    }

    private static func value(_ value: DatabaseValue) -> PageValue {
        switch value.storage {
        case .int64(let number): .integer(number)
        case .double(let number): .number(number)
        case .string(let text): .text(text)
        case .null, .blob: .none
        }
    }
}

extension SQLDialect {
    /// SQLite's LIKE knows no case; its GLOB does.
    static let sqlite = SQLDialect(
        like: { "\($0) GLOB ?" }, pattern: glob, ilike: { "\($0) LIKE ?" },
        rlike: { "\($0) REGEXP ?" },
        list: { "\($0) IN (SELECT value FROM json_each(?))" }, orderedJoin: "CROSS JOIN")

    /// `%` and `_` become `*` and `?`, and those stand for themselves.
    @Sendable private static func glob(_ pattern: String) -> String {
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
}
