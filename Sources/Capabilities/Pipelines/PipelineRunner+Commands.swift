public import AerieCore

/// What people ask of runs.
extension PipelineRunner {
    /// The run with the latest progress of its steps.
    /// - Throws: `notFound`.
    public func run(_ id: String) async throws(AerieError) -> PipelineRun {
        if let run = active[id] { return live(run.state.run) }
        return try await store.run(id)
    }

    /// Newest first.
    public func runs(_ filter: PipelineRunFilter) async throws(AerieError) -> [PipelineRun] {
        var filter = filter
        filter.limit = min(max(filter.limit, 1), 1000)
        return try await store.runs(filter).map { stored in active[stored.id].map { live($0.state.run) } ?? stored }
    }

    private func live(_ run: PipelineRun) -> PipelineRun {
        var run = run
        for index in run.steps.indices where run.steps[index].state == .running || run.steps[index].state == .waiting {
            guard let latest = hub.latest(run: run.id, step: run.steps[index].name) else { continue }
            run.steps[index].progress = latest.fraction
            run.steps[index].message = latest.message
        }
        return run
    }

    /// Ends the run: nothing new begins, and what runs is killed. Asking twice is the same as once.
    /// - Throws: `notFound`; `failedPrecondition` if it has ended.
    public func cancel(_ id: String) async throws(AerieError) -> PipelineRun {
        guard active[id] != nil else {
            let run = try await store.run(id)
            if !run.state.isFinal { try await requireOwn(id) }
            throw AerieError(
                .failedPrecondition, "run \(id) has ended: it is \(run.state.rawValue)", reason: "pipelineRun.ended")
        }
        try await transition(id) { $0.cancel(now: self.clock.now()) }
        return try await run(id)
    }

    /// Goes on with a failed or cancelled run from the steps that did not succeed. Decisions that were given for
    /// those steps are taken back.
    /// - Throws: `notFound`; `failedPrecondition` if it is not failed or cancelled.
    public func retry(_ id: String) async throws(AerieError) -> PipelineRun {
        if let run = active[id]?.state.run {
            throw AerieError(
                .failedPrecondition, "run \(id) is \(run.state.rawValue); only a failed or cancelled run can be retried",
                reason: "pipelineRun.notFailed")
        }
        let run = try await store.run(id)
        guard run.state == .failed || run.state == .cancelled else {
            throw AerieError(
                .failedPrecondition, "run \(id) is \(run.state.rawValue); only a failed or cancelled run can be retried",
                reason: "pipelineRun.notFailed")
        }
        try await requireOwn(id)
        for step in run.steps where !step.state.isDone { try await store.decide(run: id, step: step.name, nil) }
        guard !doomed.contains(id), run.steps.allSatisfy({ !$0.state.isDone || folders.exist($0.artifacts) }) else {
            throw AerieError(
                .failedPrecondition,
                "the files of run \(id) have been deleted, as those of the newest \(configuration.keptRuns) runs of a "
                    + "pipeline are kept; start a new run",
                reason: "pipelineRun.filesGone")
        }
        guard active[id] == nil else { throw AerieError(.conflict, "run \(id) is being retried already") }
        try await activate(run) { state throws(AerieError) in try state.retry() }
        return try await self.run(id)
    }

    /// - Throws: `failedPrecondition` if another server that shares the store has the run's files.
    private func requireOwn(_ id: String) async throws(AerieError) {
        guard try await store.owns(id) else {
            throw AerieError(
                .failedPrecondition, "run \(id) is carried by another server that shares this database; ask that one",
                reason: "pipelineRun.elsewhere")
        }
    }

    /// Records what a person says of a waiting step.
    /// - Parameter step: may be left out if just one step waits.
    /// - Returns: the name of the step.
    /// - Throws: `notFound`; `failedPrecondition` if the step does not wait, `invalidArgument` if it must be named.
    public func decide(
        run id: String, step name: String?, isApproved: Bool, by actor: String, comment: String
    ) async throws(AerieError) -> String {
        let run = try await run(id)
        let waiting = run.steps.filter { $0.state == .waiting }.map(\.name)
        let list = waiting.isEmpty ? "no step waits" : "waiting: \(waiting.joined(separator: ", "))"
        let step: String
        if let name {
            guard let found = run[name] else {
                throw .notFound("run \(id) has no step '\(name)'; there are \(run.steps.map(\.name).joined(separator: ", "))")
            }
            guard found.state == .waiting else {
                throw AerieError(
                    .failedPrecondition, "step '\(name)' of run \(id) waits for nobody: it is \(found.state.rawValue); \(list)",
                    reason: "pipelineStep.notWaiting")
            }
            step = name
        } else if let first = waiting.first {
            guard waiting.count == 1 else { throw .invalid("step", "several steps of run \(id) wait, name one: \(waiting.joined(separator: ", "))") }
            step = first
        } else {
            throw AerieError(
                .failedPrecondition, "no step of run \(id) waits for a decision; the run is \(run.state.rawValue)",
                reason: "pipelineStep.notWaiting")
        }
        let decision = StepDecision(isApproved: isApproved, by: actor, comment: comment, time: clock.now())
        try await store.decide(run: id, step: step, decision)
        return step
    }

    /// The decision that has been given for a step, for `PlatformServices`.
    public func decision(run id: String, step: String) async throws(AerieError) -> StepDecision? {
        try await store.decision(run: id, step: step)
    }

    /// A part of a step's log, whole lines from a byte offset on.
    /// - Parameter limit: bytes, from 1,024 to 4 MiB.
    /// - Throws: `notFound`, `invalidArgument` for a negative offset.
    public func log(
        run id: String, step name: String, offset: Int64, limit: Int = 256 << 10
    ) async throws(AerieError) -> StepLogChunk {
        guard offset >= 0 else { throw .invalid("offset", "must not be negative") }
        let run = try await run(id)
        guard let step = run[name] else {
            throw .notFound("run \(id) has no step '\(name)'; there are \(run.steps.map(\.name).joined(separator: ", "))")
        }
        if active[id] == nil { try await requireOwn(id) }
        return StepLogChunk.read(
            path: folders.logPath(run: id, step: name), offset: offset, limit: min(max(limit, 1024), 4 << 20),
            isComplete: step.state.isFinal || run.state.isFinal)
    }

    /// The absolute path of a file or folder that a step gave, for the console's preview.
    /// - Throws: `notFound`.
    public func artifactPath(run id: String, step: String, output: String) async throws(AerieError) -> String {
        guard let artifact = try await run(id)[step]?.artifacts[output] else {
            throw .notFound("run \(id) has no artifact '\(output)' of a step '\(step)'")
        }
        return folders.absolute(artifact)
    }

    /// What changes from now on, of one run or of all. A listener that falls 1,024 events behind loses the oldest.
    public nonisolated func events(run id: String? = nil) -> AsyncStream<PipelineEvent> { hub.listen(run: id) }

    /// Ends every stream that `events` gave, so that the answers which carry them can be finished before a shutdown.
    public nonisolated func endEvents() { hub.finish() }
}
