import AerieCore
import Experiments
import Foundation

/// What a runs table shows, as its address says it, so that a view can be kept and shared.
struct RunsQuery: Equatable {
    static let sizes = [25, 50, 100, 250]

    var filter = ""
    /// `metrics.auc`, `params.depth`, `tags.team` or an attribute; empty for the newest first.
    var sort = ""
    var ascending = false
    /// The columns beside the fixed ones; empty for those that most of the page's runs have.
    var columns: [String] = []
    var deleted = false
    var size = 50
    /// The tokens of the pages from the second one to this; the last is this page's.
    var trail: [String] = []

    init() {}

    /// - Parameter values: gives every value of a name in the address's query. What makes no sense is left out.
    init(values: (String) -> [String]) {
        func one(_ name: String) -> String { values(name).last ?? "" }
        filter = one("q")
        sort = one("sort")
        ascending = one("dir") == "up"
        columns = values("col").filter { Self.kind(of: $0) != nil }.prefix(Self.columnLimit).map { $0 }
        deleted = one("view") == "deleted"
        size = Int(one("size")).flatMap { Self.sizes.contains($0) ? $0 : nil } ?? 50
        trail = one("page").split(separator: ".").suffix(Self.trailLimit).map(String.init)
    }

    /// Further back than so many pages leads the first page only, so that addresses stay short.
    private static let trailLimit = 12

    private static let columnLimit = 40

    // MARK: The reader's own columns

    private static let cookie = "aerie-columns"
    /// Longer cookies are not kept by browsers.
    private static let cookieLimit = 3600

    /// Keeps the columns for a year, for one experiment's pages; without columns, forgets them.
    func columnsCookie(path: String) -> String {
        let value = columns.map(urlEncoded).joined(separator: "+")
        let isKept = !columns.isEmpty && value.utf8.count <= Self.cookieLimit
        return "\(Self.cookie)=\(isKept ? value : ""); Path=\(path); Max-Age=\(isKept ? 31_536_000 : 0); "
            + "SameSite=Lax; HttpOnly"
    }

    static func columns(inCookies header: String?) -> [String] {
        for pair in (header ?? "").split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == cookie else { continue }
            let names = parts[1].split(separator: "+").map { $0.removingPercentEncoding ?? "" }
            return names.filter { kind(of: $0) != nil }.prefix(columnLimit).map { $0 }
        }
        return []
    }

    static func kind(of column: String) -> (kind: String, key: String)? {
        for kind in ["metrics", "params", "tags"] where column.hasPrefix(kind + ".") && column.count > kind.count + 1 {
            return (kind, String(column.dropFirst(kind.count + 1)))
        }
        return nil
    }

    /// The order in the search grammar; keys stand in backticks, as they may hold spaces.
    var order: [String] {
        guard !sort.isEmpty else { return [] }
        let direction = ascending ? "ASC" : "DESC"
        guard let column = Self.kind(of: sort) else { return ["attributes.\(sort) \(direction)"] }
        return ["\(column.kind).`\(column.key)` \(direction)"]
    }

    var token: String? { trail.last }

    /// The address's query, without what is as it is by itself.
    var address: String {
        var parts: [String] = []
        if !filter.isEmpty { parts.append("q=" + urlEncoded(filter)) }
        if !sort.isEmpty { parts.append("sort=\(urlEncoded(sort))&dir=\(ascending ? "up" : "down")") }
        parts += columns.map { "col=" + urlEncoded($0) }
        if deleted { parts.append("view=deleted") }
        if size != 50 { parts.append("size=\(size)") }
        if !trail.isEmpty { parts.append("page=" + trail.joined(separator: ".")) }
        return "?" + parts.joined(separator: "&")
    }

    /// The same view, changed; another search or order begins at its first page.
    func with(_ change: (inout RunsQuery) -> Void) -> RunsQuery {
        var copy = self
        copy.trail = []
        change(&copy)
        return copy
    }

    func next(_ token: String) -> RunsQuery {
        with { $0.trail = (trail + [token]).suffix(Self.trailLimit).map { $0 } }
    }

    var previous: RunsQuery? { trail.isEmpty ? nil : with { $0.trail = trail.dropLast() } }

    /// Sorted by a column, or the other way round if it is that already. Numbers begin with the greatest.
    func sorted(by key: String, numeric: Bool) -> RunsQuery {
        with {
            $0.ascending = sort == key ? !ascending : !numeric
            $0.sort = key
        }
    }
}
