/// How LIME sees a column: bins, each with its share of the training rows and how the numbers in it are spread; one bin
/// for each value of a categorical column.
struct BinnedColumn: Sendable {
    struct Bin: Sendable {
        var share: Double
        var minimum: Double
        var maximum: Double
        var mean: Double
        var deviation: Double
    }

    /// The borders between bins, ascending; a number belongs to the first bin whose border it does not exceed. Empty
    /// for a categorical column.
    let borders: [Double]
    let bins: [Bin]
    let isCategorical: Bool

    /// Quartiles, or the values themselves. NaN has no part in it.
    init(_ column: [Double], isCategorical: Bool) {
        let sorted = column.filter { !$0.isNaN }.sorted()
        self.isCategorical = isCategorical
        var bins: [Bin] = []
        if isCategorical {
            borders = []
            for value in sorted where bins.last?.mean != value {
                bins.append(Bin(share: 0, minimum: value, maximum: value, mean: value, deviation: 0))
            }
            for value in sorted {
                if let place = bins.firstIndex(where: { $0.mean == value }) { bins[place].share += 1 }
            }
        } else {
            let quartiles = [0.25, 0.5, 0.75].map { Self.quantile(sorted, $0) }
            let borders = quartiles.enumerated().filter { $0 == 0 || quartiles[$0 - 1] != $1 }.map(\.element)
            self.borders = borders
            let edges = [sorted.first ?? 0] + borders + [sorted.last ?? 0]
            for place in 0...borders.count {
                let inside = sorted.filter { value in
                    (place == 0 || value > borders[place - 1]) && (place == borders.count || value <= borders[place])
                }
                let mean = inside.isEmpty ? 0 : inside.reduce(0, +) / Double(inside.count)
                let spread = inside.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(inside.count, 1))
                bins.append(
                    Bin(
                        share: Double(inside.count), minimum: edges[place], maximum: edges[place + 1], mean: mean,
                        deviation: spread.squareRoot() + 1e-11))
            }
        }
        let total = max(1, bins.reduce(0) { $0 + $1.share })
        for place in bins.indices { bins[place].share /= total }
        self.bins = bins
    }

    /// Between the two nearest numbers, in proportion.
    private static func quantile(_ sorted: [Double], _ part: Double) -> Double {
        guard let last = sorted.indices.last else { return 0 }
        let place = Double(last) * part
        let below = Int(place)
        let above = min(below + 1, last)
        return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }

    /// The bin of a number; -1 for a missing one, or a category that no training row has.
    func bin(of value: Double) -> Int {
        if value.isNaN { return -1 }
        if isCategorical { return bins.firstIndex { $0.mean == value } ?? -1 }
        return borders.firstIndex { value <= $0 } ?? borders.count
    }

    /// A bin by the shares, and a number in it: a normal draw of the bin's own mean and spread that stays inside.
    func draw(_ random: inout SplitMix) -> (bin: Int, value: Double) {
        var ticket = random.unit()
        var chosen = bins.lastIndex { $0.share > 0 } ?? -1
        for (place, bin) in bins.enumerated() {
            if ticket < bin.share {
                chosen = place
                break
            }
            ticket -= bin.share
        }
        guard chosen >= 0 else { return (-1, .nan) }
        let bin = bins[chosen]
        guard !isCategorical, bin.minimum < bin.maximum else { return (chosen, bin.minimum) }
        for _ in 0..<1000 {
            let value = bin.mean + bin.deviation * random.normal()
            if value >= bin.minimum, value <= bin.maximum { return (chosen, value) }
        }
        return (chosen, min(max(bin.mean, bin.minimum), bin.maximum))
    }

    /// What a bin says of a column, such as `0.10 < age <= 0.35`.
    func label(_ bin: Int, _ name: String) -> String {
        guard bin >= 0 else { return "\(name) is missing" }
        if isCategorical { return "\(name) = \(Self.text(bins[bin].mean))" }
        if borders.isEmpty { return name }
        if bin == 0 { return "\(name) <= \(Self.text(borders[0]))" }
        if bin == borders.count { return "\(name) > \(Self.text(borders[bin - 1]))" }
        return "\(Self.text(borders[bin - 1])) < \(name) <= \(Self.text(borders[bin]))"
    }

    /// Two digits behind the point for small numbers, none for whole ones.
    static func text(_ value: Double) -> String {
        if let whole = Int(exactly: value), abs(value) < 1e15 { return String(whole) }
        guard abs(value) < 1e12 else { return "\(value)" }
        let hundredths = Int((value * 100).rounded())
        let rest = abs(hundredths % 100)
        return (hundredths < 0 ? "-" : "") + "\(abs(hundredths) / 100)." + (rest < 10 ? "0" : "") + "\(rest)"
    }
}
