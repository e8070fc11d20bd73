import AerieCore

/// Rows of numbers in a CSV file with a head, read without Foundation: what detectors and scalers are fitted on.
enum ReferenceTable {
    private static let maximumBytes = 256 << 20

    /// Blocking.
    /// - Parameter columns: those to read; empty for all of them.
    /// - Parameter allowsMissing: whether an empty cell is a missing value, NaN.
    /// - Throws: `invalidArgument` with the line of a cell that is no number, `notFound` for a file that is not there.
    static func read(
        _ path: String, columns: [String], allowsMissing: Bool = false
    ) throws(AerieError) -> NumberRows {
        let text = try TextFile.read(path, maximumBytes: maximumBytes)
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).makeIterator()
        guard let head = lines.next() else { throw .invalid("", "\(path): the file is empty") }
        let names = cells(head).map { String(decoding: $0, as: UTF8.self) }
        var places: [Int] = []
        for column in columns.isEmpty ? names : columns {
            guard let place = names.firstIndex(of: column) else {
                throw .invalid("parameters.columns", "\(path) has no column \(column)")
            }
            places.append(place)
        }
        var table = NumberRows(rows: 0, columns: places.count, values: [], names: places.map { names[$0] })
        var number = 1
        while let line = lines.next() {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d }) { continue }
            let cells = cells(line)
            guard cells.count == names.count else {
                throw .invalid("", "\(path): has \(cells.count) cells, the head has \(names.count)", line: number)
            }
            for place in places {
                let text = String(decoding: cells[place], as: UTF8.self)
                guard let value = text.isEmpty && allowsMissing ? .nan : Double(text) else {
                    throw .invalid(names[place], "\(path), line \(number): \"\(text)\" is no number", line: number)
                }
                table.values.append(value)
            }
            table.rows += 1
        }
        return table
    }

    private static func cells(_ line: some Sequence<UInt8>) -> [ArraySlice<UInt8>] {
        Array(line).split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { cell in
            var cell = cell
            while let last = cell.last, last == 0x20 || last == 0x0d || last == UInt8(ascii: "\"") { cell.removeLast() }
            while let first = cell.first, first == 0x20 || first == UInt8(ascii: "\"") { cell.removeFirst() }
            return cell
        }
    }
}
