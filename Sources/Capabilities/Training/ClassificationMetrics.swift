#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How good the scores of a binary classifier are, by the usual definitions.
///
/// `scores` are larger for what is more likely positive; `labels` are true for positives; both have the same length
/// (what is beyond the shorter one is left out). A measure that is undefined (only one class, no rows) is `nil`.
/// Sorting dominates: O(n log n).
public enum ClassificationMetrics {
    /// The area under the ROC curve: the probability that a random positive scores above a random negative, where a
    /// tie counts one half (Mann–Whitney U; Fawcett, "An introduction to ROC analysis", 2006).
    public static func rocAUC(scores: [Double], labels: [Bool]) -> Double? {
        var lower = 0.0  // Negatives with a smaller score than the present group.
        var wins = 0.0
        var positives = 0.0
        for group in groups(scores, labels).reversed() {
            wins += group.positives * (lower + group.negatives / 2)
            lower += group.negatives
            positives += group.positives
        }
        guard positives > 0, lower > 0 else { return nil }
        return wins / (positives * lower)
    }

    /// Average precision: the sum over distinct scores, from high to low, of the gain in recall times the precision
    /// there, without interpolation.
    public static func averagePrecision(scores: [Double], labels: [Bool]) -> Double? {
        let groups = groups(scores, labels)
        let total = groups.reduce(0) { $0 + $1.positives }
        guard total > 0 else { return nil }
        var (seen, hits, sum) = (0.0, 0.0, 0.0)
        for group in groups {
            seen += group.positives + group.negatives
            hits += group.positives
            sum += group.positives / total * (hits / seen)
        }
        return sum
    }

    /// The mean of −log(probability given to what happened), probabilities kept 2.2e-16 from 0 and 1.
    public static func logLoss(probabilities: [Double], labels: [Bool]) -> Double? {
        let count = min(probabilities.count, labels.count)
        guard count > 0 else { return nil }
        var sum = 0.0
        for row in 0..<count {
            let p = min(max(probabilities[row], .ulpOfOne), 1 - .ulpOfOne)
            sum -= labels[row] ? log(p) : log1p(-p)
        }
        return sum / Double(count)
    }

    /// The mean squared difference of probability and outcome (Brier, 1950); 0 is perfect.
    public static func brierScore(probabilities: [Double], labels: [Bool]) -> Double? {
        let count = min(probabilities.count, labels.count)
        guard count > 0 else { return nil }
        var sum = 0.0
        for row in 0..<count {
            let error = probabilities[row] - (labels[row] ? 1 : 0)
            sum += error * error
        }
        return sum / Double(count)
    }

    /// Points of the ROC curve from (0, 0) to (1, 1), one a distinct score; empty if there is only one class.
    public static func rocCurve(scores: [Double], labels: [Bool]) -> [(falsePositiveRate: Double, recall: Double)] {
        let groups = groups(scores, labels)
        let positives = groups.reduce(0) { $0 + $1.positives }
        let negatives = groups.reduce(0) { $0 + $1.negatives }
        guard positives > 0, negatives > 0 else { return [] }
        var points = [(falsePositiveRate: 0.0, recall: 0.0)]
        var (hits, alarms) = (0.0, 0.0)
        for group in groups {
            hits += group.positives
            alarms += group.negatives
            points.append((alarms / negatives, hits / positives))
        }
        return points
    }

    /// Points of the precision-recall curve by growing recall, one a distinct score; empty without positives.
    public static func precisionRecallCurve(scores: [Double], labels: [Bool]) -> [(recall: Double, precision: Double)] {
        let groups = groups(scores, labels)
        let positives = groups.reduce(0) { $0 + $1.positives }
        guard positives > 0 else { return [] }
        var (seen, hits) = (0.0, 0.0)
        return groups.map { group in
            seen += group.positives + group.negatives
            hits += group.positives
            return (hits / positives, hits / seen)
        }
    }

    struct Group {
        var score: Double
        var positives = 0.0
        var negatives = 0.0
    }

    /// The rows gathered by equal score, highest score first; rows without a score (NaN) come last.
    static func groups(_ scores: [Double], _ labels: [Bool]) -> [Group] {
        let keyed = scores.map { $0.isNaN ? -Double.infinity : $0 }
        let order = (0..<min(scores.count, labels.count)).sorted { keyed[$0] > keyed[$1] }
        var groups: [Group] = []
        for row in order {
            if groups.last?.score != keyed[row] { groups.append(Group(score: keyed[row])) }
            if labels[row] { groups[groups.count - 1].positives += 1 } else { groups[groups.count - 1].negatives += 1 }
        }
        return groups
    }
}
