public import AerieCore
public import AerieJSON
public import AerieResources
public import Logging

/// Runs pipelines: starts runs, carries them through their steps, and picks them up again after a restart.
///
/// One runner owns one store and one folder. Every transition is durable before it is acted on; a step that was under
/// way when the process ended begins again in a clean folder, and ended steps stay. Cost: one commit per transition.
public actor PipelineRunner {
    public struct Configuration: Sendable {
        /// Holds the logs and work folders of runs; made if missing.
        public var folder: String
        /// Steps in processes at once, over all runs; from 1.
        public var maximumParallelSteps: Int
        /// Runs that have not ended; more are refused.
        public var maximumActiveRuns: Int
        /// Of steps that say nothing about it. `nil` for none.
        public var memoryLimit: Int64?
        /// From 0 to 19: how far steps stand behind the server for the processor.
        public var nice: Int
        /// Ended runs of each pipeline whose files are kept, from 1. Older ones lose their logs, work folders and
        /// cached results, unless a run that is kept has taken its results from there; their records stay.
        public var keptRuns: Int

        public init(
            folder: String, maximumParallelSteps: Int = 2, maximumActiveRuns: Int = 200, memoryLimit: Int64? = nil,
            nice: Int = 5, keptRuns: Int = 200
        ) {
            self.keptRuns = max(1, keptRuns)
            self.folder = folder
            self.maximumParallelSteps = max(1, maximumParallelSteps)
            self.maximumActiveRuns = maximumActiveRuns
            self.memoryLimit = memoryLimit
            self.nice = nice
        }
    }

    /// A run that has not ended, with the tasks of its steps.
    final class ActiveRun {
        var state: RunState
        var tasks: [String: Task<Void, Never>] = [:]
        var alarm: Task<Void, Never>?
        /// Transitions of one run come one after another.
        var isBusy = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        /// The runs whose cached results this one takes.
        var sources: Set<String>
        /// Whether a tracking run may be there that the state does not know of.
        var mayBeTracked: Bool

        init(state: RunState, mayBeTracked: Bool) {
            self.state = state
            self.mayBeTracked = mayBeTracked
            sources = Set(state.run.steps.compactMap(\.cachedFrom))
        }
    }

    let configuration: Configuration
    let catalog: StepCatalog
    let store: any PipelineRunStore
    let executor: any StepExecutor
    let services: any PlatformServices
    let clock: any WallClock
    let identifiers: IdentifierSource
    let logger: Logger
    let folders: StepFolders
    let hub = PipelineEvents()

    var active: [String: ActiveRun] = [:]
    var usedSlots = 0
    var isStopping = false
    /// Runs whose files are being deleted.
    var doomed: Set<String> = []
    var isSweeping = false
    var mustSweepAgain = false

    public init(
        configuration: Configuration, catalog: StepCatalog, store: any PipelineRunStore, executor: any StepExecutor,
        services: any PlatformServices, clock: any WallClock = SystemClock(), identifiers: IdentifierSource = .system,
        logger: Logger
    ) {
        self.configuration = configuration
        self.catalog = catalog
        self.store = store
        self.executor = executor
        self.services = services
        self.clock = clock
        self.identifiers = identifiers
        self.logger = logger
        folders = StepFolders(root: configuration.folder)
    }

    /// Picks up the runs that had not ended, then stays until its task is cancelled, and stops.
    public func run() async throws {
        try await recover()
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        await stop()
    }

    /// Goes on with every run that had not ended. Called once, before anything else.
    public func recover() async throws(AerieError) {
        for run in try await store.runs(
            PipelineRunFilter(isOwn: true, states: [.running, .waiting], limit: 1000)
        ).reversed() {
            guard active[run.id] == nil else { continue }
            logger.info("going on with pipeline run", metadata: ["run": "\(run.id)", "pipeline": "\(run.pipeline)"])
            try await activate(run) { $0.recover() }
        }
        sweepSoon()
    }

    /// Ends every step's process without a word in the store, so that a later runner goes on from here.
    public func stop() async {
        isStopping = true
        let tasks = active.values.flatMap(\.tasks.values)
        for run in active.values {
            run.alarm?.cancel()
            for task in run.tasks.values { task.cancel() }
        }
        for task in tasks { await task.value }
        hub.finish()
    }

    /// Starts a run of a pipeline that has been applied.
    /// - Throws: `notFound`, and what `start(_:parameters:by:)` throws.
    public func start(
        namespace: String, pipeline: String, parameters: JSONObject, by actor: String
    ) async throws(AerieError) -> PipelineRun {
        let key = ResourceKey(kind: "Pipeline", namespace: namespace, name: pipeline)
        return try await start(try await services.resource(key), parameters: parameters, by: actor)
    }

    /// Starts a run of this pipeline as it is here; it need not have been applied.
    /// - Throws: `invalidArgument` with every problem of the pipeline or the parameters, `resourceExhausted` if too
    ///   many runs have not ended.
    public func start(
        _ pipeline: Resource, parameters: JSONObject, by actor: String
    ) async throws(AerieError) -> PipelineRun {
        let plan = try PipelinePlan.make(name: pipeline.metadata.name, spec: pipeline.spec, catalog: catalog)
        let values = try plan.parameterValues(overrides: parameters)
        guard !isStopping else { throw AerieError(.unavailable, "the server is stopping; start the run again later") }
        guard active.count < configuration.maximumActiveRuns else {
            throw AerieError(
                .resourceExhausted,
                "\(active.count) pipeline runs have not ended, which is the limit; cancel some or wait")
        }
        var run = PipelineRun(
            id: "\(plan.name)-\(identifiers.short(6))", namespace: pipeline.metadata.namespace, pipeline: plan.name,
            spec: pipeline.spec, parameters: values, startedBy: actor, created: clock.now(), experiment: nil,
            steps: plan.steps.map { StepRun(name: $0.name, uses: $0.uses, needs: $0.needs) })
        if let experiment = plan.experiment {
            let state = RunState(run: run, plan: plan)
            let name = try JSONValue.string(experiment).resolvingReferences { reference throws(AerieError) in
                try state.value(of: reference) { .string($0.path) }
            }
            run.experiment = name.embeddedText
        }
        try await store.create(run)
        try await activate(run, isNew: true) { _ in }
        return try await self.run(run.id)
    }

    /// Plans the run anew from its own spec and lets it go.
    /// - Parameter isNew: nothing of it can be anywhere but in the store.
    func activate(
        _ run: PipelineRun, isNew: Bool = false, _ prepare: (inout RunState) throws(AerieError) -> Void
    ) async throws(AerieError) {
        let plan: PipelinePlan
        do throws(AerieError) {
            plan = try PipelinePlan.make(name: run.pipeline, spec: run.spec, catalog: catalog)
        } catch {
            // The spec was right when the run began: this build knows fewer kinds of steps.
            var abandoned = run
            abandoned.state = .failed
            abandoned.message = "this version of Aerie cannot go on with it: \(error.message)"
            abandoned.finished = clock.now()
            return try await store.save(abandoned, steps: [])
        }
        var state = RunState(run: run, plan: plan)
        try prepare(&state)
        active[run.id] = ActiveRun(state: state, mayBeTracked: !isNew)
        try await transition(run.id) { _ in [] }
    }

    /// Changes a run's state, makes that durable, and then does what follows from it.
    func transition(
        _ id: String, _ change: (inout RunState) throws(AerieError) -> [RunState.Action]
    ) async throws(AerieError) {
        guard let run = active[id] else { throw AerieError(.failedPrecondition, "run \(id) has ended") }
        await acquire(run)
        defer { release(run) }
        guard !isStopping, active[id] != nil else { return }
        let before = run.state.run
        var state = run.state
        await beginTracking(&state)
        var actions = try change(&state)
        actions += state.advance(now: clock.now(), processSlots: configuration.maximumParallelSteps - usedSlots)
        let taken = actions.filter { if case .launch(let step, _) = $0 { usesSlot(state, step) } else { false } }.count
        usedSlots += taken
        let changed = state.takeChanges()
        if changed.isEmpty, state.run == before {
            return perform(actions, run)
        }
        do throws(AerieError) {
            // Finishing the tracking run is idempotent, so it comes first: a crash between the two repeats it.
            if actions.contains(.finish) { await finishTracking(state.run) }
            try await store.save(state.run, steps: changed)
        } catch {
            usedSlots -= taken
            throw error
        }
        run.state = state
        publish(state.run, changed: changed)
        perform(actions, run)
    }

    func usesSlot(_ state: RunState, _ step: String) -> Bool { state.plan[step]?.placement == .process }

    private func publish(_ run: PipelineRun, changed: Set<String>) {
        for step in run.steps where changed.contains(step.name) && step.state.isFinal {
            hub.forgetProgress(run: run.id, step: step.name)
        }
        hub.send(run.steps.filter { changed.contains($0.name) }.map { .step(run: run.id, $0) } + [.run(run)])
    }

    private func perform(_ actions: [RunState.Action], _ run: ActiveRun) {
        let id = run.state.run.id
        for action in actions {
            switch action {
            case .launch(let step, let attempt):
                run.tasks[step] = Task { await self.execute(run: id, step: step, attempt: attempt) }
            case .kill(let step): run.tasks[step]?.cancel()
            case .wake(let time):
                run.alarm?.cancel()
                let pause = max(0, time.milliseconds - clock.now().milliseconds) + 1
                run.alarm = Task {
                    do { try await Task.sleep(for: .milliseconds(pause)) } catch { return }
                    await self.nudge(id)
                }
            case .finish:
                run.alarm?.cancel()
                active[id] = nil
                sweepSoon()
                logger.info("pipeline run ended", metadata: [
                    "run": "\(id)", "state": "\(run.state.run.state.rawValue)", "message": "\(run.state.run.message)",
                ])
            }
        }
    }

    /// Lets a run go on if it can; a failing store is asked again at the next change.
    func nudge(_ id: String) async {
        do throws(AerieError) { try await transition(id) { _ in [] } } catch {
            guard active[id] != nil else { return }
            logger.warning("pipeline run could not go on", metadata: ["run": "\(id)", "error": "\(error)"])
        }
    }

    private func acquire(_ run: ActiveRun) async {
        guard run.isBusy else {
            run.isBusy = true
            return
        }
        await withCheckedContinuation { run.waiting.append($0) }
    }

    private func release(_ run: ActiveRun) {
        if run.waiting.isEmpty { run.isBusy = false } else { run.waiting.removeFirst().resume() }
    }
}
