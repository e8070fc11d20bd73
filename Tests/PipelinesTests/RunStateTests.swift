import AerieCore
import AerieJSON
import AerieResources
import Pipelines
import Testing

@Suite("The state of a run") struct RunStateTests {
    private let start = Timestamp(milliseconds: 1000)

    private func state(_ yaml: String) throws -> RunState {
        let catalog = StepCatalog([
            FakeStep(name: "p", outputs: ["x"]),
            FakeStep(name: "s", outputs: ["x"], placement: .server, isCacheable: false),
        ])
        let resource = try pipeline(yaml)
        let plan = try PipelinePlan.make(name: "demo", spec: resource.spec, catalog: catalog)
        let run = PipelineRun(
            id: "r", namespace: "default", pipeline: "demo", spec: resource.spec, parameters: [:], startedBy: "me",
            created: start, experiment: nil,
            steps: plan.steps.map { StepRun(name: $0.name, uses: $0.uses, needs: $0.needs) })
        return RunState(run: run, plan: plan)
    }

    private func done(_ values: JSONObject = [:]) -> RunState.Outcome {
        .succeeded(CachedStep(runID: "r", artifacts: [:], values: values, params: [:], metrics: [], logged: [:]))
    }

    private let diamond = """
        steps: [{name: a, uses: p}, {name: b, uses: p, needs: [a]}, {name: c, uses: p, needs: [a]}, {name: d, uses: p, needs: [b, c]}]
        """

    @Test("steps start when what they need is done, as many as there are slots")
    func order() throws {
        var state = try state(diamond)
        #expect(state.advance(now: start, processSlots: 4) == [.launch(step: "a", attempt: 1)])
        #expect(state.takeChanges() == ["a"])
        #expect(state.advance(now: start, processSlots: 4) == [])
        state.ended(step: "a", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.launch(step: "b", attempt: 1)])
        #expect(state.advance(now: start, processSlots: 1) == [.launch(step: "c", attempt: 1)])
        state.ended(step: "b", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [])
        state.ended(step: "c", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [.launch(step: "d", attempt: 1)])
        state.ended(step: "d", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [.finish])
        #expect(state.run.state == .succeeded && state.run.progress == 1)
    }

    @Test("a failure skips what needs it, leaves the rest, and fails the run with its message")
    func failure() throws {
        var state = try state(diamond)
        _ = state.advance(now: start, processSlots: 4)
        state.ended(step: "a", attempt: 1, done(), cacheKey: nil, now: start)
        _ = state.advance(now: start, processSlots: 4)
        state.ended(step: "b", attempt: 1, .failed(message: "no data", isRetryable: true), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [])
        #expect(state.run["d"]?.state == .skipped)
        #expect(state.run["d"]?.message == "needs 'b', which failed")
        #expect(state.run.state == .running)
        state.ended(step: "c", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [.finish])
        #expect(state.run.state == .failed)
        #expect(state.run.message == "step 'b' failed: no data")
    }

    @Test("a step with retries waits longer after each failure, and gives up at the limit")
    func retries() throws {
        var state = try state("steps: [{name: a, uses: p, retries: {limit: 2, backoff: 10s, factor: 3}}]")
        _ = state.advance(now: start, processSlots: 1)
        state.ended(step: "a", attempt: 1, .failed(message: "x", isRetryable: true), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.wake(at: Timestamp(milliseconds: 11_000))])
        let second = Timestamp(milliseconds: 11_000)
        #expect(state.advance(now: second, processSlots: 1) == [.launch(step: "a", attempt: 2)])
        state.ended(step: "a", attempt: 1, done(), cacheKey: nil, now: second)
        #expect(state.run["a"]?.state == .running, "a stale attempt changes nothing")
        state.ended(step: "a", attempt: 2, .failed(message: "x", isRetryable: true), cacheKey: nil, now: second)
        #expect(state.advance(now: second, processSlots: 1) == [.wake(at: Timestamp(milliseconds: 41_000))])
        _ = state.advance(now: Timestamp(milliseconds: 41_000), processSlots: 1)
        state.ended(step: "a", attempt: 3, .failed(message: "last", isRetryable: true), cacheKey: nil, now: second)
        #expect(state.advance(now: second, processSlots: 1) == [.finish])
        #expect(state.run["a"]?.message == "last")
    }

    @Test("what cannot get better is not tried again")
    func hopeless() throws {
        var state = try state("steps: [{name: a, uses: p, retries: 5}]")
        _ = state.advance(now: start, processSlots: 1)
        state.ended(step: "a", attempt: 1, .failed(message: "wrong", isRetryable: false), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.finish])
    }

    @Test("a false condition skips the step and what needs it, and the run still succeeds")
    func condition() throws {
        var state = try state(
            """
            steps: [{name: a, uses: p}, {name: b, uses: p, when: '${steps.a.x} > 5'}, {name: c, uses: p, needs: [b]},
                    {name: last, uses: p, needs: [c], trigger: completed}]
            """)
        _ = state.advance(now: start, processSlots: 1)
        state.ended(step: "a", attempt: 1, done(["x": 3]), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.launch(step: "last", attempt: 1)])
        #expect(state.run.steps.map(\.state) == [.succeeded, .skipped, .skipped, .running])
        state.ended(step: "last", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.finish])
        #expect(state.run.state == .succeeded)
    }

    @Test("a condition on a value that was never given fails its step")
    func missingValue() throws {
        var state = try state("steps: [{name: a, uses: p}, {name: b, uses: p, when: '${steps.a.x} > 5'}]")
        _ = state.advance(now: start, processSlots: 1)
        state.ended(step: "a", attempt: 1, done(), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 1) == [.finish])
        #expect(state.run["b"]?.state == .failed)
        #expect(state.run["b"]?.message.contains("gave no 'x'") == true)
    }

    @Test("a run waits when only waiting steps are under way; server steps need no slot")
    func waiting() throws {
        var state = try state("steps: [{name: a, uses: s}, {name: b, uses: p}]")
        #expect(state.advance(now: start, processSlots: 0) == [.launch(step: "a", attempt: 1)])
        state.waits(step: "a", attempt: 1)
        #expect(state.run.state == .waiting)
        #expect(state.advance(now: start, processSlots: 1) == [.launch(step: "b", attempt: 1)])
        #expect(state.run.state == .running)
    }

    @Test("cancelling kills what runs and ends what has not begun")
    func cancelling() throws {
        var state = try state(diamond)
        _ = state.advance(now: start, processSlots: 4)
        #expect(state.cancel(now: start) == [.kill(step: "a")])
        #expect(state.cancel(now: start) == [])
        #expect(state.advance(now: start, processSlots: 4) == [])
        state.ended(step: "a", attempt: 1, .failed(message: "signal 15", isRetryable: true), cacheKey: nil, now: start)
        #expect(state.advance(now: start, processSlots: 4) == [.finish])
        #expect(state.run.state == .cancelled)
        #expect(Set(state.run.steps.map(\.state)) == [.cancelled])
    }

    @Test("after a restart running steps begin again, as a new attempt, and ended ones stay")
    func recovering() throws {
        var state = try state(diamond)
        _ = state.advance(now: start, processSlots: 4)
        state.ended(step: "a", attempt: 1, done(), cacheKey: nil, now: start)
        _ = state.advance(now: start, processSlots: 1)
        state.recover()
        #expect(state.run.steps.map(\.state) == [.succeeded, .pending, .pending, .pending])
        #expect(state.advance(now: start, processSlots: 1) == [.launch(step: "b", attempt: 2)])
    }

    @Test("a failed run goes on from the failed step; a succeeded one does not")
    func retrying() throws {
        var state = try state(diamond)
        _ = state.advance(now: start, processSlots: 4)
        state.ended(step: "a", attempt: 1, .failed(message: "x", isRetryable: true), cacheKey: nil, now: start)
        _ = state.advance(now: start, processSlots: 4)
        #expect(state.run.state == .failed)
        try state.retry()
        #expect(state.run.state == .running)
        #expect(state.advance(now: start, processSlots: 4) == [.launch(step: "a", attempt: 2)])
        let error = #expect(throws: AerieError.self) { try state.retry() }
        #expect(error?.code == .failedPrecondition)
    }
}
