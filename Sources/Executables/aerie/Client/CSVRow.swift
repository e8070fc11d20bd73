import AerieJSON

/// A row of a CSV file after RFC 4180: what holds a comma, a quote or an end of line stands in quotes.
enum CSVRow {
    /// Nothing at all is `null`; an empty text is a pair of quotes. With CRLF at the end.
    static func text(_ cells: [JSONValue]) -> String { cells.map(cell).joined(separator: ",") + "\r\n" }

    static func cell(_ value: JSONValue) -> String {
        switch value {
        case .null: ""
        case .string(let text): quoted(text)
        default: quoted(value.text())
        }
    }

    static func quoted(_ text: String) -> String {
        // By bytes: CR LF is one character, and would be neither of both.
        let needsQuotes =
            text.isEmpty
            || text.utf8.contains { $0 == 0x22 || $0 == 0x2c || $0 == 0x0a || $0 == 0x0d }
        return needsQuotes ? "\"" + text.replacing("\"", with: "\"\"") + "\"" : text
    }
}
