import AerieCore
import AerieData

/// Subtracts each column's mean and divides by its standard deviation.
struct Standardizer: GraphTransformer {
    let columns: [String]
    let mean: [Double]
    let deviation: [Double]
    var width: Int? { mean.count }

    /// - Parameter columns: the columns' names, so that requests may bring them in another order; empty for none.
    init(columns: [String], mean: [Double], deviation: [Double]) throws(AerieError) {
        guard mean.count == deviation.count, !mean.isEmpty else {
            throw .invalid("parameters.std", "has \(deviation.count) numbers, but mean has \(mean.count)")
        }
        guard columns.isEmpty || columns.count == mean.count else {
            throw .invalid("parameters.columns", "has \(columns.count) names, but mean has \(mean.count) numbers")
        }
        guard deviation.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
            throw .invalid("parameters.std", "must not be negative")
        }
        self.columns = columns
        self.mean = mean
        self.deviation = deviation
    }

    func transform(_ message: inout GraphMessage) throws(AerieError) {
        var rows = try ModelInputs.ordered(try NumberRows(message, width: mean.count), columns)
        guard rows.columns == mean.count else {
            throw .invalid("data", "the rows have \(rows.columns) columns, not \(mean.count)")
        }
        for row in 0..<rows.rows {
            for column in 0..<rows.columns {
                // A column that never varied carries nothing.
                let scale = deviation[column] == 0 ? 1 : deviation[column]
                rows[row, column] = (rows[row, column] - mean[column]) / scale
            }
        }
        message = rows.message(replacing: message)
    }
}

/// Keeps some columns, in the order in which they are named.
struct ColumnSelector: GraphTransformer {
    let columns: [String]
    var width: Int? { columns.count }

    func transform(_ message: inout GraphMessage) throws(AerieError) {
        let rows = try NumberRows(message)
        var places: [Int] = []
        for column in columns {
            // Rows without names are counted from 0.
            guard let place = rows.names.isEmpty ? Int(column) : rows.names.firstIndex(of: column),
                (0..<rows.columns).contains(place)
            else { throw .invalid("data.names", "has no column \(column)") }
            places.append(place)
        }
        var selected = NumberRows(
            rows: rows.rows, columns: places.count, values: [],
            names: rows.names.isEmpty ? [] : places.map { rows.names[$0] })
        for row in 0..<rows.rows { for place in places { selected.values.append(rows[row, place]) } }
        message = selected.message(replacing: message)
    }
}

/// Brings every number between two bounds, one pair for all columns or one for each.
struct Clipper: GraphTransformer {
    let lower: [Double]
    let upper: [Double]
    var width: Int? { lower.count > 1 ? lower.count : nil }

    init(lower: [Double], upper: [Double]) throws(AerieError) {
        guard !lower.isEmpty, lower.count == upper.count else {
            throw .invalid("parameters.upper", "needs as many numbers as lower, \(lower.count)")
        }
        for (low, high) in zip(lower, upper) where low > high {
            throw .invalid("parameters.upper", "\(high) is below lower, \(low)")
        }
        self.lower = lower
        self.upper = upper
    }

    func transform(_ message: inout GraphMessage) throws(AerieError) {
        var rows = try NumberRows(message, width: width)
        guard lower.count == 1 || rows.columns == lower.count else {
            throw .invalid("data", "the rows have \(rows.columns) columns, not \(lower.count)")
        }
        for row in 0..<rows.rows {
            for column in 0..<rows.columns {
                let at = lower.count == 1 ? 0 : column
                // A missing number stays missing.
                if rows[row, column] < lower[at] { rows[row, column] = lower[at] }
                if rows[row, column] > upper[at] { rows[row, column] = upper[at] }
            }
        }
        message = rows.message(replacing: message)
    }
}
