public import Experiments

/// Which tables a search reads, and how its attributes are called there.
public struct SearchTables: Sendable {
    /// What stands for a NULL in an order, of the attribute's own type.
    public enum Filler: String, Sendable {
        case number = "0"
        case text = "''"
    }

    /// The table of the things searched for, called `t` in every expression.
    public var table: String
    /// The column that other tables refer to.
    public var key: String
    /// Counts up with every new row, so that later pages can leave out what came after the first.
    public var sequence: String
    /// Columns by attribute. Expressions of the adapter's own, never a client's text.
    public var attributes: [String: String]
    /// Attributes that may be NULL.
    public var nullable: [String: Filler]
    /// Satellite tables with `owner`, `key` and `value`; those of metrics also with `is_nan`, which is 0 or 1.
    public var satellites: [SearchField.Kind: String]
    /// Of models: the metrics that meet a condition on their data set, in the form of a satellite.
    public var measured: (@Sendable (_ condition: String) -> String)?
    /// What is ordered by in the end, and makes every row's place its own. None of it is ever NULL.
    public var order: [SearchTerm]

    public init(
        table: String, key: String, sequence: String, attributes: [String: String], nullable: [String: Filler] = [:],
        satellites: [SearchField.Kind: String], measured: (@Sendable (_ condition: String) -> String)? = nil,
        order: [SearchTerm]
    ) {
        self.table = table
        self.key = key
        self.sequence = sequence
        self.attributes = attributes
        self.nullable = nullable
        self.satellites = satellites
        self.measured = measured
        self.order = order
    }
}

/// One expression that rows are ordered by; never NULL, so that a row's place is a plain comparison.
public struct SearchTerm: Sendable {
    public var sql: String
    public var ascending: Bool

    public static func ascending(_ sql: String) -> SearchTerm { SearchTerm(sql: sql, ascending: true) }
    public static func descending(_ sql: String) -> SearchTerm { SearchTerm(sql: sql, ascending: false) }
}

/// A value of a statement: it stands for a `?` in the text.
public enum SQLArgument: Hashable, Sendable {
    case integer(Int64)
    case number(Double)
    case text(String)
    /// One argument that holds a list; `SQLDialect.list` says how it is read.
    case integers([Int64])
}

/// What the databases say differently.
public struct SQLDialect: Sendable {
    /// Text with `%` and `_` as wildcards, upper and lower case being different; and the pattern as it takes it.
    public var like: @Sendable (_ column: String) -> String
    public var pattern: @Sendable (String) -> String
    public var ilike: @Sendable (_ column: String) -> String
    /// Text that holds a match of a regular expression of the database's own kind.
    public var rlike: @Sendable (_ column: String) -> String
    /// A condition that a column is in the list of a `.integers` argument.
    public var list: @Sendable (_ column: String) -> String
    /// A join whose tables are read in the order in which they are written, where the database takes such a hint.
    public var orderedJoin: String

    public init(
        like: @escaping @Sendable (String) -> String, pattern: @escaping @Sendable (String) -> String,
        ilike: @escaping @Sendable (String) -> String, rlike: @escaping @Sendable (String) -> String,
        list: @escaping @Sendable (String) -> String, orderedJoin: String
    ) {
        self.like = like
        self.pattern = pattern
        self.ilike = ilike
        self.rlike = rlike
        self.list = list
        self.orderedJoin = orderedJoin
    }
}

/// A connection on which searches run: one consistent snapshot for as long as a search takes.
public protocol SearchConnection {
    var dialect: SQLDialect { get }
    /// Each row's first column is the key, the others are its values in the order of the search.
    func rows(_ sql: String, _ arguments: [SQLArgument]) throws -> [SearchRow]
    /// The one number that a statement gives; `nil` for NULL.
    func number(_ sql: String, _ arguments: [SQLArgument]) throws -> Int64?
}

/// A row's key and its values in the order of a search, which say where a page ends.
public struct SearchRow: Sendable {
    public var key: Int64
    public var values: [PageValue]

    public init(key: Int64, values: [PageValue]) {
        self.key = key
        self.values = values
    }

    /// Whether this row comes before another in the order of `terms`: numbers as numbers, text by its bytes.
    func comes(before other: SearchRow, _ terms: [SearchTerm]) -> Bool {
        for (index, term) in terms.enumerated() {
            let order = Self.compare(values[index], other.values[index])
            if order != 0 { return term.ascending == (order < 0) }
        }
        return false
    }

    private static func compare(_ a: PageValue, _ b: PageValue) -> Int {
        switch (a, b) {
        case (.integer(let a), .integer(let b)): return a < b ? -1 : a > b ? 1 : 0
        case (.text(let a), .text(let b)):
            if a.utf8.elementsEqual(b.utf8) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.text, _): return 1
        case (_, .text): return -1
        default: return number(a) < number(b) ? -1 : number(a) > number(b) ? 1 : 0
        }
    }

    private static func number(_ value: PageValue) -> Double {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .none, .text: 0
        }
    }
}
