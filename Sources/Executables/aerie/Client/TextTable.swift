import Foundation

/// A table for a terminal or a pipe. Columns are as wide as their widest cell; where the terminal is narrower, wide
/// cells are cut, and then the last columns left out.
struct TextTable {
    private static let gap = 3
    /// A cut column keeps at least so much.
    private static let narrowest = 8

    struct Column {
        var title: String
        var isNumber = false
    }

    var columns: [Column]
    private(set) var rows: [[String]] = []

    init(_ titles: [String], numbers: Set<Int> = []) {
        columns = titles.enumerated().map { Column(title: $1.visible.uppercasedASCII, isNumber: numbers.contains($0)) }
    }

    /// Control characters are escaped here, so that no name can take over the terminal.
    mutating func add(_ cells: [String]) {
        rows.append(cells.prefix(columns.count).map { $0.isEmpty ? "-" : $0.visible })
    }

    /// - Parameter width: the terminal's columns; `nil` for as wide as it gets.
    func text(width: Int? = nil) -> String {
        var widths = columns.map { $0.title.terminalWidth }
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.terminalWidth) }
        }
        var shown = columns.count
        if let width { (widths, shown) = Self.fit(widths, to: max(width, 20)) }
        var text = line(columns.map(\.title), widths, shown, isHead: true)
        for row in rows { text += line(row, widths, shown) }
        if shown < columns.count {
            let left = columns[shown...].map { $0.title.lowercased() }
            let names = left.prefix(6).joined(separator: ", ") + (left.count > 6 ? ", …" : "")
            text += "(\(left.count) columns do not fit: \(names))\n"
        }
        return text
    }

    /// Takes from the widest column until all fit; if they cannot, leaves out the last.
    static func fit(_ widths: [Int], to width: Int) -> ([Int], shown: Int) {
        var widths = widths
        var shown = widths.count
        while shown > 0 {
            var total = widths[..<shown].reduce(0, +) + gap * (shown - 1)
            while total > width {
                guard let widest = widths[..<shown].indices.max(by: { widths[$0] < widths[$1] }),
                    widths[widest] > narrowest
                else { break }
                // Down to the next widest at once; those of one width go down together.
                let next = widths[..<shown].indices.filter { $0 != widest }.map { widths[$0] }.max() ?? narrowest
                let cut = min(total - width, max(1, widths[widest] - max(next, narrowest)))
                widths[widest] -= cut
                total -= cut
            }
            if total <= width || shown == 1 { return (widths, shown) }
            shown -= 1
        }
        return (widths, shown)
    }

    private func line(_ cells: [String], _ widths: [Int], _ shown: Int, isHead: Bool = false) -> String {
        var line = ""
        for index in 0..<min(shown, cells.count) {
            let cell = cells[index].cut(toTerminalWidth: widths[index])
            let space = String(repeating: " ", count: max(0, widths[index] - cell.terminalWidth))
            let isLast = index == min(shown, cells.count) - 1
            if columns[index].isNumber { line += space + cell } else { line += isLast ? cell : cell + space }
            if !isLast { line += String(repeating: " ", count: Self.gap) }
        }
        return line + "\n"
    }
}

/// What the terminal is like.
enum Terminal {
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }
    static var isError: Bool { isatty(STDERR_FILENO) == 1 }

    /// Columns of the terminal that the output goes to; `nil` where it goes elsewhere.
    static var width: Int? {
        guard isOutput else { return nil }
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

extension String {
    /// With control characters, and those that turn the direction of writing, written as escapes.
    var visible: String {
        guard unicodeScalars.contains(where: { $0.isUnprintable }) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case _ where scalar.isUnprintable: text += "\\u{\(String(scalar.value, radix: 16))}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// Upper case for column titles, except of names that people chose: those hold a dot.
    fileprivate var uppercasedASCII: String { contains(".") ? self : uppercased() }

    /// Columns that a terminal needs: two for wide East Asian characters and emoji, none for combining marks.
    var terminalWidth: Int {
        if utf8.allSatisfy({ $0 < 0x80 }) { return utf8.count }
        return reduce(0) { $0 + $1.terminalWidth }
    }

    /// With an ellipsis at the end where it had to be cut.
    func cut(toTerminalWidth width: Int) -> String {
        guard terminalWidth > width else { return self }
        var text = ""
        var used = 0
        for character in self {
            used += character.terminalWidth
            if used > width - 1 { break }
            text.append(character)
        }
        return text + "…"
    }
}

extension Character {
    fileprivate var terminalWidth: Int {
        guard let first = unicodeScalars.first else { return 0 }
        if first.value < 0x300 { return 1 }
        if first.properties.generalCategory == .nonspacingMark || first.value == 0x200b || first.value == 0x200d {
            return 0
        }
        return switch first.value {
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f,
            0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f680...0x1f6ff, 0x1f900...0x1f9ff,
            0x20000...0x3fffd:
            2
        default: 1
        }
    }
}

extension Unicode.Scalar {
    fileprivate var isUnprintable: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: true
        default: false
        }
    }
}
