import AerieCore
import AerieJSON
import Foundation
import Testing

@testable import aerie

@Suite struct CSVFileTests {
    private func read(_ text: String, limit: Int = .max) throws -> CSVFile {
        let path = NSTemporaryDirectory() + "/csv-\(UInt64.random(in: 0 ... .max)).csv"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try CSVFile(path: path, field: "--file", limit: limit)
    }

    @Test("cells in quotes hold commas, quotes and line ends; a line is counted as the file has it")
    func quotes() throws {
        let file = try read("\u{feff}a,b\r\n\"1,5\",\"say \"\"x\"\"\"\r\n\n\"two\nlines\",\r\nend,ä")
        #expect(file.head == ["a", "b"] && file.column("b") == 1 && file.column("c") == nil)
        #expect(file.rows.map(\.cells) == [["1,5", "say \"x\""], ["two\nlines", ""], ["end", "ä"]])
        #expect(file.rows.map(\.line) == [2, 4, 6])
        #expect(try read("a\n1\n2\n3\n", limit: 2).rows.count == 2)
    }

    @Test("what is written is read again")
    func roundTrip() throws {
        let cells = ["", "a,b", "\"", "x\r\ny", "plain"]
        let file = try read(CSVRow.text(cells.map { .string($0) }) + CSVRow.text(cells.map { .string($0) }))
        #expect(file.head == cells && file.rows.map(\.cells) == [cells])
    }

    @Test("what is no table is told with its line", arguments: [
        ("", nil), ("\n\n", nil), ("a,b\n1,2\n3", 3), ("a\n\"1\n2", 2),
    ] as [(String, Int?)])
    func wrong(_ text: String, _ line: Int?) {
        let error = #expect(throws: AerieError.self) { try read(text) }
        #expect(error?.code == .invalidArgument && error?.details.first?.line == line)
    }
}
