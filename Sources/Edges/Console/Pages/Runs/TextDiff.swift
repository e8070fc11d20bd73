/// Two texts line by line: what stayed, what went, what came.
struct TextDiff: Equatable {
    enum Line: Equatable {
        case same(String)
        case removed(String)
        case added(String)
    }

    var lines: [Line]
    /// The texts were too long to be set beside each other line by line: what differs stands as a whole.
    var isCoarse = false

    /// The product of both counts of lines that differ; a table of so many numbers of two bytes is held meanwhile.
    private static let cellLimit = 4_000_000

    init(_ old: String, _ new: String) {
        let a = Self.split(old)
        let b = Self.split(new)
        let start = zip(a, b).prefix { $0 == $1 }.count
        let end = min(zip(a.reversed(), b.reversed()).prefix { $0 == $1 }.count, min(a.count, b.count) - start)
        let x = Array(a[start..<a.count - end])
        let y = Array(b[start..<b.count - end])
        lines = a[..<start].map { .same($0) }
        if x.count * y.count > Self.cellLimit || max(x.count, y.count) > Int(UInt16.max) {
            isCoarse = true
            lines += x.map { .removed($0) } + y.map { .added($0) }
        } else {
            lines += Self.aligned(x, y)
        }
        lines += a[(a.count - end)...].map { .same($0) }
    }

    var differs: Bool { lines.contains { if case .same = $0 { false } else { true } } }

    private static func split(_ text: String) -> [String] {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// By the longest common subsequence; lines are compared by number.
    private static func aligned(_ x: [String], _ y: [String]) -> [Line] {
        var numbers: [String: Int32] = [:]
        func number(_ line: String) -> Int32 {
            if let known = numbers[line] { return known }
            numbers[line] = Int32(numbers.count)
            return Int32(numbers.count - 1)
        }
        let a = x.map(number)
        let b = y.map(number)
        let width = b.count + 1
        var length = [UInt16](repeating: 0, count: (a.count + 1) * width)
        for i in a.indices.reversed() {
            for j in b.indices.reversed() {
                length[i * width + j] =
                    a[i] == b[j]
                    ? length[(i + 1) * width + j + 1] + 1
                    : max(length[(i + 1) * width + j], length[i * width + j + 1])
            }
        }
        var out: [Line] = []
        var i = 0
        var j = 0
        while i < a.count || j < b.count {
            if i < a.count, j < b.count, a[i] == b[j] {
                out.append(.same(x[i]))
                (i, j) = (i + 1, j + 1)
            } else if j == b.count || (i < a.count && length[(i + 1) * width + j] >= length[i * width + j + 1]) {
                out.append(.removed(x[i]))
                i += 1
            } else {
                out.append(.added(y[j]))
                j += 1
            }
        }
        return out
    }

    // MARK: As HTML

    /// The lines that differ with three around them, numbered as in either text.
    func html() -> HTML {
        guard differs else { return Piece.nothing("Both are the same, line by line.") }
        var near = [Bool](repeating: false, count: lines.count)
        for (index, line) in lines.enumerated() {
            if case .same = line { continue }
            for other in max(0, index - 3)...min(lines.count - 1, index + 3) { near[other] = true }
        }
        var rows: [HTML] = []
        var old = 0
        var new = 0
        var isGap = false
        for (index, line) in lines.enumerated() {
            let (mark, text, style, a, b): (HTML, String, HTML, String, String)
            switch line {
            case .same(let said):
                (old, new) = (old + 1, new + 1)
                (mark, text, style, a, b) = (" ", said, "", String(old), String(new))
            case .removed(let said):
                old += 1
                (mark, text, style, a, b) = ("−", said, "gone", String(old), "")
            case .added(let said):
                new += 1
                (mark, text, style, a, b) = ("+", said, "came", "", String(new))
            }
            guard near[index], rows.count < 4000 else {
                if !isGap { rows.append("<tr class=\"gap\"><td colspan=\"4\">⋯</td></tr>") }
                isGap = true
                continue
            }
            isGap = false
            rows.append(
                "<tr class=\"\(style)\"><td>\(a)</td><td>\(b)</td><td>\(mark)</td><td><pre>\(ExperimentPages.short(text, 2000))</pre></td></tr>"
            )
        }
        return """
            <div class="panel flush"><div class="scroll"><table class="diff mono"><tbody>\(rows)</tbody></table></div></div>
            """
    }
}
