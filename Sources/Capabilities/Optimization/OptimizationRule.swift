public import AerieCore

/// How the variant to serve is chosen.
///
/// Of the variants that are near enough to the model itself, the one that is best for the goal; among those within
/// `tie` of the best, the one that differs least. It is chosen only if it gains `tie` over the model as it is.
public struct OptimizationRule: Sendable, Hashable {
    public enum Goal: String, Sendable, CaseIterable { case throughput, latency }

    public var goal = Goal.throughput
    /// The least share of rows with the same label, for classifiers.
    public var labelAgreement = 0.99
    /// The greatest difference: of a classifier's probabilities; of a regression in standard deviations.
    public var difference = 0.05
    /// A gain below this share is none: it may be the measurement's.
    public var tie = 0.05

    public init() {}

    /// Why a variant is not near enough; `nil` if it is.
    public func refusal(_ parity: OutputParity) -> String? {
        let difference = parity.labelAgreement == nil ? parity.relativeDifference : parity.maximumDifference
        let unit = parity.labelAgreement == nil ? " deviations" : ""
        if difference > self.difference {
            return "differs by \(Self.short(difference))\(unit), more than \(Self.short(self.difference))"
        }
        if let agreement = parity.labelAgreement, agreement < labelAgreement {
            return "has \(Self.short(agreement * 100)) % of the labels, fewer than \(Self.short(labelAgreement * 100)) %"
        }
        return nil
    }

    /// The greater the better.
    func score(_ speed: VariantSpeed) -> Double { goal == .throughput ? speed.rowsPerSecond : 1 / speed.p99 }

    /// - Returns: the chosen variant; `nil` to stay with the model as it is.
    public func choose(_ variants: [OptimizationReport.Variant]) -> OptimizationReport.Variant? {
        let near = variants.filter { variant in
            guard variant.speed != nil, let parity = variant.parity else { return false }
            return refusal(parity) == nil
        }
        func score(_ variant: OptimizationReport.Variant) -> Double { variant.speed.map { self.score($0) } ?? 0 }
        guard let best = near.map(score).max() else { return nil }
        let tied = near.filter { score($0) >= best * (1 - tie) }
        guard let chosen = tied.min(by: { Self.difference($0) < Self.difference($1) }) else { return nil }
        guard !chosen.isBaseline else { return nil }
        if let baseline = variants.first(where: \.isBaseline), baseline.speed != nil,
            score(chosen) < score(baseline) * (1 + tie)
        { return nil }
        return chosen
    }

    private static func difference(_ variant: OptimizationReport.Variant) -> Double {
        variant.parity?.maximumDifference ?? .infinity
    }

    /// The rule in words, for the report.
    public var words: String {
        let aim = goal == .throughput ? "the most rows a second" : "the lowest P99 of one row"
        return "Of the variants whose answers differ by at most \(Self.short(difference)) (probabilities; for a regression "
            + "standard deviations) and, for a classifier, agree in \(Self.short(labelAgreement * 100)) % of the labels: "
            + "the one with \(aim); of those within \(Self.short(tie * 100)) % of it the one that differs least. It must "
            + "gain \(Self.short(tie * 100)) % over the model as it is served today, if it is."
    }

    /// Three significant digits.
    static func short(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
        if abs(value) >= 1000 { return String(Int(value.rounded())) }
        var scale = 1.0
        while abs(value) * scale < 100, scale < 1e12 { scale *= 10 }
        let rounded = (value * scale).rounded() / scale
        return rounded == rounded.rounded() ? String(Int(rounded)) : "\(rounded)"
    }
}
