import AerieCore
import Features

/// Where what models are served differs from what they would be trained on.
enum SkewPage {
    static func page(_ report: SkewReport?, sampled: Int, now: Timestamp) -> ConsolePage {
        let compare = Piece.action("/console/features/skew/compare", "Compare now", style: "primary")
        let rows = (report?.features ?? []).map { line -> [HTML] in
            let share = line.compared > 0 ? Double(line.different) / Double(line.compared) : 0
            let tone = share > 0.1 ? "bad" : share > 0.01 ? "warn" : "good"
            return [
                "<b>\(line.feature)</b>", "\(line.view)", "\(Int(line.compared))", "\(Int(line.different))",
                Piece.value(Int64(share * 1e6), Piece.pill("\(Format.fixed(share * 100, 2)) %", tone: tone)),
                "\(line.meanOnline.map { Format.number($0) } ?? "–")", "\(line.meanOffline.map { Format.number($0) } ?? "–")",
                Piece.cut(line.example ?? ""),
            ]
        }
        let when: HTML =
            report.map { "Compared \(Format.ago(Timestamp(milliseconds: $0.at / 1000), now: now)), \(Int($0.reads)) reads." }
            ?? "Nothing has been compared yet."
        let problems = (report?.problems ?? []).map { problem -> HTML in
            "<p class=\"soft\">Not compared: \(problem)</p>"
        }.joined("")
        let body: HTML = """
            \(FeaturePages.bar)<div class="facts"><span class="soft">\(when) \(sampled) sampled reads are kept.</span>\
            <span class="grow"></span>\(compare)</div>
            \(Piece.table(["Feature", "View", "#Compared", "#Different", "Share", "#Mean online", "#Mean offline", "Example"],
                rows, empty: "No read has been compared: reads are sampled as they come."))\(problems)
            """
        return ConsolePage(
            title: "Training/serving skew", section: .features, crumbs: [("Features", "/console/features")],
            subtitle: "A sample of online reads beside the offline value at the same instant.", body: body)
    }
}
