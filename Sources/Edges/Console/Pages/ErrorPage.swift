import AerieCore

/// What went wrong, as a page like the others.
enum ErrorPage {
    static func page(_ error: AerieError, path: String) -> ConsolePage {
        let details = error.details.map { detail -> HTML in "<li>\(detail.field) \(detail.problem)</li>" }
        return ConsolePage(
            title: error.code == .notFound ? "Not found" : "That did not work", section: .home,
            crumbs: [("Home", "/console")],
            body: """
                <div class="notice bad">\(error.message)<ul>\(details)</ul></div>\
                <p class="soft mono">\(path)</p><p>\(Piece.link("/console", "Home"))</p>
                """)
    }
}
