extension ExpectationEvaluator {
    /// A condition in SQL that is true for the rows that these expectations find wrong. It may hold window functions,
    /// so it can stand in a `SELECT` only.
    /// - Parameter columns: the names of the relation's columns.
    /// - Returns: `nil` if one of the expectations is not about rows.
    public func condition(_ expectations: [Expectation], columns: [String]) -> String? {
        let shape = TableShape(relation: "", columns: columns.map { (name: $0, type: "") })
        var parts: [String] = []
        for expectation in expectations {
            guard case .rows(let eligible, let unexpected, _, _) = ExpectationQuery(expectation, shape).rule else {
                return nil
            }
            parts.append("coalesce((\(eligible)) AND (\(unexpected)), false)")
        }
        return parts.isEmpty ? nil : parts.joined(separator: " OR ")
    }
}

extension Expectation {
    /// Whether what it says of a row depends on that row alone, if it is about rows.
    public var isOfSingleRows: Bool { !type.hasSuffix("_to_be_unique") }
}
