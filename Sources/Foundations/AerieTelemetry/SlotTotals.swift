/// What was counted of one predictor and model version since the process began.
public struct SlotTotals: Hashable, Sendable {
    /// How often, and how long in all.
    public struct Part: Hashable, Sendable {
        public var count = 0
        public var nanoseconds = 0

        mutating func add(_ histogram: LatencyHistogram) {
            count += histogram.count
            nanoseconds += histogram.sumNanoseconds
        }
    }

    /// Whole requests that were answered, and those that were not.
    public var success = Part()
    public var failure = Part()
    /// Calls of the model that gave an answer, one for each request.
    public var model = Part()
    /// Reading requests and writing answers, of the requests whose stages are measured. In nanoseconds.
    public var preprocessNanoseconds = 0
    public var serializeNanoseconds = 0
    public var rows = 0
    /// The second of the epoch in which the last request was answered.
    public var lastSecond = 0

    public init() {}
}

extension LoopMetrics {
    /// Adds what this loop has counted to the totals of each slot. Any thread.
    public func add(to totals: inout [Int: SlotTotals]) {
        let (series, counts) = read()
        for count in counts where count.slot >= 0 {
            totals[count.slot, default: SlotTotals()].rows += count.rows
            let last = max(totals[count.slot]?.lastSecond ?? 0, count.lastSecond)
            totals[count.slot]?.lastSecond = last
        }
        for entry in readStages() {
            switch entry.stage {
            case .preprocess:
                totals[entry.slot, default: SlotTotals()].preprocessNanoseconds += entry.histogram.sumNanoseconds
            case .postprocess, .serialize:
                totals[entry.slot, default: SlotTotals()].serializeNanoseconds += entry.histogram.sumNanoseconds
            default: break
            }
        }
        for entry in series where entry.slot >= 0 {
            // The first code of a service is its success.
            let isSuccess = entry.codeIndex == 0
            switch entry.part {
            case .server where isSuccess: totals[entry.slot, default: SlotTotals()].success.add(entry.histogram)
            case .server: totals[entry.slot, default: SlotTotals()].failure.add(entry.histogram)
            case .client where isSuccess: totals[entry.slot, default: SlotTotals()].model.add(entry.histogram)
            case .client, .features: break
            }
        }
    }
}
