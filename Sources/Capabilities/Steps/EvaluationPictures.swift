import Training

/// An evaluation in pictures: SVG, readable on a light and on a dark page.
struct EvaluationPictures {
    let report: EvaluationReport
    let baseline: EvaluationReport?

    private static let style = """
        <style>text{font:12px system-ui,sans-serif;fill:#6b7280}.title{font-weight:600;font-size:13px}\
        .axis{stroke:#9ca3af;fill:none}.grid{stroke:#9ca3af;stroke-opacity:.25;fill:none}\
        .model{stroke:#2563eb;stroke-width:2;fill:none}\
        .base{stroke:#d97706;stroke-width:1.5;fill:none;stroke-dasharray:5 3}\
        .ideal{stroke:#9ca3af;stroke-dasharray:2 3;fill:none}.big{font-size:20px;font-weight:600}</style>
        """

    func roc() -> String {
        func points(_ report: EvaluationReport) -> [(Double, Double)] {
            ClassificationMetrics.rocCurve(scores: report.scores, labels: report.labels).map {
                ($0.falsePositiveRate, $0.recall)
            }
        }
        return chart(
            "ROC curve", x: "false positive rate", y: "recall", points, ideal: true,
            legend: { "AUC \(Self.short($0.auc))" })
    }

    func precisionRecall() -> String {
        func points(_ report: EvaluationReport) -> [(Double, Double)] {
            ClassificationMetrics.precisionRecallCurve(scores: report.scores, labels: report.labels).map {
                ($0.recall, $0.precision)
            }
        }
        return chart(
            "Precision and recall", x: "recall", y: "precision", points, ideal: false,
            legend: { "average precision \(Self.short($0.averagePrecision))" })
    }

    func calibration() -> String {
        func points(_ report: EvaluationReport) -> [(Double, Double)] {
            report.calibration.bins.filter { $0.count > 0 }.map { ($0.meanProbability, $0.positiveRate) }
        }
        return chart(
            "Calibration", x: "predicted probability", y: "share of positives", points, ideal: true,
            legend: { "ECE \(Self.short($0.calibration.expectedError))" })
    }

    func confusion() -> String {
        let matrix = report.confusion
        let cells = [
            (matrix.trueNegatives, "true negatives", 110, 50, "#2563eb"),
            (matrix.falsePositives, "false positives", 250, 50, "#dc2626"),
            (matrix.falseNegatives, "false negatives", 110, 150, "#dc2626"),
            (matrix.truePositives, "true positives", 250, 150, "#2563eb"),
        ]
        var out =
            Self.open(width: 410, height: 290)
            + "<text class=\"title\" x=\"110\" y=\"20\">Confusion matrix at threshold "
            + "\(Self.short(report.threshold))</text>"
        for (count, name, x, y, color) in cells {
            let share = Double(count) / Double(max(matrix.count, 1))
            out +=
                "<rect x=\"\(x)\" y=\"\(y)\" width=\"134\" height=\"94\" rx=\"6\" fill=\"\(color)\" "
                    + "fill-opacity=\"\(0.08 + 0.3 * share)\"/>"
            out += "<text class=\"big\" x=\"\(x + 67)\" y=\"\(y + 46)\" text-anchor=\"middle\">\(count)</text>"
            out += "<text x=\"\(x + 67)\" y=\"\(y + 68)\" text-anchor=\"middle\">\(name)</text>"
        }
        for (text, x, y) in [
            ("actual 0", 55, 100), ("actual 1", 55, 200), ("predicted 0", 177, 265), ("predicted 1", 317, 265),
        ] {
            out += "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"middle\">\(text)</text>"
        }
        return out + "</svg>\n"
    }

    // MARK: Drawing

    private func chart(
        _ title: String, x: String, y: String, _ points: (EvaluationReport) -> [(Double, Double)], ideal: Bool,
        legend: (EvaluationReport) -> String
    ) -> String {
        var out = Self.open(width: 420, height: 340)
        out += "<text class=\"title\" x=\"56\" y=\"20\">\(title)</text>"
        for tick in stride(from: 0.0, through: 1.0, by: 0.25) {
            let (px, py) = Self.place((tick, tick))
            out += "<path class=\"grid\" d=\"M56 \(py)H396M\(px) 36V286\"/>"
            out +=
                "<text x=\"50\" y=\"\(py + 4)\" text-anchor=\"end\">\(tick)</text><text x=\"\(px)\" y=\"302\" "
                    + "text-anchor=\"middle\">\(tick)</text>"
        }
        out += "<path class=\"axis\" d=\"M56 36V286H396\"/>"
        out += "<text x=\"226\" y=\"326\" text-anchor=\"middle\">\(x)</text>"
        out += "<text x=\"14\" y=\"161\" text-anchor=\"middle\" transform=\"rotate(-90 14 161)\">\(y)</text>"
        if ideal { out += "<path class=\"ideal\" d=\"M56 286L396 36\"/>" }
        if let baseline { out += Self.line(points(baseline), "base") }
        out += Self.line(points(report), "model")
        let low = ideal ? 250 : 230
        out +=
            "<path class=\"model\" d=\"M190 \(low)h22\"/><text x=\"218\" y=\"\(low + 4)\">model, \(legend(report))"
                + "</text>"
        if let baseline {
            out +=
                "<path class=\"base\" d=\"M190 \(low + 20)h22\"/><text x=\"218\" y=\"\(low + 24)\">logistic, "
                    + "\(legend(baseline))</text>"
        }
        return out + "</svg>\n"
    }

    /// At most 400 points; more cannot be seen.
    private static func line(_ points: [(Double, Double)], _ kind: String) -> String {
        let step = max(1, points.count / 400)
        let kept = points.indices.filter { $0 % step == 0 || $0 == points.count - 1 }
        let path = kept.enumerated().map { at, index -> String in
            let (x, y) = place(points[index])
            return "\(at == 0 ? "M" : "L")\(x) \(y)"
        }.joined()
        return path.isEmpty ? "" : "<path class=\"\(kind)\" d=\"\(path)\"/>"
    }

    private static func place(_ point: (Double, Double)) -> (Double, Double) {
        (((56 + 340 * point.0) * 10).rounded() / 10, ((286 - 250 * point.1) * 10).rounded() / 10)
    }

    private static func open(width: Int, height: Int) -> String {
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" "
            + "height=\"\(height)\" role=\"img\">\(style)"
    }

    static func short(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "–" }
        return "\((value * 1000).rounded() / 1000)"
    }
}
