import AerieCore
import AerieJSON
import AerieResources
import Features

/// Every feature: what it is, what its values look like, who owns and who uses it.
enum FeaturePages {
    /// A view with what is known of it.
    struct Item {
        var view: FeatureCatalog.View
        /// Microseconds; `nil` where nothing was written.
        var age: Int64?
        /// Of the last materialization.
        var statistics: JSONValue?
        /// The services that name each feature.
        var services: [String: [String]]
    }

    static func path(_ view: FeatureCatalog.View) -> String {
        "/console/features/views/\(urlEncoded(view.key.namespace))/\(urlEncoded(view.definition.name))"
    }

    /// As a list of several namespaces tells it apart.
    private static func name(_ view: FeatureCatalog.View) -> String {
        let namespace = view.key.namespace
        return namespace == "default" ? view.definition.name : "\(namespace)/\(view.definition.name)"
    }

    static let bar: HTML = """
        <div class="bar">\(Piece.link("/console/features", "Catalogue"))\(Piece.link("/console/features/runs", "Materializations"))\
        \(Piece.link("/console/features/skew", "Skew"))</div>
        """

    /// - Parameter search: words that must all stand in a feature's name, view, description, owner or tags.
    static func catalogue(_ items: [Item], search: String, problems: [String]) -> ConsolePage {
        let words = search.lowercased().split(separator: " ")
        var rows: [[HTML]] = []
        for item in items {
            for feature in item.view.definition.features {
                let view = item.view
                let text = [
                    name(view), feature.name, feature.description, view.description, view.owner,
                    view.tags.map { "\($0.key) \($0.value)" }.joined(separator: " "),
                ].joined(separator: " ").lowercased()
                guard words.allSatisfy({ text.contains($0) }) else { continue }
                rows.append(row(item, feature))
            }
        }
        let warnings = problems.map { problem -> HTML in "<div class=\"notice warn\">\(problem)</div>" }
        let body: HTML = """
            \(bar)<form class="bar" method="get" action="/console/features"><input type="search" name="search" \
            aria-label="Search features" placeholder="name, view, owner, tag" value="\(search)">\
            <button>Search</button><span class="soft">\(rows.count) features</span></form>\(warnings)
            \(Piece.table(["Feature", "View", "Type", "Distribution", "#Nulls", "Freshness", "Owner", "Used by", "Description"],
                rows, empty: "No features: <code>aerie apply -f features.yaml</code>"))
            """
        return ConsolePage(
            title: "Features", section: .features, subtitle: "What models know about, kept for reading online.", body: body)
    }

    private static func row(_ item: Item, _ feature: FeatureViewDefinition.Feature) -> [HTML] {
        let statistics = item.statistics?["features"]?[feature.name]
        let users = item.services[feature.name] ?? []
        return [
            "<b>\(Piece.link(path(item.view) + "#" + urlEncoded(feature.name), feature.name))</b>",
            Piece.link(path(item.view), name(item.view)),
            "<span class=\"mono\">\(feature.type.rawValue)</span>", picture(statistics, isSmall: true),
            nulls(statistics), freshness(item), "\(item.view.owner)", "\(users.joined(separator: ", "))",
            Piece.cut(feature.description),
        ]
    }

    private static func nulls(_ statistics: JSONValue?) -> HTML {
        guard let count = statistics?["count"]?.double, let nulls = statistics?["nulls"]?.double, count + nulls > 0 else {
            return "<span class=\"soft\">–</span>"
        }
        let share = nulls / (count + nulls) * 100
        return Piece.value(Int64(share * 100), "\(Format.fixed(share, 1)) %")
    }

    static func freshness(_ item: Item) -> HTML {
        guard let age = item.age else { return "<span class=\"soft\">nothing written</span>" }
        let text = Format.duration(milliseconds: age / 1000)
        guard let target = item.view.definition.freshness else { return Piece.value(age, "\(text)") }
        return Piece.value(age, Piece.pill(text, tone: age <= target ? "good plain" : "bad plain"))
    }

    /// A histogram, or the values that come most often.
    static func picture(_ statistics: JSONValue?, isSmall: Bool = false) -> HTML {
        if let histogram = statistics?["histogram"], let counts = histogram["counts"]?.array?.compactMap(\.double),
            let low = histogram["min"]?.double, let high = histogram["max"]?.double
        {
            return HistogramPicture(
                counts: counts, low: low, high: high, width: isSmall ? 110 : 260, height: isSmall ? 26 : 84,
                isSmall: isSmall
            ).svg()
        }
        let top = statistics?["top"]?.array ?? []
        if top.isEmpty { return "<span class=\"soft\">–</span>" }
        if isSmall {
            return Piece.cut(top.prefix(3).map { $0["value"]?.string ?? "" }.joined(separator: ", "))
        }
        let most = top.first?["count"]?.double ?? 1
        return HTML(markup: top.prefix(6).map { entry in
            let share = Int((entry["count"]?.double ?? 0) / most * 100)
            let line: HTML = """
                <div class="share"><span>\(entry["value"]?.string ?? "")</span><div class="progress">\
                <i style="width:\(share)%"></i></div><span class="soft">\(Int(entry["count"]?.int ?? 0))</span></div>
                """
            return line.text
        }.joined())
    }
}
