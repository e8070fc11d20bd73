import AerieCore
public import Explain
import Serving

/// Why a deployed model answers one row as it does.
enum ExplanationPage {
    static func path(_ name: String) -> String { DeploymentPages.path(name) + "/explain" }

    /// - Parameters:
    ///   - row: as it was written into the form.
    ///   - explanation: `nil` before a row was written, or if it was refused.
    static func page(
        _ state: DeploymentState, predictor: DeploymentState.Predictor, row: String, explanation: Explanation?,
        output: Int, problem: String?
    ) -> ConsolePage {
        let names = predictor.featureNames
        let hint = names.isEmpty ? "numbers in the model's order" : names.prefix(12).joined(separator: ", ")
            + (names.count > 12 ? ", …" : "")
        let notice: HTML = problem.map { "<div class=\"notice bad\">\($0)</div>" } ?? ""
        let choices = state.predictors.filter { !$0.isShadow }.map { choice -> HTML in
            let selected: HTML = choice.name == predictor.name ? " selected" : ""
            return "<option\(selected)>\(choice.name)</option>"
        }
        let body: HTML = """
            <form class="panel" method="get" action="\(path(state.name))">
            <label>A row, separated by commas <span class="soft">(\(hint)); nothing between two commas is a missing \
            value</span><br><input name="row" value="\(row)" size="80" required></label>
            <label>Predictor <select name="predictor">\(choices)</select></label>
            <button>Explain</button></form>
            \(notice)\(explanation.map { result(state, predictor, row, $0, output: output) })
            """
        return ConsolePage(
            title: "Why", section: .deployments,
            crumbs: [("Deployments", "/console/deployments"), (state.name, DeploymentPages.path(state.name))],
            subtitle: "What each column did to a prediction of \(state.name).", body: body)
    }

    private static func result(
        _ state: DeploymentState, _ predictor: DeploymentState.Predictor, _ row: String, _ explanation: Explanation,
        output: Int
    ) -> HTML {
        let outputs = explanation.attribution.outputCount
        let tabs = outputs < 2 ? [] : (0..<min(outputs, 40)).map { place -> HTML in
            let address = "\(path(state.name))?row=\(urlEncoded(row))&predictor=\(urlEncoded(predictor.name))"
                + "&output=\(place)"
            return place == output ? "<b>\(place)</b>" : Piece.link(address, "\(place)")
        }
        let picture = ContributionPicture(explanation, output: output)
        let rows = picture.all.map { bar -> [HTML] in ["\(bar.label)", "\(bar.value)"] }
        let predictions = explanation.predictions.prefix(40).map { Format.number($0) }.joined(separator: ", ")
        let choice: HTML = tabs.isEmpty ? "" : "<div class=\"sub\">Output: \(tabs.joined(" · "))</div>"
        return """
            <h2>\(explanation.method.rawValue)</h2>
            <div class="sub">The model answers <b>\(predictions)</b>. \(unit(explanation))</div>\(choice)
            <div class="panel">\(picture.svg())</div>
            \(Piece.table(["Column", "#Contribution"], rows, empty: "no columns"))
            """
    }

    private static func unit(_ explanation: Explanation) -> String {
        switch explanation.method {
        case .treeShap:
            explanation.isClassifier
                ? "Contributions are log-odds, before the link function."
                : "Contributions are in the units of the sum of trees."
        case .kernelShap:
            explanation.settings.link == .logit
                ? "Contributions are log-odds of the answer." : "Contributions are in the units of the answer."
        case .lime: "Contributions are slopes of a line through the neighbourhood; they do not add up."
        }
    }
}

extension ContributionPicture {
    /// One output of an explanation's first row.
    public init(_ explanation: Explanation, output: Int) {
        let values = explanation.attribution.values(row: 0, output: output)
        let bars = values.enumerated().map {
            Bar(label: explanation.label(row: 0, feature: $0.offset), value: $0.element)
        }
        self.init(
            title: "what each column did", base: explanation.attribution.base(row: 0, output: output), bars: bars,
            isSum: explanation.method != .lime)
    }
}
