import Synchronization

/// Where the time of a deployment's requests goes: a histogram for each stage, since the process began.
public struct StageTotals: Sendable, Hashable {
    /// By the stage's number.
    private var histograms = [LatencyHistogram](repeating: LatencyHistogram(), count: RequestStage.allCases.count)

    public init() {}

    public subscript(stage: RequestStage) -> LatencyHistogram {
        get { histograms[stage.rawValue] }
        set { histograms[stage.rawValue] = newValue }
    }

    /// Requests that were measured: each comes through the last stage.
    public var count: Int { self[.serialize].count }
}

extension MetricsRegistry {
    /// The stages of a deployment's requests, of all its predictors and versions together. A scan of all counters.
    public func stages(namespace: String = "default", deployment: String) -> StageTotals {
        let (loops, slotLabels) = state.withLock { ($0.loops, $0.slotLabels) }
        var totals = StageTotals()
        for loop in loops {
            for entry in loop.readStages() {
                guard let labels = slotLabels?(entry.slot), labels.namespace == namespace,
                    labels.deployment == deployment
                else { continue }
                totals[entry.stage].merge(entry.histogram)
            }
        }
        return totals
    }
}

/// The stages of all loops for a scrape, merged by the text of their labels.
struct StageSnapshot {
    private var series: [String: LatencyHistogram] = [:]

    init(_ loops: [[LoopMetrics.Stage]], labels: (Int) -> SlotLabels?) {
        for entry in loops.joined() {
            guard let slot = labels(entry.slot) else { continue }
            let text = Exposition.labels([
                ("deployment_name", slot.deployment), ("predictor_name", slot.predictor),
                ("predictor_version", slot.predictorVersion), ("stage", entry.stage.label),
            ])
            series[text, default: LatencyHistogram()].merge(entry.histogram)
        }
    }

    func write(to out: inout String) {
        guard !series.isEmpty else { return }
        let name = "aerie_inference_stage_seconds"
        out += Exposition.header(name, "The stages of answered requests, of those that are measured", "histogram")
        for (labels, histogram) in series.sorted(by: { $0.key < $1.key }) {
            Exposition.histogram(name, labels, histogram, to: &out)
        }
    }
}
