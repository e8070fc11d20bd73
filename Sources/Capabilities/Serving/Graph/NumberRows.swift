import AerieCore
import AerieData
import AerieJSON

/// A payload as rows of numbers: what the nodes that calculate by themselves work on.
struct NumberRows: Sendable, Hashable {
    var rows: Int
    var columns: Int
    /// Row-major.
    var values: [Double]
    /// Empty where nobody names the columns.
    var names: [String]

    init(rows: Int, columns: Int, values: [Double], names: [String] = []) {
        self.rows = rows
        self.columns = columns
        self.values = values
        self.names = names
    }

    subscript(row: Int, column: Int) -> Double {
        get { values[row * columns + column] }
        set { values[row * columns + column] = newValue }
    }

    /// - Parameter width: the columns that are expected: a single list of as many numbers is one row. Without it a
    ///   list is a column, as models without a second dimension answer.
    /// - Throws: `invalidArgument` for a payload that is no rows of numbers.
    init(_ message: GraphMessage, width: Int? = nil) throws(AerieError) {
        switch message.payload {
        case .tensors(let tensors):
            if tensors.count == 1 {
                self = try Self.rows(of: tensors[0], width: width)
            } else {
                self = try Self.columns(tensors)
            }
        case .json(let value): self = try Self.rows(of: value)
        case .text(let text):
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue.parse(text) } catch {
                throw .invalid("strData", "is neither rows of numbers nor JSON: \(error.problem)")
            }
            self = try Self.rows(of: value)
        case .bytes: throw .invalid("binData", "is no rows of numbers")
        case .opaque(let type, _): throw .invalid("customData", "\(type) is no rows of numbers")
        }
        if names.isEmpty, message.names.count == columns { names = message.names }
    }

    /// The columns of these names, where all of them are there among others; else as it is.
    func columns(named wanted: [String]) -> NumberRows {
        let places = wanted.compactMap { names.firstIndex(of: $0) }
        guard !wanted.isEmpty, places.count == wanted.count, columns > wanted.count else { return self }
        let values = (0..<rows).flatMap { row in places.map { self[row, $0] } }
        return NumberRows(rows: rows, columns: wanted.count, values: values, names: wanted)
    }

    /// As a message that takes the place of the one that the rows came from.
    func message(replacing old: GraphMessage) -> GraphMessage {
        var message = old
        message.payload = .tensors([Tensor(name: "", dataType: .fp64, shape: [rows, columns], elements: values)])
        message.names = names
        return message
    }

    private static func rows(of tensor: Tensor, width: Int?) throws(AerieError) -> NumberRows {
        let values = try tensor.numbers()
        switch tensor.shape.count {
        case 0: return NumberRows(rows: 1, columns: 1, values: values)
        case 1:
            if let width, width > 1, values.count == width {
                return NumberRows(rows: 1, columns: width, values: values)
            }
            return NumberRows(rows: values.count, columns: 1, values: values)
        default:
            let rows = tensor.shape[0]
            return NumberRows(rows: rows, columns: rows > 0 ? values.count / rows : 0, values: values)
        }
    }

    private static func columns(_ tensors: [Tensor]) throws(AerieError) -> NumberRows {
        var columns: [[Double]] = []
        for tensor in tensors {
            let column = try tensor.numbers()
            if let first = columns.first, first.count != column.count {
                throw .invalid(tensor.name, "has \(column.count) elements, but \(tensors[0].name) has \(first.count)")
            }
            columns.append(column)
        }
        let count = columns.first?.count ?? 0
        var rows = NumberRows(
            rows: count, columns: columns.count, values: [Double](repeating: 0, count: count * columns.count),
            names: tensors.map(\.name))
        for (index, column) in columns.enumerated() {
            for (row, value) in column.enumerated() { rows[row, index] = value }
        }
        return rows
    }

    /// A list of rows, one row, or objects with a number for each name.
    static func rows(of value: JSONValue) throws(AerieError) -> NumberRows {
        if value.object != nil { return try rows(ofObjects: [value]) }
        guard let list = value.array else { throw .invalid("data", "is neither a list of numbers nor of rows") }
        if list.first?.object != nil { return try rows(ofObjects: list) }
        let isNested = list.first?.array != nil
        let lists = isNested ? list : [value]
        var values: [Double] = []
        let width = lists.first?.array?.count ?? 0
        for (index, row) in lists.enumerated() {
            guard let cells = row.array, cells.count == width else {
                throw .invalid("data[\(index)]", "is no row of \(width) numbers")
            }
            for cell in cells { values.append(try number(cell, at: "data[\(index)]")) }
        }
        return NumberRows(rows: list.isEmpty ? 0 : lists.count, columns: width, values: values)
    }

    private static func rows(ofObjects list: [JSONValue]) throws(AerieError) -> NumberRows {
        let names = list[0].object?.keys ?? []
        var values: [Double] = []
        for (index, row) in list.enumerated() {
            for name in names {
                guard let cell = row[name] else { throw .invalid("data[\(index)].\(name)", "is missing") }
                values.append(try number(cell, at: "data[\(index)].\(name)"))
            }
        }
        return NumberRows(rows: list.count, columns: names.count, values: values, names: names)
    }

    private static func number(_ value: JSONValue, at place: String) throws(AerieError) -> Double {
        switch value {
        case .int(let number): return Double(number)
        case .double(let number): return number
        case .bool(let flag): return flag ? 1 : 0
        case .null: return .nan
        case .string("NaN"), .string("nan"): return .nan
        default: throw .invalid(place, "holds something else than a number")
        }
    }
}

extension GraphMessage {
    /// The first number of each row; empty for a payload that is no numbers.
    public var firstColumn: [Double] {
        guard let rows = try? NumberRows(self), rows.columns > 0, !rows.values.isEmpty else { return [] }
        return (0..<rows.rows).map { rows[$0, 0] }
    }
}
