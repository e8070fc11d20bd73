import AerieCore
import AerieJSON
import AerieResources
import Logging

extension PipelineRunner {
    /// Between the tries to record how a step ended.
    private static let recording = Backoff(base: .milliseconds(100), cap: .seconds(5))

    /// One attempt at a step, from its parameters to its outcome.
    func execute(run id: String, step name: String, attempt: Int) async {
        guard let run = active[id], let planned = run.state.plan[name], let kind = catalog[planned.uses] else { return }
        let state = run.state
        var outcome = RunState.Outcome.cancelled
        var key: String?
        do throws(AerieError) {
            let log = try StepLog(path: folders.logPath(run: id, step: name), clock: clock)
            log.line("step '\(name)' (\(planned.uses)), attempt \(attempt)")
            do throws(AerieError) {
                let named = try await namedResources(state, planned, kind)
                key = try await cacheKey(state, planned, kind, named)
                outcome = try await attemptStep(state, planned, kind, named, attempt: attempt, key: key, log: log)
                if case .cached(let results) = outcome {
                    log.line("the same as in run \(results.runID): taken from the cache")
                } else {
                    log.line("succeeded")
                }
            } catch {
                log.line(Task.isCancelled ? "cancelled" : "failed: \(error.message)")
                for detail in error.details.dropFirst() { log.line("  \(detail.field): \(detail.problem)") }
                throw error
            }
        } catch {
            let isHopeless = [.invalidArgument, .unsupported, .failedPrecondition, .permissionDenied].contains(
                error.code)
            outcome = Task.isCancelled ? .cancelled : .failed(message: error.message, isRetryable: !isHopeless)
            if !Task.isCancelled {
                logger.info("pipeline step failed", metadata: ["run": "\(id)", "step": "\(name)", "error": "\(error)"])
            }
        }
        if planned.placement == .process { usedSlots -= 1 }
        guard !isStopping else { return }
        // A task of its own, which is not cancelled with the step's: what was done must be recorded.
        await Task { [outcome, key] in
            await self.deliver(outcome, run: id, step: name, attempt: attempt, key: key)
            for other in self.active.keys.sorted() where other != id { await self.nudge(other) }
        }.value
    }

    /// Tells the run how a step ended, again and again until the store has taken it.
    private func deliver(_ outcome: RunState.Outcome, run id: String, step: String, attempt: Int, key: String?) async {
        var failures = 0
        active[id]?.tasks[step] = nil
        while !isStopping, active[id] != nil {
            do throws(AerieError) {
                return try await transition(id) { state in
                    state.ended(step: step, attempt: attempt, outcome, cacheKey: key, now: self.clock.now())
                    return []
                }
            } catch {
                logger.error(
                    "cannot record the end of a pipeline step; trying again",
                    metadata: [
                        "run": "\(id)", "step": "\(step)", "error": "\(error)",
                    ])
                failures += 1
                try? await Task.sleep(for: Self.recording.pause(afterFailures: failures))
            }
        }
    }

    private func cacheKey(
        _ state: RunState, _ planned: PlannedStep, _ kind: any Step, _ named: JSONObject
    ) async throws(AerieError) -> String? {
        guard planned.isCached else { return nil }
        let parameters = try resolve(state, planned, named) { .string("sha256:\($0.digest)") }
        return try await folders.cacheKey(namespace: state.run.namespace, step: kind, parameters: parameters)
    }

    /// The resources that `with:` names where it could give their content, by parameter. Read once an attempt, so that
    /// the cache's key and the step see the same.
    private func namedResources(
        _ state: RunState, _ planned: PlannedStep, _ kind: any Step
    ) async throws(AerieError) -> JSONObject {
        guard !kind.resourceParameters.isEmpty else { return [:] }
        let given = try resolve(state, planned, [:]) { .string($0.path) }
        let namespace = state.run.namespace
        var named = JSONObject()
        for (parameter, wanted) in kind.resourceParameters.sorted(by: { $0.key < $1.key }) {
            guard let name = given[parameter]?.string else { continue }
            do throws(AerieError) {
                let found = try await services.resource(ResourceKey(kind: wanted, namespace: namespace, name: name))
                named[parameter] = [
                    "apiVersion": .string(found.apiVersion), "kind": .string(found.kind),
                    "metadata": ["name": .string(name)], "spec": .object(found.spec),
                ]
            } catch {
                guard error.code == .notFound else { throw error }
                throw .invalid(
                    "with.\(parameter)",
                    "there is no \(wanted) '\(name)' in namespace '\(namespace)'; apply it with `aerie apply -f`, or "
                        + "give its content here")
            }
        }
        return named
    }

    private func resolve(
        _ state: RunState, _ planned: PlannedStep, _ named: JSONObject, artifact: (StepArtifact) -> JSONValue
    ) throws(AerieError) -> JSONObject {
        let resolved = try JSONValue.object(planned.with).resolvingReferences { reference throws(AerieError) in
            try state.value(of: reference, artifact: artifact)
        }
        var parameters = resolved.object ?? [:]
        for member in named.members { parameters[member.key] = member.value }
        return parameters
    }

    private func attemptStep(
        _ state: RunState, _ planned: PlannedStep, _ kind: any Step, _ named: JSONObject, attempt: Int, key: String?,
        log: StepLog
    ) async throws(AerieError) -> RunState.Outcome {
        let run = state.run
        if let key, let cached = try await store.cached(key), !doomed.contains(cached.runID),
            folders.exist(cached.artifacts)
        {
            active[run.id]?.sources.insert(cached.runID)
            try await track(cached, run: run, step: planned.name, state: .cached)
            return .cached(cached)
        }
        let parameters = try resolve(state, planned, named) { .string(self.folders.absolute($0)) }
        var shape = SpecShape(acceptsReferences: false)
        shape.check(.object(parameters), kind.parameters, path: "with")
        if let error = AerieError.invalid("the values that 'with' refers to are wrong", problems: shape.problems) {
            throw error
        }
        let work = try await folders.prepare(run: run.id, step: planned.name, attempt: attempt)
        let result = try await Self.within(planned.timeout) { () async throws(AerieError) -> StepResult in
            try await self.work(kind, planned, run, parameters, attempt: attempt, folder: work, log: log)
        }
        let results = try await folders.collect(result, run: run.id, step: planned.name, attempt: attempt)
        try await track(results, run: run, step: planned.name, state: .succeeded)
        if let key { try await store.remember(key, results, time: clock.now()) }
        return .succeeded(results)
    }

    private nonisolated func work(
        _ kind: any Step, _ planned: PlannedStep, _ run: PipelineRun, _ parameters: JSONObject, attempt: Int,
        folder: String, log: StepLog
    ) async throws(AerieError) -> StepResult {
        let (id, step, hub) = (run.id, planned.name, hub)
        let progress: @Sendable (Double, String) -> Void = {
            hub.progress(run: id, step: step, fraction: $0, message: $1)
        }
        switch planned.placement {
        case .process:
            let job = StepJob(
                pipeline: run.pipeline, runID: id, step: step, uses: planned.uses, attempt: attempt,
                workDirectory: folder, parameters: parameters, trackingRun: run.trackingRun,
                limits: StepLimits(
                    timeout: planned.timeout, memory: planned.memoryLimit ?? configuration.memoryLimit,
                    nice: planned.nice ?? configuration.nice))
            return try await executor.run(job, log: { log.line($0) }, progress: progress)
        case .server:
            let services = StepServices(base: services, runID: id) { step throws(AerieError) in
                try await self.askDecision(run: id, step: step, attempt: attempt)
            }
            return try await kind.run(
                StepContext(
                    pipeline: run.pipeline, runID: id, step: step, workDirectory: folder, parameters: parameters,
                    trackingRun: run.trackingRun, log: { log.line($0) }, progress: progress, services: services))
        }
    }

    /// The decision for a step; without one the step is shown as waiting.
    private func askDecision(run id: String, step: String, attempt: Int) async throws(AerieError) -> StepDecision? {
        if let decision = try await store.decision(run: id, step: step) { return decision }
        if active[id]?.state.run[step]?.state == .running {
            try await transition(id) { state in
                state.waits(step: step, attempt: attempt)
                return []
            }
        }
        return nil
    }

    /// Ends the work when the time is over.
    /// - Throws: `deadlineExceeded` after the work has really ended.
    static func within(
        _ timeout: Duration?, _ work: @escaping @Sendable () async throws(AerieError) -> StepResult
    ) async throws(AerieError) -> StepResult {
        guard let timeout else { return try await work() }
        let result = await withTaskGroup(of: Result<StepResult, AerieError>?.self) { group in
            group.addTask {
                do throws(AerieError) { return .success(try await work()) } catch { return .failure(error) }
            }
            group.addTask {
                try? await Task.sleep(for: timeout)
                return nil
            }
            var isOver = false
            while let next = await group.next() {
                if let result = next {
                    group.cancelAll()
                    return isOver ? nil : result
                }
                isOver = !Task.isCancelled
                group.cancelAll()
            }
            return nil
        }
        guard let result else {
            throw AerieError(.deadlineExceeded, "took longer than its timeout of \(timeout.milliseconds / 1000) s")
        }
        return try result.get()
    }
}
