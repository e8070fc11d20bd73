public import AerieCore
import AerieJSON

/// What part of an entity a condition or an order speaks of.
public struct SearchField: Hashable, Sendable {
    public enum Kind: String, Sendable, Hashable {
        case attribute, metric, param, tag, dataset, metadata
        /// Of traces: `name`, `type`, `status`, `content` or `attributes.` and a name; the name of an assessment; `id`.
        case span, feedback, expectation, issue
    }
    public var kind: Kind
    /// The attribute's own name (never an alias), or the key of the metric, parameter or tag.
    public var key: String
    public init(_ kind: Kind, _ key: String) {
        self.kind = kind
        self.key = key
    }
}

/// One condition. All conditions of a search must hold.
public struct SearchCondition: Hashable, Sendable {
    public enum Operator: String, Sendable, Hashable {
        case equal = "="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case like = "LIKE"
        case ilike = "ILIKE"
        /// A regular expression that the text holds a match of, as the database reads it.
        case rlike = "RLIKE"
        case `in` = "IN"
        case notIn = "NOT IN"
        case isNull = "IS NULL"
        case
            isNotNull = "IS NOT NULL"
    }

    public enum Value: Hashable, Sendable {
        case none
        case number(Double)
        case text(String)
        case list([String])
    }

    public var field: SearchField
    public var comparison: Operator
    public var value: Value
    public init(_ field: SearchField, _ comparison: Operator, _ value: Value) {
        self.field = field
        self.comparison = comparison
        self.value = value
    }
}

public struct SearchOrder: Hashable, Sendable {
    public var field: SearchField
    public var ascending: Bool
    /// For the metrics of models: only values that were measured on a data set of this name, of this digest, count.
    public var datasetName: String?
    public var datasetDigest: String?
    public init(
        _ field: SearchField, ascending: Bool = true, datasetName: String? = nil, datasetDigest: String? = nil
    ) {
        self.field = field
        self.ascending = ascending
        self.datasetName = datasetName
        self.datasetDigest = datasetDigest
    }
}

/// Which lifecycle stages to look at.
public enum StageView: String, Sendable, Hashable {
    case activeOnly = "ACTIVE_ONLY"
    case deletedOnly = "DELETED_ONLY"
    case all = "ALL"
}

/// A data set by its name, and by its digest unless any will do.
public struct DatasetReference: Hashable, Sendable {
    public var name: String
    public var digest: String?
    public init(name: String, digest: String? = nil) {
        self.name = name
        self.digest = digest
    }
}

/// A search as stores understand it: parsed and checked.
public struct SearchQuery: Sendable {
    /// Only in these; empty means in all.
    public var experimentIDs: [ExperimentID]
    public var conditions: [SearchCondition]
    public var order: [SearchOrder]
    public var view: StageView
    public var limit: Int
    public var position: PagePosition?
    /// For models: conditions on metrics count for values measured on one of these; empty means on any.
    public var datasets: [DatasetReference] = []

    public init(
        experimentIDs: [ExperimentID] = [], conditions: [SearchCondition] = [], order: [SearchOrder] = [],
        view: StageView = .activeOnly, limit: Int = 100, position: PagePosition? = nil
    ) {
        self.experimentIDs = experimentIDs
        self.conditions = conditions
        self.order = order
        self.view = view
        self.limit = limit
        self.position = position
    }
}

/// One page of results. `next` is there if more may follow.
public struct Page<Element: Sendable>: Sendable {
    public var elements: [Element]
    public var next: PagePosition?
    public init(_ elements: [Element], next: PagePosition? = nil) {
        self.elements = elements
        self.next = next
    }
}

/// One value of the row that a page ended with.
public enum PageValue: Hashable, Sendable {
    case none
    case integer(Int64)
    case number(Double)
    case text(String)
}

/// Where the next page begins: after a row, told by what it is ordered by, so that a page costs the same however far
/// down it is. Rows made after the first page was read are not on the following ones, so that pages stay right while
/// rows are added.
public struct PagePosition: Hashable, Sendable {
    /// The newest row that the first page could see, in the store's own count.
    public var newest: Int64
    /// The last row's values in the order of the search, and then those that make it the only one: the store's own.
    public var after: [PageValue]
    public init(newest: Int64, after: [PageValue]) {
        self.newest = newest
        self.after = after
    }

    /// Opaque to clients: JSON in unpadded base64url.
    public var token: String {
        let values = after.map { value -> JSONValue in
            switch value {
            case .none: .null
            case .integer(let number): ["i": .string(String(number))]
            case .number(let number): ["n": .string("\(number)")]
            case .text(let text): .string(text)
            }
        }
        return Base64.url.encode(Array(JSONValue.array([.string(String(newest))] + values).text().utf8))
    }

    /// A store checks besides that the values are such as its order has.
    /// - Throws: `invalidArgument` naming the field.
    public init(token: String, field: String = "page_token") throws(AerieError) {
        guard token.utf8.count <= 64 << 10,
            let values = Base64.url.decode(token).flatMap({ try? JSONValue.parse($0).array }),
            let newest = values.first?.string.flatMap(Int64.init)
        else { throw Self.wrong(field) }
        self.newest = newest
        after = []
        for value in values.dropFirst() {
            if value.isNull {
                after.append(.none)
            } else if let text = value.string {
                after.append(.text(text))
            } else if let number = value["i"]?.string.flatMap(Int64.init) {
                after.append(.integer(number))
            } else if let number = value["n"]?.string.flatMap(Double.init) {
                after.append(.number(number))
            } else {
                throw Self.wrong(field)
            }
        }
    }

    public static func wrong(_ field: String = "page_token") -> AerieError {
        .invalid(field, "is no page token of this search; pass next_page_token as it was given, with the same search")
    }
}
