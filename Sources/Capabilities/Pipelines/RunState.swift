public import AerieCore
public import AerieJSON

/// A run as a state machine: told what happened, it says what to do next. Pure; the runner persists `changes` before it
/// carries out the actions.
public struct RunState: Sendable {
    public enum Action: Hashable, Sendable {
        case launch(step: String, attempt: Int)
        case kill(step: String)
        /// Advance again at that time.
        case wake(at: Timestamp)
        /// The run is over.
        case finish
    }

    public enum Outcome: Sendable {
        case succeeded(CachedStep)
        /// Results of an earlier run were taken.
        case cached(CachedStep)
        /// - Parameter isRetryable: false if trying again cannot help.
        case failed(message: String, isRetryable: Bool)
        case cancelled
    }

    public private(set) var run: PipelineRun
    public let plan: PipelinePlan
    private var changedSteps: Set<String> = []

    /// - Precondition: the run's steps are the plan's, in its order.
    public init(run: PipelineRun, plan: PipelinePlan) {
        self.run = run
        self.plan = plan
    }

    /// The steps that have changed since this was last asked.
    public mutating func takeChanges() -> Set<String> {
        defer { changedSteps = [] }
        return changedSteps
    }

    /// Starts, skips and finishes whatever can be.
    /// - Parameter processSlots: how many more steps may be started in processes of their own.
    public mutating func advance(now: Timestamp, processSlots: Int) -> [Action] {
        guard !run.state.isFinal else { return [] }
        var actions: [Action] = []
        var slots = processSlots
        var wake: Timestamp?
        var mayGoOn = true
        while mayGoOn {
            // A step that is skipped may decide over steps that stand before it.
            mayGoOn = false
            for index in run.steps.indices where run.steps[index].state == .pending {
                switch decide(index, now: now) {
                case .hold: break
                case .end(let state, let message):
                    end(index, state, message, now)
                    mayGoOn = true
                case .later(let time): wake = min(wake ?? time, time)
                case .start:
                    if plan.steps[index].placement == .process {
                        guard slots > 0 else { break }
                        slots -= 1
                    }
                    start(index, now)
                    actions.append(.launch(step: run.steps[index].name, attempt: run.steps[index].attempt))
                }
            }
        }
        if let wake { actions.append(.wake(at: wake)) }
        if settle(now: now) { actions.append(.finish) }
        return actions
    }

    /// The step waits for a person.
    public mutating func waits(step: String, attempt: Int) {
        guard let index = index(step, attempt, in: [.running]) else { return }
        run.steps[index].state = .waiting
        changedSteps.insert(step)
        run.state = run.steps.contains { $0.state == .running } ? .running : .waiting
    }

    /// An attempt has ended. A stale one, of a step that has been started anew, changes nothing.
    public mutating func ended(step: String, attempt: Int, _ outcome: Outcome, cacheKey: String?, now: Timestamp) {
        guard let index = index(step, attempt, in: [.running, .waiting]) else { return }
        run.steps[index].cacheKey = cacheKey
        switch outcome {
        case .succeeded(let results):
            take(results, index)
            end(index, .succeeded, "", now)
        case .cached(let results):
            take(results, index)
            run.steps[index].cachedFrom = results.runID
            end(index, .cached, "the same as in run \(results.runID)", now)
        case .cancelled: end(index, .cancelled, "cancelled", now)
        case .failed(let message, let isRetryable):
            if run.isCancelRequested { return end(index, .cancelled, "cancelled: \(message)", now) }
            run.steps[index].failures += 1
            let policy = plan.steps[index].retry
            guard isRetryable, run.steps[index].failures <= policy.limit else {
                return end(index, .failed, message, now)
            }
            let pause = policy.backoff.pause(afterFailures: run.steps[index].failures).milliseconds
            run.steps[index].state = .pending
            run.steps[index].retryAt = Timestamp(milliseconds: now.milliseconds + pause)
            run.steps[index].message =
                "failed, tried again (\(run.steps[index].failures) of \(policy.limit)): \(message)"
            changedSteps.insert(step)
        }
    }

    /// Cancels what has not begun; what runs is killed and ends as cancelled.
    public mutating func cancel(now: Timestamp) -> [Action] {
        guard !run.state.isFinal, !run.isCancelRequested else { return [] }
        run.isCancelRequested = true
        run.message = "being cancelled"
        return run.steps.filter { $0.state == .running || $0.state == .waiting }.map { .kill(step: $0.name) }
    }

    /// After a restart: steps that were under way begin again; ended ones stay.
    public mutating func recover() {
        for index in run.steps.indices where run.steps[index].state == .running || run.steps[index].state == .waiting {
            reset(index)
            run.steps[index].message = "begins again after a restart"
        }
    }

    /// Makes a failed or cancelled run go on from the steps that did not succeed.
    /// - Throws: `failedPrecondition` in every other state.
    public mutating func retry() throws(AerieError) {
        guard run.state == .failed || run.state == .cancelled else {
            throw AerieError(
                .failedPrecondition,
                "run \(run.id) is \(run.state.rawValue); only a failed or cancelled run can be retried",
                reason: "pipelineRun.notFailed")
        }
        for index in run.steps.indices where !run.steps[index].state.isDone {
            reset(index)
            run.steps[index].failures = 0
        }
        run.state = .running
        run.message = ""
        run.isCancelRequested = false
        run.finished = nil
    }

    public mutating func setTrackingRun(_ id: String) { run.trackingRun = id }

    /// Ends the run because it cannot go on at all.
    public mutating func abandon(_ message: String, now: Timestamp) {
        for index in run.steps.indices where !run.steps[index].state.isFinal { end(index, .cancelled, message, now) }
        run.state = .failed
        run.message = message
        run.finished = now
    }

    /// What a reference stands for now; artifacts are given by `artifact`.
    /// - Throws: `failedPrecondition` if the step has not given that output.
    public func value(
        of reference: PipelineReference, artifact: (StepArtifact) -> JSONValue
    ) throws(AerieError) -> JSONValue {
        switch reference.source {
        case .runID: return .string(run.id)
        case .pipelineName: return .string(run.pipeline)
        case .parameter(let name): return run.parameters[name] ?? .null
        case .output(let step, let name, let path):
            guard let producer = run[step] else { throw .notFound("\(reference): there is no step '\(step)'") }
            if path.isEmpty, let file = producer.artifacts[name] { return artifact(file) }
            guard var value = producer.values[name] else {
                throw AerieError(
                    .failedPrecondition,
                    "\(reference): step '\(step)' is \(producer.state.rawValue) and gave no '\(name)'")
            }
            for part in path {
                guard let inner = value[part] ?? Int(part).flatMap({ value[$0] }) else {
                    throw AerieError(
                        .failedPrecondition, "\(reference): there is no '\(part)' in what step '\(step)' gave")
                }
                value = inner
            }
            return value
        }
    }
}

extension RunState {
    private enum Decision {
        case hold, start
        case end(StepRun.State, String)
        case later(Timestamp)
    }

    private func decide(_ index: Int, now: Timestamp) -> Decision {
        if run.isCancelRequested { return .end(.cancelled, "cancelled before it began") }
        let step = plan.steps[index]
        let needed = run.steps.filter { step.needs.contains($0.name) }
        if step.trigger == .succeeded, let bad = needed.first(where: { $0.state.isFinal && !$0.state.isDone }) {
            return .end(
                .skipped, "needs '\(bad.name)', which \(bad.state == .failed ? "failed" : "was \(bad.state.rawValue)")")
        }
        guard needed.allSatisfy(\.state.isFinal) else { return .hold }
        if let time = run.steps[index].retryAt, time > now { return .later(time) }
        guard let condition = step.condition else { return .start }
        do throws(AerieError) {
            let holds = try condition.evaluate { reference throws(AerieError) in
                try value(of: reference) { .string($0.digest) }
            }
            return holds ? .start : .end(.skipped, "its condition is false: \(condition.text)")
        } catch { return .end(.failed, error.message) }
    }

    private mutating func start(_ index: Int, _ now: Timestamp) {
        run.steps[index].state = .running
        run.steps[index].attempt += 1
        run.steps[index].started = now
        run.steps[index].finished = nil
        run.steps[index].retryAt = nil
        run.steps[index].progress = 0
        changedSteps.insert(run.steps[index].name)
    }

    private mutating func end(_ index: Int, _ state: StepRun.State, _ message: String, _ now: Timestamp) {
        run.steps[index].state = state
        run.steps[index].message = message
        run.steps[index].finished = now
        if state.isDone { run.steps[index].progress = 1 }
        changedSteps.insert(run.steps[index].name)
    }

    private mutating func take(_ results: CachedStep, _ index: Int) {
        run.steps[index].artifacts = results.artifacts
        run.steps[index].values = results.values
        run.steps[index].params = results.params
        run.steps[index].metrics = results.metrics
        run.steps[index].logged = results.logged
    }

    private mutating func reset(_ index: Int) {
        run.steps[index].state = .pending
        run.steps[index].message = ""
        run.steps[index].progress = 0
        run.steps[index].retryAt = nil
        run.steps[index].started = nil
        run.steps[index].finished = nil
        changedSteps.insert(run.steps[index].name)
    }

    /// Derives the run's state from its steps'; true if that ends it.
    private mutating func settle(now: Timestamp) -> Bool {
        guard run.steps.allSatisfy(\.state.isFinal) else {
            let isWaiting = run.steps.contains { $0.state == .waiting } && !run.steps.contains { $0.state == .running }
            run.state = isWaiting ? .waiting : .running
            return false
        }
        let failed = run.steps.filter { $0.state == .failed }
        if let first = failed.first {
            run.state = .failed
            run.message =
                "step '\(first.name)' failed: \(first.message)"
                + (failed.count > 1 ? " (and \(failed.count - 1) more)" : "")
        } else if run.steps.contains(where: { $0.state == .cancelled }) {
            run.state = .cancelled
            run.message = "cancelled"
        } else {
            run.state = .succeeded
            run.message = ""
        }
        run.finished = now
        return true
    }

    private func index(_ step: String, _ attempt: Int, in states: [StepRun.State]) -> Int? {
        run.steps.firstIndex { $0.name == step && $0.attempt == attempt && states.contains($0.state) }
    }
}
