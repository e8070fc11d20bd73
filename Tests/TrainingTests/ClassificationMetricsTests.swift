import AerieCore
import Testing
import Training

/// Measures against values computed by hand and by scikit-learn 1.9.1.
@Suite struct ClassificationMetricsTests {
    /// 200 rows with many ties: the same generator has been written for scikit-learn.
    static let rows: (scores: [Double], labels: [Bool]) = {
        var state: UInt64 = 12345
        func next() -> Double {
            state = (state * 1_103_515_245 + 12345) % 2_147_483_648
            return Double(state) / 2_147_483_648
        }
        var scores: [Double] = []
        var labels: [Bool] = []
        for _ in 0..<200 {
            let (u, v) = (next(), next())
            let score = (u * 100).rounded() / 100
            scores.append(score)
            labels.append(v < score * score)
        }
        return (scores, labels)
    }()

    private func near(_ a: Double?, _ b: Double, _ tolerance: Double = 1e-12) -> Bool {
        a.map { abs($0 - b) <= tolerance } ?? false
    }

    @Test("The area under the ROC curve counts a tie one half") func ties() {
        // Pairs of positive and negative: 0.5 = 0.5 counts a half, all others are won: 3.5 of 4.
        #expect(
            ClassificationMetrics.rocAUC(scores: [0.9, 0.5, 0.5, 0.1], labels: [true, true, false, false]) == 0.875)
        #expect(ClassificationMetrics.rocAUC(scores: [1, 1, 1], labels: [true, false, false]) == 0.5)
        #expect(ClassificationMetrics.rocAUC(scores: [0.1, 0.2], labels: [true, false]) == 0)
    }

    @Test("A measure of one class alone is undefined, not a number that flatters") func oneClass() {
        #expect(ClassificationMetrics.rocAUC(scores: [0.1, 0.2], labels: [true, true]) == nil)
        #expect(ClassificationMetrics.averagePrecision(scores: [0.1], labels: [false]) == nil)
        #expect(ClassificationMetrics.logLoss(probabilities: [], labels: []) == nil)
        #expect(ThresholdChoice.maximumF1(scores: [0.3], labels: [false]) == nil)
        #expect(ClassificationMetrics.rocCurve(scores: [0.3], labels: [false]).isEmpty)
    }

    @Test("All measures equal scikit-learn's on 200 rows with ties") func knownValues() {
        let (scores, labels) = Self.rows
        #expect(labels.count { $0 } == 67)
        #expect(near(ClassificationMetrics.rocAUC(scores: scores, labels: labels), 0.8221299517450342))
        #expect(near(ClassificationMetrics.averagePrecision(scores: scores, labels: labels), 0.7206158608283771))
        let clipped = scores.map { min(max($0, 0.01), 0.99) }
        #expect(near(ClassificationMetrics.logLoss(probabilities: clipped, labels: labels), 0.5444019979958089))
        #expect(near(ClassificationMetrics.brierScore(probabilities: clipped, labels: labels), 0.1873225))
        let matrix = ConfusionMatrix(scores: scores, labels: labels, threshold: 0.5)
        #expect(near(matrix.f1, 0.6428571428571429))
        #expect(near(matrix.precision, 0.5346534653465347))
        #expect(near(matrix.recall, 0.8059701492537313))
        #expect(near(Calibration(probabilities: clipped, labels: labels).expectedError, 0.15765))
        #expect(near(ThresholdChoice.maximumF1(scores: scores, labels: labels)?.f1, 0.684931506849315))
    }

    @Test("The chosen threshold lies half way between the last score taken and the next") func threshold() {
        let chosen = ThresholdChoice.maximumF1(scores: [0.9, 0.8, 0.4, 0.2], labels: [true, true, false, false])
        #expect(chosen?.f1 == 1)
        #expect(near(chosen?.threshold, 0.6))
    }

    @Test("The ROC curve goes from corner to corner and its area is the AUC") func curve() {
        let (scores, labels) = Self.rows
        let points = ClassificationMetrics.rocCurve(scores: scores, labels: labels)
        #expect(points.first?.recall == 0)
        #expect(points.last?.recall == 1)
        #expect(points.last?.falsePositiveRate == 1)
        let area = zip(points, points.dropFirst()).reduce(0) {
            $0 + ($1.1.falsePositiveRate - $1.0.falsePositiveRate) * ($1.1.recall + $1.0.recall) / 2
        }
        #expect(near(area, 0.8221299517450342))
    }

    @Test("The logistic regression finds scikit-learn's weights") func logistic() throws {
        let (scores, labels) = Self.rows
        let rows = LabelledRows(
            featureNames: ["score", "position"], values: scores.enumerated().flatMap { [$1, Double($0 % 7)] },
            labels: labels.map { $0 ? 1 : 0 })
        let model = try LogisticRegression(rows)
        for (weight, known) in zip(model.weights, [1.38674158, -0.15204104, -0.99308504]) {
            #expect(near(weight, known, 1e-5))
        }
        let first = model.predict(Array(rows.values.prefix(6)))
        for (probability, known) in zip(first, [0.52321988, 0.51703771, 0.31469188]) {
            #expect(near(probability, known, 1e-6))
        }
    }

    @Test("A category becomes indicators, and what training never saw counts for nothing") func categories() throws {
        let values: [Double] = [0, 0, 0, 1, 1, 1, 2, 2, 2]
        let rows = LabelledRows(
            featureNames: ["c"], values: values, labels: [0, 0, 1, 1, 1, 1, 0, 0, 0], categoricalFeatures: [0])
        let model = try LogisticRegression(rows)
        #expect(model.weights.count == 4)
        let scores = model.predict([0, 1, 2, 9])
        #expect(scores[1] > scores[3] && scores[3] > scores[2])
    }

    @Test("A baseline on one class is refused") func refused() {
        #expect(throws: AerieError.self) {
            _ = try LogisticRegression(LabelledRows(featureNames: ["a"], values: [1, 2], labels: [1, 1]))
        }
    }
}
