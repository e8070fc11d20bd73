/// Rows of numbers, row-major. NaN is a missing value.
public struct Table: Sendable, Hashable {
    public let rowCount: Int
    public let columnCount: Int
    public let values: [Double]

    /// - Precondition: `values` are whole rows.
    public init(columnCount: Int, values: [Double]) {
        precondition(columnCount > 0 && values.count % columnCount == 0, "a table is whole rows")
        self.columnCount = columnCount
        self.values = values
        rowCount = values.count / columnCount
    }

    public func row(_ index: Int) -> ArraySlice<Double> { values[(index * columnCount)..<((index + 1) * columnCount)] }

    /// The first rows, no more than `count`.
    public func prefix(_ count: Int) -> Table {
        Table(columnCount: columnCount, values: Array(values.prefix(count * columnCount)))
    }
}
