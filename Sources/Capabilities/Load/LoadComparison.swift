public import AerieJSON

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Two targets under the same load, in turns on the same machine, so that what disturbs one disturbs the other.
public struct LoadComparison: Sendable {
    /// A round's results: this one, the other.
    public private(set) var rounds: [(first: LoadResult, second: LoadResult)] = []

    public init() {}

    public mutating func add(_ first: LoadResult, _ second: LoadResult) { rounds.append((first, second)) }

    /// Whether the first target comes first in this round: the order turns with each, so that neither has the warmer
    /// machine.
    public static func firstLeads(round: Int) -> Bool { round.isMultiple(of: 2) }

    public struct Ratio: Sendable, Equatable {
        /// The geometric mean of first / second over the rounds.
        public var mean: Double
        /// 95 %, by Student's t on the logarithms; infinite with fewer than two rounds.
        public var low: Double
        public var high: Double
    }

    public var throughput: Ratio { Self.ratio(rounds.map { ($0.first.perSecond, $0.second.perSecond) }) }
    public func latency(_ q: Double) -> Ratio {
        Self.ratio(rounds.map { ($0.first.latency.quantile(q), $0.second.latency.quantile(q)) })
    }

    static func ratio(_ pairs: [(Double, Double)]) -> Ratio {
        let logs = pairs.filter { $0.0 > 0 && $0.1 > 0 && $0.0.isFinite && $0.1.isFinite }.map { log($0.0 / $0.1) }
        guard !logs.isEmpty else { return Ratio(mean: .nan, low: .nan, high: .nan) }
        let mean = logs.reduce(0, +) / Double(logs.count)
        guard logs.count > 1 else { return Ratio(mean: exp(mean), low: 0, high: .infinity) }
        let variance = logs.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(logs.count - 1)
        let half = studentT95(logs.count - 1) * (variance / Double(logs.count)).squareRoot()
        return Ratio(mean: exp(mean), low: exp(mean - half), high: exp(mean + half))
    }

    /// The 97.5 % quantile of Student's t: tables for few degrees of freedom, beyond them the expansion of Cornish and
    /// Fisher from the normal quantile.
    static func studentT95(_ freedom: Int) -> Double {
        let table = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
        if freedom >= 1, freedom <= table.count { return table[freedom - 1] }
        let (z, n) = (1.959964, Double(max(freedom, 1)))
        let cube = z * z * z
        return z + (cube + z) / (4 * n) + (5 * cube * z * z + 16 * cube + 3 * z) / (96 * n * n)
    }

    public func json() -> JSONValue {
        func ratio(_ value: Ratio) -> JSONValue {
            func number(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .null }
            return ["ratio": number(value.mean), "low": number(value.low), "high": number(value.high)]
        }
        return [
            "rounds": .array(rounds.map { ["first": $0.first.json(), "second": $0.second.json()] }),
            "requests_per_second": ratio(throughput), "p50": ratio(latency(0.5)), "p99": ratio(latency(0.99)),
        ]
    }
}
