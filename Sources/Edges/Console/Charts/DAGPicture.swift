/// A pipeline's steps as boxes in columns, an arrow for each need, coloured by how far each is.
struct DAGPicture {
    struct Node {
        var name: String
        /// What stands in the box, if not the name.
        var label: String?
        /// Second line: what kind of step it is, and its state.
        var caption: String
        /// One of the style's words: `good`, `bad`, `run`, `warn` or empty.
        var tone: String
        var needs: [String]
        var link: String?
        var isChosen = false
    }

    var nodes: [Node]
    var boxWidth = 117.0
    var title = "steps"

    private static let boxHeight = 46.0
    private static let gapX = 26.0
    private static let gapY = 18.0

    /// The length of the longest way from a step without needs. Needs that do not exist, and cycles, count nothing.
    private func columns() -> [String: Int] {
        var column = Dictionary(nodes.map { ($0.name, 0) }, uniquingKeysWith: { a, _ in a })
        for _ in nodes {
            for node in nodes {
                let least = node.needs.compactMap { column[$0] }.map { $0 + 1 }.max() ?? 0
                column[node.name] = min(max(column[node.name] ?? 0, least), nodes.count)
            }
        }
        return column
    }

    func svg() -> HTML {
        guard !nodes.isEmpty else { return "<div class=\"empty\">no steps</div>" }
        let column = columns()
        var rows: [Int: Int] = [:]
        var place: [String: (x: Double, y: Double)] = [:]
        for node in nodes {
            let at = column[node.name] ?? 0
            let row = rows[at, default: 0]
            rows[at] = row + 1
            place[node.name] = (
                4 + Double(at) * (boxWidth + Self.gapX), 4 + Double(row) * (Self.boxHeight + Self.gapY)
            )
        }
        let width = 8 + Double((column.values.max() ?? 0) + 1) * (boxWidth + Self.gapX) - Self.gapX
        let height = 8 + Double(rows.values.max() ?? 1) * (Self.boxHeight + Self.gapY) - Self.gapY
        var out =
            "<svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" width=\"\(Int(width))\" role=\"img\" aria-label=\"\(HTML("\(title)").text)\">"
        for node in nodes {
            for need in node.needs {
                guard let from = place[need], let to = place[node.name] else { continue }
                out += edge(from: from, to: to)
            }
        }
        for node in nodes { if let at = place[node.name] { out += box(node, at: at) } }
        return HTML(markup: out + "</svg>")
    }

    private func short(_ text: String, _ limit: Int) -> String {
        text.count > limit ? text.prefix(limit - 1) + "…" : text
    }

    private func edge(from: (x: Double, y: Double), to: (x: Double, y: Double)) -> String {
        let x0 = from.x + boxWidth
        let y0 = from.y + Self.boxHeight / 2
        let y1 = to.y + Self.boxHeight / 2
        let bend = max(12, (to.x - x0) / 2)
        return """
            <path class="edge" d="M\(x0) \(y0)C\(x0 + bend) \(y0) \(to.x - bend) \(y1) \(to.x - 2) \(y1)"/>\
            <path d="M\(to.x - 7) \(y1 - 4)L\(to.x - 1) \(y1)L\(to.x - 7) \(y1 + 4)" fill="none" stroke="var(--soft)"/>
            """
    }

    private func box(_ node: Node, at place: (x: Double, y: Double)) -> String {
        let inner = """
            <g class="node \(node.tone)\(node.isChosen ? " chosen" : "")"><title>\(HTML("\(node.label ?? node.name)").text)</title><rect x="\(place.x)" y="\(place.y)" width="\(boxWidth)" \
            height="\(Self.boxHeight)" rx="8"/>\
            <text class="name" x="\(place.x + 12)" y="\(place.y + 20)">\(HTML("\(short(node.label ?? node.name, Int(boxWidth / 8.3)))").text)</text>\
            <text x="\(place.x + 12)" y="\(place.y + 36)">\(HTML("\(short(node.caption, Int(boxWidth / 6.8)))").text)</text></g>
            """
        guard let link = node.link else { return inner }
        return "<a href=\"\(HTML("\(link)").text)\">\(inner)</a>"
    }
}
