public import AerieCore
public import AerieJSON

/// Rows of numbers in a file: CSV with a head, where an empty cell is a missing value, or JSON, a list of rows or of
/// objects.
public enum RowsFile {
    private static let maximumBytes = 16 << 20

    /// Blocking.
    /// - Throws: `invalidArgument` with the line of a cell that is no number; `notFound`.
    public static func read(_ path: String) throws(AerieError) -> GraphMessage {
        let head = try TextFile.head(path, count: 64)
        let first = head.first { ![0x20, 0x09, 0x0a, 0x0d].contains($0) }
        guard first == UInt8(ascii: "[") || first == UInt8(ascii: "{") else {
            let rows = try ReferenceTable.read(path, columns: [], allowsMissing: true)
            return rows.message(replacing: GraphMessage(.tensors([])))
        }
        let text = try TextFile.read(path, maximumBytes: maximumBytes)
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(text) } catch { throw error.asAerieError(in: path) }
        return GraphMessage(.json(value["instances"] ?? value))
    }
}

extension GraphMessage {
    /// Rows as JSON: objects by their names, or lists; a missing value is null.
    /// - Throws: `invalidArgument` for a payload that is no rows of numbers.
    public func rowsAsJSON() throws(AerieError) -> JSONValue {
        let rows = try NumberRows(self)
        func cell(_ row: Int, _ column: Int) -> JSONValue {
            rows[row, column].isNaN ? .null : .double(rows[row, column])
        }
        return .array(
            (0..<rows.rows).map { row in
                rows.names.isEmpty
                    ? .array((0..<rows.columns).map { cell(row, $0) })
                    : .object(JSONObject(rows.names.enumerated().map { ($1, cell(row, $0)) }))
            })
    }
}
