import AerieCore
import AerieJSON
import AerieResources
import Features

/// One view: where its values come from, how fresh they are, what each feature looks like now and looked like before.
enum FeatureViewPage {
    static func page(
        _ item: FeaturePages.Item, history: [JSONValue], runs: [MaterializationRun], quarantine: [JSONValue],
        skew: SkewReport?, now: Timestamp
    ) -> ConsolePage {
        let view = item.view
        let materialize = Piece.action(
            "/console/features/views/\(urlEncoded(view.key.namespace))/\(urlEncoded(view.definition.name))/materialize",
            "Materialize to now", style: "primary")
        let body: HTML = """
            \(FeaturePages.bar)<div class="panel"><div class="facts"><span class="grow"></span>\(materialize)</div>\
            \(Piece.facts(facts(item)))</div>
            <h2>Features</h2><div class="wide">\(view.definition.features.map { card($0, item, history, skew) })</div>
            <h2>Materializations</h2>\(Piece.live("runs", every: 2, MaterializationPages.table(runs, now: now)))
            \(aside(quarantine))
            """
        return ConsolePage(
            title: view.definition.name, section: .features,
            crumbs: [("Features", "/console/features")],
            subtitle: "\(view.description.isEmpty ? "A feature view of \(view.key.namespace)." : view.description)",
            body: body)
    }

    private static func facts(_ item: FeaturePages.Item) -> [(String, HTML)] {
        let view = item.view
        let definition = view.definition
        func list(_ words: [String], _ none: String) -> HTML {
            "\(words.isEmpty ? none : words.joined(separator: ", "))"
        }
        let life = definition.timeToLive.map { Format.duration(milliseconds: $0 / 1000) } ?? "for ever"
        var facts: [(String, HTML)] = []
        facts.append(("Keys", list(view.joinKeys.map(\.name), "none")))
        facts.append(("Source", "<span class=\"mono\">\(definition.sourceType) \(definition.location)</span>"))
        facts.append(("Online", view.isOnline ? "yes" : "no"))
        facts.append(("Lives", "\(life)"))
        facts.append(("Freshness", FeaturePages.freshness(item)))
        if let target = definition.freshness {
            facts.append(("Freshness target", "\(Format.duration(milliseconds: target / 1000))"))
        }
        facts.append(("Owner", list(view.owner.isEmpty ? [] : [view.owner], "nobody")))
        facts.append(("Used by", list(Set(item.services.values.joined()).sorted(), "no service")))
        let until = view.materializedUntil.map { FeatureTime.text($0) }
        let reread = view.rereadReason.map { "everything is read at the next materialization: \($0)" }
        facts.append(("Materialized until", "\(reread ?? until ?? "never")"))
        facts.append(("Definition", Piece.link(ResourcePages.path(view.key), "as it was applied")))
        if let quality = view.quality {
            facts.append(("Quality", "suite \(quality.suite), \(quality.onFailure.rawValue) what fails"))
        }
        if !view.tags.isEmpty {
            facts.append(("Tags", list(view.tags.map { "\($0.key): \($0.value)" }.sorted(), "")))
        }
        return facts
    }

    private static func card(
        _ feature: FeatureViewDefinition.Feature, _ item: FeaturePages.Item, _ history: [JSONValue], _ skew: SkewReport?
    ) -> HTML {
        let latest = history.first?["features"]?[feature.name]
        var measures: [(String, String)] = []
        for (name, label) in [("mean", "mean"), ("std", "std"), ("min", "min"), ("max", "max")] {
            if let value = latest?[name]?.double { measures.append((Format.number(value), label)) }
        }
        if let median = latest?["quantiles"]?["0.5"]?.double { measures.append((Format.number(median), "median")) }
        if let count = latest?["count"]?.int { measures.append(("\(count)", "values")) }
        if let nulls = latest?["nulls"]?.int { measures.append(("\(nulls)", "nulls")) }
        let numbers = measures.map { measure -> HTML in "<span><b>\(measure.0)</b>\(measure.1)</span>" }
        let means = history.reversed().compactMap { $0["features"]?[feature.name]?["mean"]?.double }
        let trend: HTML =
            means.count > 1
            ? "<div class=\"soft\">mean over \(means.count) materializations \(Sparkline(values: means).svg())</div>" : ""
        var gap: HTML = ""
        if let share = skew?.share(view: item.view.definition.name, feature: feature.name) {
            gap = "<div class=\"soft\">differs from training in \(Format.fixed(share * 100, 1)) % of sampled reads</div>"
        }
        return """
            <div class="panel" id="\(feature.name)"><b>\(feature.name)</b> <span class="mono soft">\(feature.type.rawValue)</span>\
            <div class="soft">\(feature.description)</div>\(FeaturePages.picture(latest))\
            <div class="measures">\(numbers)</div>\(trend)\(gap)</div>
            """
    }

    private static func aside(_ rows: [JSONValue]) -> HTML {
        if rows.isEmpty { return "" }
        let table = Piece.table(
            ["When", "Suite", "Expectations", "Row"],
            rows.map { row -> [HTML] in
                let names = (row["expectations"]?.array ?? []).compactMap(\.string)
                return [
                    "\(row["at"]?.string ?? "")", "\(row["suite"]?.string ?? "")",
                    Piece.cut(names.map { $0.replacing("expect_", with: "") }.joined(separator: ", ")),
                    "<span class=\"mono\">\(row["row"]?.text() ?? "")</span>",
                ]
            }, empty: "")
        return "<h2>In quarantine</h2>\(table)"
    }
}
