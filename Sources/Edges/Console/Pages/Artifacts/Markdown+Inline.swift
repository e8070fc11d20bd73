extension Markdown {
    /// Code, bold, italic and links within a line. What opens and is never closed stays as it was written.
    static func inline(_ text: Substring, depth: Int = 0) -> HTML {
        var out: HTML = ""
        var plain = ""
        var rest = text
        func flush() {
            out.text += ("\(plain)" as HTML).text
            plain = ""
        }
        while let first = rest.first {
            if first == "\\", let next = rest.dropFirst().first, next.isPunctuation || next.isSymbol {
                plain.append(next)
                rest = rest.dropFirst(2)
            } else if depth < 6, let span = span(rest, depth: depth) {
                flush()
                out.text += span.html.text
                rest = span.rest
            } else {
                plain.append(first)
                rest = rest.dropFirst()
            }
        }
        flush()
        return out
    }

    /// What begins at the first character, and what follows it.
    private static func span(_ text: Substring, depth: Int) -> (html: HTML, rest: Substring)? {
        switch text.first {
        case "`":
            guard let held = held(text, by: "`") else { return nil }
            return ("<code>\(String(held.inner))</code>", held.rest)
        case "*", "_":
            for (mark, tag) in [("**", "strong"), ("__", "strong"), ("*", "em"), ("_", "em")] {
                guard let held = held(text, by: mark), held.inner.first?.isWhitespace == false else { continue }
                // `snake_case_names` are no emphasis.
                if mark.hasPrefix("_"), held.rest.first.map({ $0.isLetter || $0.isNumber }) == true { continue }
                let name = HTML(markup: tag)
                return ("<\(name)>\(inline(held.inner, depth: depth + 1))</\(name)>", held.rest)
            }
            return nil
        case "!": return text.dropFirst().first == "[" ? link(text.dropFirst(), depth: depth) : nil
        case "[": return link(text, depth: depth)
        default: return nil
        }
    }

    private static func held(_ text: Substring, by mark: String) -> (inner: Substring, rest: Substring)? {
        guard text.hasPrefix(mark) else { return nil }
        let inner = text.dropFirst(mark.count).prefix(2000)
        guard let end = inner.firstRange(of: mark), end.lowerBound > inner.startIndex else { return nil }
        return (inner[..<end.lowerBound], text[end.upperBound...])
    }

    /// A picture is a link too: nothing is fetched from elsewhere by opening a page.
    private static func link(_ text: Substring, depth: Int) -> (html: HTML, rest: Substring)? {
        let near = text.prefix(2000)
        guard let middle = near.firstRange(of: "]("), let end = near[middle.upperBound...].firstIndex(of: ")")
        else { return nil }
        let words = inline(near[near.index(after: near.startIndex)..<middle.lowerBound], depth: depth + 1)
        let rest = text[text.index(after: end)...]
        // A title after the address is left out.
        let address = near[middle.upperBound..<end].split(separator: " ").first.map(String.init) ?? ""
        guard isSafe(address) else { return (words, rest) }
        return ("<a href=\"\(address)\" rel=\"noopener noreferrer nofollow\">\(words)</a>", rest)
    }

    /// Only addresses that cannot run anything here.
    static func isSafe(_ address: String) -> Bool {
        let lower = address.lowercased()
        guard !lower.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else { return false }
        return ["http://", "https://", "mailto:", "#"].contains { lower.hasPrefix($0) }
    }
}
