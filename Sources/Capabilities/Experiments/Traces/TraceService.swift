public import AerieCore

/// What clients do with traces, with the rules of names and limits. Holds no state; may be called from any task.
public struct TraceService: Sendable {
    let traces: any TraceStore & TraceMeasureStore
    let experiments: ExperimentService
    private let artifacts: any ArtifactStore

    static let artifactLocation = "mlflow.artifactLocation"
    static let searchMaximum = 500

    public init(
        traces: any TraceStore & TraceMeasureStore, experiments: ExperimentService, artifacts: any ArtifactStore
    ) {
        self.traces = traces
        self.experiments = experiments
        self.artifacts = artifacts
    }

    /// Keeps what a client knows of a trace, and says in a tag where files that belong to it are to be put.
    /// - Throws: `notFound` for the experiment, `failedPrecondition` if that is deleted.
    public func put(_ trace: Trace) async throws(AerieError) -> Trace {
        try ExperimentLimits.checkRunID(RunID(trace.id.text), "trace_id")
        let experiment = try await experiments.experiment(trace.experimentID)
        guard experiment.stage == .active else {
            throw AerieError(
                .failedPrecondition, "The experiment \(experiment.id) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        var trace = trace
        let own = [Self.artifactLocation, SpanBatch.spansLocation]
        trace.tags = try experiments.checkedTags(trace.tags.filter { !own.contains($0.key) })
        trace.tags.append(
            Tag(key: Self.artifactLocation, value: Self.location(of: trace.id, in: experiment)))
        trace.metadata = try experiments.checkedTags(trace.metadata)
        if !trace.metadata.contains(where: { $0.key == SpanBatch.finalized }) {
            trace.metadata.append(Tag(key: SpanBatch.finalized, value: "true"))
        }
        trace.requestPreview = trace.requestPreview.map { ExperimentLimits.cut($0, to: 10_000) }
        trace.responsePreview = trace.responsePreview.map { ExperimentLimits.cut($0, to: 10_000) }
        for assessment in trace.assessments { try checkAssessment(assessment) }
        try await traces.put(trace)
        return try await self.trace(trace.id)
    }

    static func location(of id: TraceID, in experiment: Experiment) -> String {
        "\(experiment.artifactLocation)/traces/\(id)/artifacts"
    }

    public func trace(_ id: TraceID) async throws(AerieError) -> Trace {
        guard let found = try await traces.get([id]).first else { throw AerieError.missing(id) }
        return found
    }

    /// Says of which run traces are a part; a trace may be part of several, and repeating it changes nothing.
    /// - Throws: `notFound` for the run or a trace.
    public func link(_ ids: [TraceID], to run: RunID) async throws(AerieError) {
        guard ids.count <= 100 else { throw .invalid("trace_ids", "names \(ids.count) traces; at most 100 are linked") }
        _ = try await experiments.run(run)
        try await traces.link(ids, .run, to: [run.text])
    }

    /// Says which versions of prompts a trace used, as `name/version`.
    public func link(_ id: TraceID, prompts: [String]) async throws(AerieError) {
        guard prompts.count <= 100 else {
            throw .invalid("prompt_versions", "names \(prompts.count) prompts; at most 100 are linked")
        }
        try await traces.link([id], .prompt, to: prompts)
    }

    /// What a trace is linked to, in order: identifiers of runs, or `name/version` of prompts.
    public func links(of id: TraceID, _ kind: TraceLink) async throws(AerieError) -> [String] {
        try await traces.links(of: id, kind)
    }

    /// Several at once, in the order asked for; those that do not exist are left out.
    public func traces(_ ids: [TraceID]) async throws(AerieError) -> [Trace] {
        guard ids.count <= Self.searchMaximum else {
            throw .invalid("trace_ids", "names \(ids.count) traces; at most \(Self.searchMaximum) are given at once")
        }
        return try await traces.get(ids)
    }

    public func setTags(_ id: TraceID, _ tags: [Tag]) async throws(AerieError) {
        try await traces.update(id, setTags: try experiments.checkedTags(tags), deleteTags: [])
    }

    public func deleteTag(_ id: TraceID, key: String) async throws(AerieError) {
        try await traces.update(id, setTags: [], deleteTags: [key])
    }

    /// - Parameters:
    ///   - filter: the search grammar over name, status, timestamp, execution_time, run_id, prompt, tags and metadata;
    ///     over spans (`span.type`, `span.attributes.model`, `trace.text`), which one span has to meet all; and over
    ///     valid assessments (`feedback.score > 0.8`, `expectation.answer = 'x'`), also of the trace's session.
    ///   - limit: 1 to 500.
    public func search(
        in experimentIDs: [ExperimentID], filter: String? = nil, orderBy: [String] = [], limit: Int = 100,
        pageToken: String? = nil
    ) async throws(AerieError) -> Page<Trace> {
        try ExperimentLimits.checkLimit(limit, maximum: Self.searchMaximum)
        let query = SearchQuery(
            experimentIDs: experimentIDs, conditions: try Self.conditions(filter),
            order: try SearchParser.orders(orderBy, subject: .traces), limit: limit,
            position: try ExperimentService.position(pageToken))
        // No experiment named means none, not all.
        guard !experimentIDs.isEmpty else { return Page([]) }
        return try await traces.search(query)
    }

    /// Deletes traces and then their files; a file that cannot be deleted is left behind.
    /// - Returns: how many.
    public func delete(_ selection: TraceSelection) async throws(AerieError) -> Int {
        guard selection.ids.isEmpty != (selection.until == nil) else {
            throw .invalid(
                "request_ids", "either request_ids or max_timestamp_millis says which traces to delete, and not both")
        }
        guard selection.limit >= 1 else { throw .invalid("max_traces", "must be at least 1") }
        let experiment = try await experiments.experiment(selection.experimentID)
        let deleted = try await traces.delete(selection)
        for id in deleted {
            if let path = try? ArtifactPath(location: "\(experiment.artifactLocation)/traces/\(id)") {
                try? await artifacts.delete(path)
            }
        }
        return deleted.count
    }
}
