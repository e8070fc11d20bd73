public import AerieCore
import AerieJSON

extension TraceService {
    /// Keeps spans with their traces, which are made where a client has not told of them yet.
    ///
    /// A trace takes its times, state, name and previews from its spans until a client writes it with `put`.
    /// - Parameters:
    ///   - tags: for every trace that is met; a tag that is there stays.
    ///   - run: linked to the traces whose first span is among these.
    /// - Throws: `notFound` for the experiment or the run, `failedPrecondition` for a deleted experiment,
    ///   `resourceExhausted` past `TraceLimits`; then nothing is kept.
    public func record(
        _ spans: [Span], in experimentID: ExperimentID, tags: [TraceID: [Tag]] = [:], run: RunID? = nil
    ) async throws(AerieError) {
        let experiment = try await experiments.experiment(experimentID)
        guard experiment.stage == .active else {
            throw AerieError(
                .failedPrecondition, "The experiment \(experiment.id) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        if let run { _ = try await experiments.run(run) }
        for span in spans where span.content.utf8.count > TraceLimits.spanLength {
            throw AerieError(
                .resourceExhausted,
                "The span \(span.id) takes \(span.content.utf8.count) bytes; at most \(TraceLimits.spanLength) are kept",
                reason: "span.bytes")
        }
        var batches: [SpanBatch] = []
        for (id, spans) in Dictionary(grouping: spans, by: \.traceID).sorted(by: { $0.key.text < $1.key.text }) {
            var trace = Self.told(by: spans, id, experiment)
            trace.tags = try experiments.checkedTags(trace.tags + Self.new(tags[id] ?? [], beside: trace.tags))
            trace.metadata = try experiments.checkedTags(trace.metadata)
            batches.append(SpanBatch(trace: trace, spans: spans))
        }
        try await traces.record(batches)
        let whole = batches.filter { $0.spans.contains { $0.parentID == nil } }.map(\.trace.id)
        if let run, !whole.isEmpty { try await traces.link(whole, .run, to: [run.text]) }
    }

    /// The spans of traces that have some, by their start; those that are files are not among them.
    public func spans(of ids: [TraceID]) async throws(AerieError) -> [TraceID: [Span]] {
        guard ids.count <= Self.searchMaximum else {
            throw .invalid("trace_ids", "names \(ids.count) traces; at most \(Self.searchMaximum) are given at once")
        }
        return try await traces.spans(of: ids)
    }

    private static func new(_ tags: [Tag], beside known: [Tag]) -> [Tag] {
        var keys = Set(known.map(\.key))
        return tags.filter { keys.insert($0.key).inserted }
    }

    /// What spans say of their trace.
    private static func told(by spans: [Span], _ id: TraceID, _ experiment: Experiment) -> Trace {
        let start = (spans.map(\.start).min() ?? 0) / 1_000_000
        let end = spans.compactMap(\.end).max().map { $0 / 1_000_000 }
        let root = spans.first { $0.parentID == nil }
        var trace = Trace(
            id: id, experimentID: experiment.id, requestTime: Timestamp(milliseconds: start),
            duration: end.map { max($0 - start, 0) }, state: .inProgress,
            tags: [
                Tag(key: artifactLocation, value: location(of: id, in: experiment)),
                Tag(key: SpanBatch.spansLocation, value: SpanBatch.inStore),
            ])
        var told: [String: String] = [:]
        for span in spans {
            for (name, key) in [
                ("session.id", "mlflow.trace.session"), ("gen_ai.conversation.id", "mlflow.trace.session"),
                ("user.id", "mlflow.trace.user"),
            ] where told[key] == nil {
                told[key] = span.attribute(name).flatMap { $0.isEmpty ? nil : ExperimentLimits.cut($0, to: 250) }
            }
        }
        trace.metadata = told.sorted { $0.key < $1.key }.map { Tag(key: $0.key, value: $0.value) }
        guard let root else { return trace }
        if root.end != nil { trace.state = root.state == .error ? .error : .ok }
        trace.tags.append(Tag(key: "mlflow.traceName", value: ExperimentLimits.cut(root.name, to: 250)))
        trace.requestPreview = root.attribute("mlflow.spanInputs").map { ExperimentLimits.cut($0, to: 1000) }
        trace.responsePreview = root.attribute("mlflow.spanOutputs").map { ExperimentLimits.cut($0, to: 1000) }
        return trace
    }
}
