/// The Markdown that people write in notes and model cards, as HTML: headings, paragraphs, lists, quotes, fenced code,
/// tables, rules, emphasis, code and links. HTML inside shows as text; only web, mail and in-page addresses lead away.
struct Markdown {
    private var lines: ArraySlice<Substring>
    private var depth = 0

    /// Quotes within quotes deeper than this show as text.
    private static let maximumDepth = 8

    static func html(_ text: String) -> HTML {
        // Two characters at a line's end, as forms send them, are one to Swift.
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        var reader = Markdown(lines: lines[...])
        return reader.blocks()
    }

    private init(lines: ArraySlice<Substring>) { self.lines = lines }

    // MARK: Blocks

    private mutating func blocks() -> HTML {
        var out: [HTML] = []
        while let line = lines.first {
            if Self.isBlank(line) {
                lines.removeFirst()
            } else if let fence = Self.fence(line) {
                out.append(code(until: fence))
            } else if let level = Self.heading(line) {
                lines.removeFirst()
                let tag = HTML(markup: "h\(min(6, level + 1))")
                let words = line.drop { $0 == "#" || $0 == " " }
                out.append("<\(tag)>\(Self.inline(words))</\(tag)>")
            } else if Self.isRule(line) {
                lines.removeFirst()
                out.append("<hr>")
            } else if line.hasPrefix(">"), depth < Self.maximumDepth {
                out.append(quote())
            } else if let item = Self.item(line) {
                out.append(list(isOrdered: item.isOrdered))
            } else if line.contains("|"), Self.isTableRule(lines.dropFirst().first) {
                out.append(table())
            } else {
                out.append(paragraph())
            }
        }
        return "\(out)"
    }

    private mutating func code(until fence: String) -> HTML {
        lines.removeFirst()
        var held: [Substring] = []
        while let line = lines.popFirst(), !Self.trimmed(line).hasPrefix(fence) { held.append(line) }
        return "<pre class=\"mono\"><code>\(held.joined(separator: "\n"))</code></pre>"
    }

    private mutating func quote() -> HTML {
        var held: [Substring] = []
        while let line = lines.first, line.hasPrefix(">") {
            held.append(line.dropFirst(line.dropFirst().first == " " ? 2 : 1))
            lines.removeFirst()
        }
        var inner = Markdown(lines: held[...])
        inner.depth = depth + 1
        return "<blockquote>\(inner.blocks())</blockquote>"
    }

    /// Items and, one level in, the items below them.
    private mutating func list(isOrdered: Bool) -> HTML {
        var items: [HTML] = []
        while let line = lines.first, let item = Self.item(line), item.indent > 0 || item.isOrdered == isOrdered {
            lines.removeFirst()
            var words = [Self.inline(item.text)]
            while let next = lines.first, next.hasPrefix("  "), !Self.isBlank(next), Self.item(next) == nil {
                words.append(Self.inline(Self.trimmed(next)))
                lines.removeFirst()
            }
            let style: HTML = item.indent > 1 ? " class=\"in\"" : ""
            items.append("<li\(style)>\(words.joined(" "))</li>")
        }
        return isOrdered ? "<ol>\(items)</ol>" : "<ul>\(items)</ul>"
    }

    private mutating func table() -> HTML {
        func cells(_ line: Substring) -> [Substring] {
            var row = Self.trimmed(line)
            if row.hasPrefix("|") { row = row.dropFirst() }
            if row.hasSuffix("|") { row = row.dropLast() }
            return row.split(separator: "|", omittingEmptySubsequences: false).map { Self.trimmed($0) }
        }
        let head = cells(lines.removeFirst())
        lines.removeFirst()
        var rows: [HTML] = []
        while let line = lines.first, line.contains("|"), !Self.isBlank(line) {
            lines.removeFirst()
            rows.append(
                "<tr>\(cells(line).prefix(head.count).map { cell -> HTML in "<td>\(Self.inline(cell))</td>" })</tr>")
        }
        return """
            <div class="scroll"><table><thead><tr>\(head.map { cell -> HTML in "<th>\(Self.inline(cell))</th>" })</tr></thead>\
            <tbody>\(rows)</tbody></table></div>
            """
    }

    private mutating func paragraph() -> HTML {
        var words: [HTML] = []
        while let line = lines.first, !Self.isBlank(line), words.isEmpty || !Self.beginsBlock(line) {
            words.append(Self.inline(Self.trimmed(line)))
            lines.removeFirst()
        }
        return "<p>\(words.joined("\n"))</p>"
    }

    private static func beginsBlock(_ line: Substring) -> Bool {
        fence(line) != nil || heading(line) != nil || isRule(line) || line.hasPrefix(">") || item(line) != nil
    }

    private static func isBlank(_ line: Substring) -> Bool { line.allSatisfy(\.isWhitespace) }

    private static func trimmed(_ line: Substring) -> Substring {
        var line = line.drop(while: \.isWhitespace)
        while line.last?.isWhitespace == true { line = line.dropLast() }
        return line
    }

    private static func fence(_ line: Substring) -> String? {
        let start = trimmed(line)
        return start.hasPrefix("```") ? "```" : start.hasPrefix("~~~") ? "~~~" : nil
    }

    private static func heading(_ line: Substring) -> Int? {
        let level = line.prefix { $0 == "#" }.count
        return (1...6).contains(level) && line.dropFirst(level).first == " " ? level : nil
    }

    private static func isRule(_ line: Substring) -> Bool {
        let marks = line.filter { !$0.isWhitespace }
        guard marks.count >= 3, let first = marks.first, "-*_".contains(first) else { return false }
        return marks.allSatisfy { $0 == first }
    }

    private static func isTableRule(_ line: Substring?) -> Bool {
        guard let line, line.contains("-"), line.contains("|") else { return false }
        return line.allSatisfy { "|-: \t".contains($0) }
    }

    private static func item(_ line: Substring) -> (indent: Int, isOrdered: Bool, text: Substring)? {
        let indent = line.prefix { $0 == " " }.count
        let rest = line.dropFirst(indent)
        if let mark = rest.first, "-*+".contains(mark), rest.dropFirst().first == " " {
            return (indent, false, trimmed(rest.dropFirst(2)))
        }
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard (1...4).contains(digits.count) else { return nil }
        let after = rest.dropFirst(digits.count)
        guard after.hasPrefix(". ") || after.hasPrefix(") ") else { return nil }
        return (indent, true, trimmed(after.dropFirst(2)))
    }
}
