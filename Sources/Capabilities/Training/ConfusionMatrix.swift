/// What a threshold makes of scores: predicted positive where the score is at least the threshold.
public struct ConfusionMatrix: Sendable, Hashable {
    public var truePositives: Int
    public var falsePositives: Int
    public var trueNegatives: Int
    public var falseNegatives: Int

    public init(truePositives: Int, falsePositives: Int, trueNegatives: Int, falseNegatives: Int) {
        self.truePositives = truePositives
        self.falsePositives = falsePositives
        self.trueNegatives = trueNegatives
        self.falseNegatives = falseNegatives
    }

    public init(scores: [Double], labels: [Bool], threshold: Double) {
        self.init(truePositives: 0, falsePositives: 0, trueNegatives: 0, falseNegatives: 0)
        for (score, label) in zip(scores, labels) {
            switch (score >= threshold, label) {
            case (true, true): truePositives += 1
            case (true, false): falsePositives += 1
            case (false, false): trueNegatives += 1
            case (false, true): falseNegatives += 1
            }
        }
    }

    public var count: Int { truePositives + falsePositives + trueNegatives + falseNegatives }
    /// 0 where nothing was predicted positive.
    public var precision: Double { Self.ratio(truePositives, truePositives + falsePositives) }
    /// 0 where nothing is positive.
    public var recall: Double { Self.ratio(truePositives, truePositives + falseNegatives) }
    public var accuracy: Double { Self.ratio(truePositives + trueNegatives, count) }
    /// The harmonic mean of precision and recall, 2TP / (2TP + FP + FN); 0 without any positive.
    public var f1: Double { Self.ratio(2 * truePositives, 2 * truePositives + falsePositives + falseNegatives) }

    private static func ratio(_ part: Int, _ whole: Int) -> Double { whole > 0 ? Double(part) / Double(whole) : 0 }
}

/// Chooses the threshold at which scores become decisions.
public enum ThresholdChoice {
    /// The threshold with the largest F1; of equals the one with the larger recall. It lies half way between the
    /// lowest score that is taken and the next one below, so that a score that differs by rounding decides the same.
    /// Choose on validation rows and keep it for the rest: on the rows that are reported it would flatter.
    /// - Returns: `nil` if there is no positive row.
    public static func maximumF1(scores: [Double], labels: [Bool]) -> (threshold: Double, f1: Double)? {
        let groups = ClassificationMetrics.groups(scores, labels)
        let positives = groups.reduce(0) { $0 + $1.positives }
        guard positives > 0 else { return nil }
        var best = (threshold: Double.infinity, f1: -1.0)
        var (seen, hits) = (0.0, 0.0)
        for (index, group) in groups.enumerated() {
            seen += group.positives + group.negatives
            hits += group.positives
            let f1 = 2 * hits / (seen + positives)
            guard f1 >= best.f1 else { continue }
            let below = index + 1 < groups.count ? groups[index + 1].score : group.score
            best = (below.isFinite ? group.score - (group.score - below) / 2 : group.score, f1)
        }
        return best
    }
}
