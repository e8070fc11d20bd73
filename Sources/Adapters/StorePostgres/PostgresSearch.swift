import AerieCore
import Experiments
import SearchSQL

/// A transaction's connection as searches use it.
struct PostgresSearch: SearchConnection {
    let connection: PostgresConnection

    init(_ connection: PostgresConnection) { self.connection = connection }

    var dialect: SQLDialect { .postgres }

    /// - Throws: `invalidArgument` for a value that is not of the kind of what it is compared with. Filters are checked
    ///   before they come here, so it is one of a page token that this server did not give.
    func rows(_ sql: String, _ arguments: [SQLArgument]) throws -> [SearchRow] {
        let found: [PostgresRow]
        do throws(PostgresConnection.Failure) {
            found = try connection.query(sql, arguments.map(Self.bound))
        } catch {
            if error.sqlState == "2201B" { throw AerieError.invalid("filter", error.message) }
            throw ["22P02", "22003", "22021"].contains(error.sqlState) ? PagePosition.wrong() : error
        }
        return try found.map { row in
            SearchRow(key: try row.int(0), values: try (1..<row.values.count).map { try Self.value(row, $0) })
        }
    }

    func number(_ sql: String, _ arguments: [SQLArgument]) throws -> Int64? {
        try connection.query(sql, arguments.map(Self.bound)).first?.optionalInt(0)
    }

    private static func bound(_ argument: SQLArgument) -> PostgresValue {
        switch argument {
        case .integer(let number): PostgresValue(number)
        case .number(let number): PostgresValue(number)
        case .text(let text): PostgresValue(text)
        case .integers(let list): .array(list)
        }
    }

    /// The types' numbers are PostgreSQL's own (pg_type): whole numbers, then floating ones.
    private static func value(_ row: PostgresRow, _ column: Int) throws -> PageValue {
        switch row.types[column] {
        case 20, 21, 23: .integer(try row.int(column))
        case 700, 701, 1700: .number(try row.double(column))
        default: .text(try row.text(column))
        }
    }
}

extension SQLDialect {
    static let postgres = SQLDialect(
        like: { "\($0) LIKE ?" }, pattern: { $0.replacing("\\", with: "\\\\") }, ilike: { "\($0) ILIKE ?" },
        rlike: { "\($0) ~ ?" },
        list: { "\($0) = ANY(?::bigint[])" }, orderedJoin: "JOIN")
}
