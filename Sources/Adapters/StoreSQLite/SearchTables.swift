import Experiments

/// Which tables a search reads, and how its attributes are called there.
struct SearchTables: Sendable {
    /// The table of the things searched for, called `t` in every expression.
    var table: String
    /// The column that other tables refer to.
    var key: String
    /// Counts up with every new row, so that later pages can leave out what came after the first.
    var sequence: String
    /// Columns by attribute. Expressions of the adapter's own, never a client's text.
    var attributes: [String: String]
    /// Attributes that may be NULL.
    var nullable: Set<String> = []
    /// Satellite tables with `owner`, `key` and `value`.
    var satellites: [SearchField.Kind: String]
    /// What is ordered by in the end, and makes every row's place its own. None of it is ever NULL.
    var order: [SearchTerm]
}

/// One expression that rows are ordered by; never NULL, so that a row's place is a plain comparison.
struct SearchTerm: Sendable {
    var sql: String
    var ascending: Bool

    static func ascending(_ sql: String) -> SearchTerm { SearchTerm(sql: sql, ascending: true) }
    static func descending(_ sql: String) -> SearchTerm { SearchTerm(sql: sql, ascending: false) }
}
