import Synchronization

extension MetricsRegistry {
    /// Everything as the Prometheus text format 0.0.4 (`text/plain; version=0.0.4; charset=utf-8`), families and series
    /// in a fixed order. Takes no lock of the data plane; call it off the event loops.
    public func exposition() -> String {
        let snapshot = state.withLock { $0 }
        var out = ""
        let merged = LoopSnapshot(snapshot.loops.map { $0.read() }, labels: { snapshot.slotLabels?($0) })
        merged.write(to: &out)
        StageSnapshot(snapshot.loops.map { $0.readStages() }, labels: { snapshot.slotLabels?($0) }).write(to: &out)
        for (name, family) in snapshot.families.sorted(by: { $0.key < $1.key }) {
            out += Exposition.header(name, family.help, family.type)
            for (labels, instrument) in family.instruments.sorted(by: { $0.labels < $1.labels }) {
                switch instrument {
                case .counter(let counter): out += "\(name)\(labels) \(counter.value)\n"
                case .gauge(let gauge): out += "\(name)\(labels) \(Exposition.number(gauge.value))\n"
                case .reading(let read): out += "\(name)\(labels) \(Exposition.number(read()))\n"
                case .readings(let read):
                    for reading in read() {
                        out += "\(name)\(Exposition.labels(reading.labels)) \(Exposition.number(reading.value))\n"
                    }
                case .histogram(let histogram): Exposition.histogram(name, labels, histogram.value, to: &out)
                }
            }
        }
        ProcessMetrics.write(to: &out)
        return out
    }
}

/// What all loops counted, merged by the text of the labels: several slots (a model's versions) may share one.
struct LoopSnapshot {
    private var server: [String: LatencyHistogram] = [:]
    private var client: [String: LatencyHistogram] = [:]
    private var features: [String: LatencyHistogram] = [:]
    private var missingFeatures: [String: Int] = [:]
    private var staleFeatures: [String: Int] = [:]
    private var predictions: [String: Int] = [:]
    private var rows: [String: Int] = [:]
    private var unrouted: [String: Int] = [:]
    /// By Seldon Core 2's labels.
    private var modelRequests: [String: Part] = [:]

    private struct Part {
        var count = 0
        var nanoseconds = 0
    }

    init(
        _ loops: [(series: [LoopMetrics.Series], counts: [LoopMetrics.Counts])], labels: (Int) -> SlotLabels?
    ) {
        for loop in loops {
            for series in loop.series { add(series, labels(series.slot)) }
            for counts in loop.counts {
                if let slot = labels(counts.slot) { add(counts, slot) }
            }
        }
    }

    private mutating func add(_ series: LoopMetrics.Series, _ slot: SlotLabels?) {
        let outcome = [
            ("service", series.service.service), ("method", series.service.method),
            ("code", OutcomeCode.label(series.codeIndex, series.service)),
        ]
        guard let slot else {
            if series.slot < 0, series.part == .server {
                unrouted[Exposition.labels(outcome), default: 0] += series.histogram.count
            }
            return
        }
        let predictor = [
            ("deployment_name", slot.deployment), ("predictor_name", slot.predictor),
            ("predictor_version", slot.predictorVersion),
        ]
        switch series.part {
        case .server:
            let model = Exposition.labels([
                ("model", slot.deployment), ("model_internal", slot.modelName),
                ("method_type", series.service.isGRPC ? "grpc" : "rest"),
                ("code", OutcomeCode.label(series.codeIndex, series.service)),
            ])
            if series.service != .explain {
                modelRequests[model, default: Part()].count += series.histogram.count
                modelRequests[model, default: Part()].nanoseconds += series.histogram.sumNanoseconds
            }
            server[Exposition.labels(predictor + outcome), default: .init()].merge(series.histogram)
        case .features:
            features[Exposition.labels(predictor + outcome), default: .init()].merge(series.histogram)
        case .client:
            let model = [
                ("model_name", slot.modelName), ("model_image", ""), ("model_version", slot.modelVersion),
            ]
            client[Exposition.labels(predictor + model + outcome), default: .init()].merge(series.histogram)
        }
    }

    private mutating func add(_ counts: LoopMetrics.Counts, _ slot: SlotLabels) {
        let model = [
            ("deployment_name", slot.deployment), ("model_name", slot.modelName),
            ("model_version", slot.modelVersion),
        ]
        if counts.rows > 0 { rows[Exposition.labels(model), default: 0] += counts.rows }
        if counts.missingFeatures > 0 {
            missingFeatures[Exposition.labels(model), default: 0] += counts.missingFeatures
        }
        if counts.staleFeatures > 0 { staleFeatures[Exposition.labels(model), default: 0] += counts.staleFeatures }
        for (label, count) in [(slot.negativeLabel, counts.negative), (slot.positiveLabel, counts.positive)] {
            guard let label else { continue }
            predictions[Exposition.labels(model + [("prediction", label)]), default: 0] += count
        }
    }

    func write(to out: inout String) {
        let name = "seldon_api_executor"
        latency("\(name)_server_requests_seconds", "Duration of inference requests, by outcome", server, &out)
        latency("\(name)_client_requests_seconds", "The model's part of inference requests", client, &out)
        latency("aerie_feature_fetch_seconds", "The read of features inside inference requests", features, &out)
        counts("seldon_model_infer_total", "Requests to a model", modelRequests.mapValues(\.count), &out)
        writeModelSeconds(to: &out)
        counts("aerie_features_missing_total", "Features without a value, at inference", missingFeatures, &out)
        counts("aerie_features_stale_total", "Features whose value was too old, at inference", staleFeatures, &out)
        counts("model_predictions_total", "Predictions by class, by the deployment's threshold", predictions, &out)
        counts("aerie_inference_rows_total", "Rows predicted", rows, &out)
        counts("aerie_inference_unrouted_requests_total", "Requests for no known deployment", unrouted, &out)
    }

    private func writeModelSeconds(to out: inout String) {
        guard !modelRequests.isEmpty else { return }
        let name = "seldon_model_infer_seconds_total"
        out += Exposition.header(name, "Time of requests to a model", "counter")
        for (labels, part) in modelRequests.sorted(by: { $0.key < $1.key }) {
            out += "\(name)\(labels) \(Exposition.seconds(part.nanoseconds))\n"
        }
    }

    private func latency(_ name: String, _ help: String, _ series: [String: LatencyHistogram], _ out: inout String) {
        let sorted = series.sorted { $0.key < $1.key }
        guard !sorted.isEmpty else { return }
        out += Exposition.header(name, help, "histogram")
        for (labels, histogram) in sorted { Exposition.histogram(name, labels, histogram, to: &out) }
        out += Exposition.header(name + "_summary", help + ", as quantiles over the life of the process", "summary")
        for (labels, histogram) in sorted { Exposition.summary(name + "_summary", labels, histogram, to: &out) }
    }

    private func counts(_ name: String, _ help: String, _ series: [String: Int], _ out: inout String) {
        guard !series.isEmpty else { return }
        out += Exposition.header(name, help, "counter")
        for (labels, count) in series.sorted(by: { $0.key < $1.key }) { out += "\(name)\(labels) \(count)\n" }
    }
}
