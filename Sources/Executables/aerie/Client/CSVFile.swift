import AerieCore
import Foundation

/// A file of comma-separated values with a head, after RFC 4180: cells in quotes may hold commas, quotes and line ends.
///
/// The whole file is held in memory. A byte order mark, blank lines and any kind of line end are taken.
struct CSVFile {
    struct Row {
        /// Where it begins in the file, from 1.
        let line: Int
        let cells: [String]
    }

    let head: [String]
    private(set) var rows: [Row] = []

    /// - Parameters:
    ///   - field: what named the file, for errors.
    ///   - limit: rows after these are left out.
    /// - Throws: `invalidArgument` for a file that cannot be read or is empty, and with its line for a row that has
    ///   more or fewer cells than the head.
    init(path: String, field: String, limit: Int = .max) throws(AerieError) {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw .invalid(field, "\(path.visible) cannot be read")
        }
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        var scanner = Scanner(bytes: Array(bytes.starts(with: mark) ? bytes.dropFirst(3) : bytes))
        guard let head = try scanner.next(path, field) else { throw .invalid(field, "\(path.visible) is empty") }
        self.head = head.cells
        while rows.count < limit, let row = try scanner.next(path, field) {
            guard row.cells.count == head.cells.count else {
                throw .invalid(
                    field, "\(path.visible): \(row.cells.count) cells, where the head has \(head.cells.count)",
                    line: row.line)
            }
            rows.append(row)
        }
    }

    /// Where a column is, if there is one of that name.
    func column(_ name: String) -> Int? { head.firstIndex(of: name) }

    private struct Scanner {
        let bytes: [UInt8]
        private var at = 0
        private var line = 1

        init(bytes: [UInt8]) { self.bytes = bytes }

        /// The next row that is not blank.
        mutating func next(_ path: String, _ field: String) throws(AerieError) -> Row? {
            while at < bytes.count, bytes[at] == 0x0a || bytes[at] == 0x0d { endLine() }
            guard at < bytes.count else { return nil }
            let first = line
            var cells: [String] = []
            while true {
                cells.append(try cell(path, field))
                guard at < bytes.count, bytes[at] == 0x2c else { break }
                at += 1
            }
            if at < bytes.count { endLine() }
            return Row(line: first, cells: cells)
        }

        private mutating func endLine() {
            let isPair = bytes[at] == 0x0d && at + 1 < bytes.count && bytes[at + 1] == 0x0a
            at += isPair ? 2 : 1
            line += 1
        }

        /// Ends before a comma, a line end or the end of the file.
        private mutating func cell(_ path: String, _ field: String) throws(AerieError) -> String {
            var content: [UInt8] = []
            if at < bytes.count, bytes[at] == 0x22 {
                let first = line
                at += 1
                while true {
                    guard at < bytes.count else {
                        throw .invalid(field, "\(path.visible): a quote is not closed", line: first)
                    }
                    if bytes[at] == 0x22 {
                        at += 1
                        guard at < bytes.count, bytes[at] == 0x22 else { break }
                    }
                    if bytes[at] == 0x0a { line += 1 }
                    content.append(bytes[at])
                    at += 1
                }
            }
            while at < bytes.count, ![0x2c, 0x0a, 0x0d].contains(bytes[at]) {
                content.append(bytes[at])
                at += 1
            }
            return String(decoding: content, as: UTF8.self)
        }
    }
}
