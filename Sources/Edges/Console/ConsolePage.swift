import AerieCore
import Hummingbird
import NIOCore

/// One page of the console: what stands around its body is the same everywhere.
struct ConsolePage {
    enum Section: String, CaseIterable {
        case home = "Home"
        case experiments = "Experiments"
        case models = "Models"
        case features = "Features"
        case pipelines = "Pipelines"
        case deployments = "Deployments"
        case resources = "Resources"

        var path: String { self == .home ? "/console" : "/console/" + rawValue.lowercased() }
    }

    var title: String
    var section: Section
    /// The way here: names and addresses, without the page itself.
    var crumbs: [(name: String, path: String)] = []
    var subtitle: HTML = ""
    var body: HTML

    func html(version: String) -> String {
        let nav = Section.allCases.map { item -> HTML in
            let here: HTML = item == section ? " class=\"here\" aria-current=\"page\"" : ""
            return "<a href=\"\(item.path)\"\(here)>\(item.rawValue)</a>"
        }
        let trail = crumbs.map { crumb -> HTML in "<a href=\"\(crumb.path)\">\(crumb.name)</a>" }.joined(" / ")
        let sub: HTML = subtitle.text.isEmpty ? "" : "<div class=\"sub\">\(subtitle)</div>"
        let page: HTML = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\
            <meta name="viewport" content="width=device-width,initial-scale=1">\
            <title>\(title) · Aerie</title><link rel="icon" href="/console/icon.svg">\
            <link rel="stylesheet" href="/console/style.css"></head><body>\
            <header class="top"><a class="brand" href="/console">\(HTML(markup: ConsoleIcon.svg))Aerie</a>\
            <nav aria-label="Sections">\(nav)</nav><button type="button" id="help" aria-label="Keys">?</button><span class="version">\(version)</span></header>\
            <main><div class="crumbs">\(trail)</div><h1>\(title)</h1>\(sub)\(body)</main>\
            \(ConsoleKeys.dialog)<script src="/console/script.js"></script></body></html>
            """
        return page.text
    }

    func response(version: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
                // No page runs a script but its own, is framed, or sends its address elsewhere.
                .contentSecurityPolicy:
                    "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'",
                .xContentTypeOptions: "nosniff",
            ],
            body: .init(byteBuffer: ByteBuffer(string: html(version: version))))
    }
}

/// What the keyboard does, shown by `?`.
enum ConsoleKeys {
    static let dialog: HTML = """
        <dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2><dl class="kv">\
        <dt><kbd>?</kbd></dt><dd>this help; <kbd>Esc</kbd> closes it</dd><dt><kbd>/</kbd></dt><dd>to the filter</dd>\
        <dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>down and up the runs</dd><dt><kbd>x</kbd></dt><dd>choose the run</dd>\
        <dt><kbd>Enter</kbd></dt><dd>open the run</dd><dt><kbd>n</kbd> <kbd>p</kbd></dt><dd>next and previous page</dd>\
        <dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>along a chart that has the focus</dd>\
        <dt>shift-click</dt><dd>choose a range of runs</dd></dl>\
        <form method="dialog"><button class="primary">Close</button></form></dialog>
        """
}

enum ConsoleIcon {
    static let svg = """
        <svg width="22" height="22" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 19 12 4l9 15-9-5z" \
        fill="var(--accent,#2757d6)"/></svg>
        """
    /// By itself, for the browser's tab: with the namespace and without the stylesheet's colours.
    static let file = """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M3 19 12 4l9 15-9-5z" fill="#2757d6"/></svg>
        """
}

/// Pieces that many pages use.
enum Piece {
    /// A state as a coloured word.
    static func pill(_ state: String, tone: String? = nil) -> HTML {
        let isShouted = state == state.uppercased()
        return "<span class=\"pill \(tone ?? self.tone(state))\">\(isShouted ? state.lowercased() : state)</span>"
    }

    /// One line of text, cut by the page's width; all of it shows when pointed at.
    static func cut(_ text: String) -> HTML {
        text.isEmpty ? "" : "<div class=\"cut soft\" title=\"\(text)\">\(String(text.prefix(400)))</div>"
    }

    /// What shows, and the number that it sorts by.
    static func value(_ number: Int64, _ shown: HTML) -> HTML { "<span data-value=\"\(Int(number))\">\(shown)</span>" }

    /// The style's word for a state: `good`, `warn`, `bad`, `run`, or none.
    static func tone(_ state: String) -> String {
        switch state.lowercased() {
        case "succeeded", "finished", "available", "ready", "true", "production", "cached", "declared": "good"
        case "failed", "unavailable", "false", "killed", "rejected": "bad"
        case "waiting", "staging", "creating", "loading", "scheduled": "warn"
        case "running": "run"
        default: ""
        }
    }

    static func tile(_ number: String, _ label: String, _ path: String) -> HTML {
        "<a class=\"panel tile\" href=\"\(path)\"><div class=\"n\">\(number)</div><div class=\"l\">\(label)</div></a>"
    }

    /// A table whose headings sort. A heading that begins with `#` is a column of numbers.
    static func table(_ headings: [String], _ rows: [[HTML]], empty: HTML) -> HTML {
        guard !rows.isEmpty else { return "<div class=\"panel empty\">\(empty)</div>" }
        let numeric = headings.map { $0.hasPrefix("#") }
        let head = headings.map { heading -> HTML in
            heading.hasPrefix("#")
                ? "<th class=\"num\">\(String(heading.dropFirst()))</th>"
                : heading.isEmpty ? "<th data-fixed></th>" : "<th>\(heading)</th>"
        }
        let body = rows.map { row -> HTML in
            let cells = row.enumerated().map { index, cell -> HTML in
                numeric.indices.contains(index) && numeric[index]
                    ? "<td class=\"num\">\(cell)</td>" : "<td>\(cell)</td>"
            }
            return "<tr>\(cells)</tr>"
        }
        return """
            <div class="panel flush"><div class="scroll"><table data-sortable><thead><tr>\(head)</tr></thead>\
            <tbody>\(body)</tbody></table></div></div>
            """
    }

    static func nothing(_ text: HTML) -> HTML { "<div class=\"panel empty\">\(text)</div>" }

    /// Names and values.
    static func facts(_ pairs: [(String, HTML)]) -> HTML {
        "<dl class=\"kv\">\(pairs.map { pair -> HTML in "<dt>\(pair.0)</dt><dd>\(pair.1)</dd>" })</dl>"
    }

    static func link(_ path: String, _ text: String) -> HTML { "<a href=\"\(path)\">\(text)</a>" }

    /// A button that changes something, as a form of its own.
    static func action(
        _ path: String, _ text: String, style: String = "", confirm: String? = nil, fields: [(String, String)] = []
    ) -> HTML {
        let ask: HTML = confirm.map { " data-confirm=\"\($0)\"" } ?? ""
        let hidden = fields.map { field -> HTML in
            "<input type=\"hidden\" name=\"\(field.0)\" value=\"\(field.1)\">"
        }
        return """
            <form class="inline" method="post" action="\(path)"\(ask)>\(hidden)\
            <button class="\(style)">\(text)</button></form>
            """
    }

    /// A part that the script refreshes every few seconds while `live` holds.
    static func live(_ id: String, every seconds: Double?, _ body: HTML) -> HTML {
        guard let seconds else { return "<div id=\"\(id)\">\(body)</div>" }
        return "<div id=\"\(id)\" data-live=\"\(seconds)\">\(body)</div>"
    }
}
