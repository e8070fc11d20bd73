import AerieCore
import AerieJSON
import AerieResources
import Features

/// Materializations: those at work, with their progress, and those that have ended.
enum MaterializationPages {
    static func page(_ runs: [MaterializationRun], schedules: [Resource], now: Timestamp) -> ConsolePage {
        let plans = schedules.map { schedule -> [HTML] in
            let status = schedule.status ?? [:]
            let views = schedule.spec["featureViews"]?.array?.compactMap(\.string) ?? []
            return [
                "<b>\(Piece.link(ResourcePages.path(schedule.key), schedule.metadata.name))</b>",
                "<span class=\"mono\">\(schedule.spec["schedule"]?.string ?? "")</span>",
                "\(views.isEmpty ? "all" : views.joined(separator: ", "))",
                status["lastResult"]?.string.map { Piece.pill($0) } ?? "<span class=\"soft\">never</span>",
                "\(status["lastRun"]?.string ?? "")", "\(status["nextRun"]?.string ?? "")",
                Piece.cut(status["lastError"]?.string ?? ""),
            ]
        }
        let body: HTML = """
            \(FeaturePages.bar)\(Piece.live("runs", every: 2, table(runs, now: now)))<h2>Schedules</h2>
            \(Piece.table(["Schedule", "When", "Views", "Last", "Last run", "Next run", "Why"], plans,
                empty: "No schedules: apply a <code>MaterializationSchedule</code>"))
            """
        return ConsolePage(
            title: "Materializations", section: .features, crumbs: [("Features", "/console/features")],
            subtitle: "From the tables into the online store.", body: body)
    }

    static func table(_ runs: [MaterializationRun], now: Timestamp) -> HTML {
        let rows = runs.prefix(100).map { run -> [HTML] in
            let took = (run.ended ?? now.milliseconds * 1000) / 1000 - run.began / 1000
            let share = run.total > 0 ? Int(run.rows * 100 / run.total) : run.state == .succeeded ? 100 : 0
            let tone = run.state == .failed ? "bad" : run.state == .succeeded ? "good" : ""
            let cancel =
                run.state == .running
                ? Piece.action("/console/features/runs/\(urlEncoded(run.id))/cancel", "Cancel", style: "danger") : ""
            return [
                "<b>\(run.view)</b>", Piece.pill(run.state.rawValue),
                """
                <div class="share"><div class="progress \(tone)"><i style="width:\(share)%"></i></div>\
                <span class="soft">\(Int(run.rows))/\(Int(run.total))</span></div>
                """,
                "\(FeatureTime.text(run.from)) – \(FeatureTime.text(run.to))", "\(run.trigger)",
                "\(Format.ago(Timestamp(milliseconds: run.began / 1000), now: now))",
                Piece.value(took, "\(Format.duration(milliseconds: took))"),
                Piece.cut(run.error ?? run.notes.joined(separator: "; ")), cancel,
            ]
        }
        return Piece.table(
            ["View", "State", "Progress", "Range", "Begun by", "Began", "#Took", "Notes", ""], rows,
            empty: "None since the start: <code>aerie features materialize</code>")
    }
}
