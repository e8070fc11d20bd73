import AerieCore
import AerieJSON
import AerieResources
import Foundation
import Pipelines
import Synchronization
import Testing

@Suite("Running pipelines") struct PipelineRunnerTests {
    private let shop = Workshop()

    @Test("artifacts and values go from step to step, and everything is tracked")
    func chain() async throws {
        let runner = shop.runner([shop.writer("write")])
        let resource = try pipeline(
            """
            experiment: exp-${pipeline.name}
            parameters: {word: hello}
            steps:
            - {name: one, uses: write, with: {input: '${parameters.word}'}}
            - {name: two, uses: write, with: {input: '${steps.one.file}', amount: '${steps.one.length}'}}
            """)
        let started = try await runner.start(resource, parameters: ["word": "bye"], by: "ann")
        let run = try await runner.wait(started.id)
        #expect(run.state == .succeeded, "\(run.message)")
        #expect(run["two"]?.values["length"] == 17)
        let path = try await runner.artifactPath(run: run.id, step: "two", output: "file")
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "byecontentcontent")
        let log = shop.services.log
        #expect(log.started == ["exp-demo"] && log.finished == [true])
        #expect(log.params["parameters.word"] == "bye" && log.params["two.two.text"] == "content")
        #expect(Set(log.metrics.map(\.key)) == ["one.length", "two.length"])
        #expect(log.artifacts == ["one/one/file.txt": "byecontent", "two/two/file.txt": "byecontentcontent"])
        #expect(log.tags["aerie.step.one"] == "succeeded" && log.tags["aerie.pipelineRun"] == run.id)
        let chunk = try await runner.log(run: run.id, step: "one", offset: 0)
        #expect(chunk.text.contains("wrote 10") && chunk.isComplete)
        #expect(try await runner.log(run: run.id, step: "one", offset: chunk.nextOffset).text == "")
    }

    @Test("independent steps run at the same time, up to the limit", arguments: [1, 3])
    func parallelism(limit: Int) async throws {
        let running = Mutex((now: 0, most: 0))
        let step = FakeStep(name: "work") { _ throws(AerieError) in
            running.withLock {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            // Until as many run as may; one more than that would show in the moment after.
            for _ in 0..<3000 where running.withLock({ $0.most < limit }) {
                try? await Task.sleep(for: .milliseconds(10))
            }
            try? await Task.sleep(for: .milliseconds(20))
            running.withLock { $0.now -= 1 }
            return StepResult()
        }
        let runner = shop.runner([step], parallel: limit)
        let names = (0..<6).map { "{name: s\($0), uses: work, cache: false}" }.joined(separator: ", ")
        let first = try await runner.start(try pipeline("steps: [\(names)]"), parameters: [:], by: "me")
        let second = try await runner.start(try pipeline("steps: [\(names)]", name: "other"), parameters: [:], by: "me")
        #expect(try await runner.wait(first.id).state == .succeeded)
        #expect(try await runner.wait(second.id).state == .succeeded)
        #expect(running.withLock { $0.most } == limit)
    }

    @Test("a failure says why, skips its dependents, and a retry goes on from there")
    func failureAndRetry() async throws {
        let isMended = Mutex(false)
        let fragile = FakeStep(name: "fragile") { context throws(AerieError) in
            if isMended.withLock({ $0 }) { return StepResult() }
            throw AerieError(.failedPrecondition, "column 'amount' has 3 nulls")
        }
        let runner = shop.runner([shop.writer("write"), fragile])
        let resource = try pipeline(
            """
            experiment: e
            steps: [{name: a, uses: write}, {name: b, uses: fragile, needs: [a]}, {name: c, uses: write, needs: [b]}]
            """)
        let id = try await runner.start(resource, parameters: [:], by: "me").id
        let failed = try await runner.wait(id)
        #expect(failed.state == .failed)
        #expect(failed.message == "step 'b' failed: column 'amount' has 3 nulls")
        #expect(failed.steps.map(\.state) == [.succeeded, .failed, .skipped])
        #expect(shop.services.log.finished == [false])
        #expect(try await runner.log(run: id, step: "b", offset: 0).text.contains("3 nulls"))
        isMended.withLock { $0 = true }
        _ = try await runner.retry(id)
        let mended = try await runner.wait(id)
        #expect(mended.state == .succeeded)
        #expect(mended["b"]?.attempt == 2)
        #expect(shop.called("a") == 1)
        #expect(shop.services.log.finished == [false, true] && shop.services.log.started.count == 1)
        let again = await #expect(throws: AerieError.self) { _ = try await runner.retry(id) }
        #expect(again?.code == .failedPrecondition)
    }

    @Test("a step with retries is tried again by itself")
    func automaticRetry() async throws {
        let shop = shop
        let flaky = FakeStep(name: "flaky") { _ throws(AerieError) in
            if shop.count("flaky") < 3 { throw AerieError(.unavailable, "not yet") }
            return StepResult()
        }
        let runner = shop.runner([flaky])
        let id = try await runner.start(
            try pipeline("steps: [{name: a, uses: flaky, retries: {limit: 3, backoff: 10ms}}]"), parameters: [:],
            by: "me"
        ).id
        let run = try await runner.wait(id)
        #expect(run.state == .succeeded)
        #expect(run["a"]?.attempt == 3)
    }

    @Test("the same inputs are taken from the cache; others, a new version and changed files are not")
    func caching() async throws {
        let file = NSTemporaryDirectory() + "aerie-cache-\(UUID().uuidString).csv"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try "first".write(toFile: file, atomically: true, encoding: .utf8)
        let yaml = """
            experiment: e
            parameters: {file: '\(file)'}
            steps: [{name: a, uses: write, with: {input: '${parameters.file}'}}, {name: b, uses: write, with: {input: '${steps.a.file}'}}]
            """
        func states(_ runner: PipelineRunner) async throws -> [StepRun.State] {
            let id = try await runner.start(try pipeline(yaml), parameters: [:], by: "me").id
            return try await runner.wait(id).steps.map(\.state)
        }
        let runner = shop.runner([shop.writer("write")])
        #expect(try await states(runner) == [.succeeded, .succeeded])
        #expect(try await states(runner) == [.cached, .cached])
        #expect(shop.called("a") == 1 && shop.called("b") == 1)
        #expect(shop.services.log.tags["aerie.step.b"] == "cached" && shop.services.log.finished.count == 2)
        try "other".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await states(runner) == [.succeeded, .succeeded])
        var newer = shop.writer("write")
        newer.version = 2
        #expect(try await states(shop.runner([newer])) == [.succeeded, .succeeded])
        // Results whose files are gone are no results.
        for run in try FileManager.default.contentsOfDirectory(atPath: shop.folder) {
            try? FileManager.default.removeItem(atPath: "\(shop.folder)/\(run)/b")
        }
        #expect(try await states(runner) == [.cached, .succeeded])
    }

    @Test("cancelling ends a running step and the run")
    func cancelling() async throws {
        let shop = shop
        let slow = FakeStep(name: "slow") { _ throws(AerieError) in
            shop.count("begun")
            do { try await Task.sleep(for: .seconds(60)) } catch { throw AerieError(.cancelled, "stopped") }
            return StepResult()
        }
        let runner = shop.runner([slow])
        let id = try await runner.start(
            try pipeline("steps: [{name: a, uses: slow}, {name: b, uses: slow, needs: [a]}]"), parameters: [:], by: "me"
        ).id
        while shop.called("begun") == 0 { try await Task.sleep(for: .milliseconds(2)) }
        #expect(try await runner.cancel(id).isCancelRequested)
        let run = try await runner.wait(id)
        #expect(run.state == .cancelled && run.steps.map(\.state) == [.cancelled, .cancelled])
        let again = await #expect(throws: AerieError.self) { _ = try await runner.cancel(id) }
        #expect(again?.code == .failedPrecondition)
    }

    @Test("a step that takes too long is ended and says so")
    func timeout() async throws {
        let slow = FakeStep(name: "slow") { _ throws(AerieError) in
            do { try await Task.sleep(for: .seconds(60)) } catch { throw AerieError(.cancelled, "stopped") }
            return StepResult()
        }
        let runner = shop.runner([slow])
        let id = try await runner.start(
            try pipeline("steps: [{name: a, uses: slow, timeout: 50ms}]"), parameters: [:], by: "me"
        ).id
        let run = try await runner.wait(id)
        #expect(run.state == .failed)
        #expect(run.message.contains("longer than its timeout"))
    }

    @Test("after a restart a new runner goes on: done steps stay, the one under way begins again in a clean folder")
    func restart() async throws {
        let shop = shop
        let isSecond = Mutex(false)
        let slow = FakeStep(name: "slow", parameters: .object([Field("input", .string)]), outputs: ["x"]) {
            context throws(AerieError) in
            let begun = shop.count("slow")
            let left = (try? FileManager.default.contentsOfDirectory(atPath: context.workDirectory)) ?? ["?"]
            try? "half".write(toFile: context.workDirectory + "/half", atomically: true, encoding: .utf8)
            if !isSecond.withLock({ $0 }) {
                do { try await Task.sleep(for: .seconds(60)) } catch { throw AerieError(.cancelled, "killed") }
            }
            return StepResult(values: ["x": .int(Int64(begun)), "left": .int(Int64(left.count))])
        }
        let yaml =
            "experiment: e\nsteps: [{name: a, uses: write}, {name: b, uses: slow, with: {input: '${steps.a.file}'}}]"
        let first = shop.runner([shop.writer("write"), slow])
        let id = try await first.start(try pipeline(yaml), parameters: [:], by: "me").id
        while shop.called("slow") == 0 { try await Task.sleep(for: .milliseconds(2)) }
        await first.stop()
        #expect(try await shop.store.run(id)["b"]?.state == .running)
        isSecond.withLock { $0 = true }
        let second = shop.runner([shop.writer("write"), slow])
        try await second.recover()
        let run = try await second.wait(id)
        #expect(run.state == .succeeded)
        #expect(run["b"]?.values == ["x": 2, "left": 0])
        #expect(run["b"]?.attempt == 2 && run["a"]?.attempt == 1)
        #expect(shop.called("a") == 1)
        #expect(shop.services.log.started.count == 1)
    }

    @Test("a run whose step kinds are gone after a restart ends with the reason")
    func lostKind() async throws {
        let shop = shop
        let hang = FakeStep(name: "hang") { _ throws(AerieError) in
            shop.count("hang")
            try? await Task.sleep(for: .seconds(60))
            throw AerieError(.cancelled, "killed")
        }
        let first = shop.runner([hang])
        let id = try await first.start(try pipeline("steps: [{name: a, uses: hang}]"), parameters: [:], by: "me").id
        while shop.called("hang") == 0 { try await Task.sleep(for: .milliseconds(2)) }
        await first.stop()
        let second = shop.runner([shop.writer("write")])
        try await second.recover()
        let run = try await second.run(id)
        #expect(run.state == .failed && run.message.contains("'hang' is no kind of step"))
    }

    private func approval() -> FakeStep {
        FakeStep(name: "approve", outputs: ["by"], placement: .server, isCacheable: false) {
            context throws(AerieError) in
            while !Task.isCancelled {
                if let decision = try await context.services?.decision(runID: context.runID, step: context.step) {
                    if decision.isApproved { return StepResult(values: ["by": .string(decision.by)]) }
                    throw AerieError(.failedPrecondition, "rejected by \(decision.by): \(decision.comment)")
                }
                try? await Task.sleep(for: .milliseconds(10))
            }
            throw AerieError(.cancelled, "cancelled")
        }
    }

    @Test("an approval makes the run wait, survives a restart, and lets it go on")
    func approving() async throws {
        let steps = [shop.writer("write"), approval()]
        let yaml = "steps: [{name: gate, uses: approve}, {name: after, uses: write, needs: [gate]}]"
        let first = shop.runner(steps)
        let id = try await first.start(try pipeline(yaml), parameters: [:], by: "me").id
        #expect(try await first.wait(id) { $0.state == .waiting }.state == .waiting)
        let early = await #expect(throws: AerieError.self) {
            _ = try await first.decide(run: id, step: "after", isApproved: true, by: "bo", comment: "")
        }
        #expect(early?.code == .failedPrecondition)
        await first.stop()
        let second = shop.runner(steps)
        try await second.recover()
        #expect(try await second.wait(id) { $0.state == .waiting }["gate"]?.state == .waiting)
        #expect(try await second.decide(run: id, step: nil, isApproved: true, by: "bo", comment: "ok") == "gate")
        let run = try await second.wait(id)
        #expect(run.state == .succeeded && run["gate"]?.values["by"] == "bo")
    }

    @Test("a rejection fails the run with its comment; a retry asks again")
    func rejecting() async throws {
        let runner = shop.runner([approval()])
        let id = try await runner.start(try pipeline("steps: [{name: gate, uses: approve}]"), parameters: [:], by: "me")
            .id
        _ = try await runner.wait(id) { $0.state == .waiting }
        _ = try await runner.decide(run: id, step: "gate", isApproved: false, by: "cy", comment: "too few rows")
        let run = try await runner.wait(id)
        #expect(run.message == "step 'gate' failed: rejected by cy: too few rows")
        _ = try await runner.retry(id)
        #expect(try await runner.wait(id) { $0.state == .waiting }.state == .waiting)
        _ = try await runner.cancel(id)
        #expect(try await runner.wait(id).state == .cancelled)
    }

    @Test("a store that fails for a while loses nothing")
    func failingStore() async throws {
        let shop = shop
        let step = FakeStep(name: "work") { _ throws(AerieError) in
            shop.store.failNextSaves(2)
            return StepResult(values: ["x": 1])
        }
        let runner = shop.runner([step])
        let id = try await runner.start(try pipeline("steps: [{name: a, uses: work}]"), parameters: [:], by: "me").id
        let run = try await runner.wait(id)
        #expect(run.state == .succeeded && run["a"]?.values == ["x": 1])
    }

    @Test("a step is saved as running before it runs, and every final state is saved")
    func persistsFirst() async throws {
        let shop = shop
        let step = FakeStep(name: "look") { context throws(AerieError) in
            let stored = try await shop.store.run(context.runID)
            return StepResult(values: ["seen": .string(stored[context.step]?.state.rawValue ?? "nothing")])
        }
        let runner = shop.runner([step])
        let id = try await runner.start(try pipeline("steps: [{name: a, uses: look}]"), parameters: [:], by: "me").id
        #expect(try await runner.wait(id)["a"]?.values["seen"] == "running")
        #expect(shop.store.saves.map { $0["a"] } == [.running, .succeeded])
    }

    @Test(
        "artifacts outside the work folder, or not written, fail the step",
        arguments: ["../other", "/etc/passwd", "missing.bin", ""])
    func wrongArtifacts(path: String) async throws {
        let step = FakeStep(name: "liar", outputs: ["f"]) { _ in StepResult(artifacts: ["f": path]) }
        let runner = shop.runner([step])
        let id = try await runner.start(try pipeline("steps: [{name: a, uses: liar}]"), parameters: [:], by: "me").id
        let run = try await runner.wait(id)
        #expect(run.state == .failed && run.message.contains("artifact 'f'"))
    }

    @Test("values of the wrong type that come through a reference are refused by name")
    func wrongReferencedValue() async throws {
        let giver = FakeStep(name: "give", outputs: ["amount"]) { _ in StepResult(values: ["amount": "much"]) }
        let runner = shop.runner([giver, shop.writer("write")])
        let id = try await runner.start(
            try pipeline("steps: [{name: a, uses: give}, {name: b, uses: write, with: {amount: '${steps.a.amount}'}}]"),
            parameters: [:], by: "me"
        ).id
        #expect(try await runner.wait(id).message.contains("with.amount: must be a number"))
    }

    @Test("listeners see every transition and the progress, and the run at its end")
    func events() async throws {
        let step = FakeStep(name: "work") { context throws(AerieError) in
            context.progress(0.5, "half")
            context.progress(1, "whole")
            return StepResult()
        }
        let runner = shop.runner([step])
        let events = runner.events()
        let seen = Task {
            var lines: [String] = []
            for await event in events {
                lines.append(event.json["type"]?.string ?? "")
                if case .run(let run) = event, run.state.isFinal { break }
            }
            return lines
        }
        _ = try await runner.start(try pipeline("steps: [{name: a, uses: work}]"), parameters: [:], by: "me")
        #expect(await seen.value == ["step", "run", "progress", "progress", "step", "run"])
    }

    @Test("a run and its steps come back from JSON as they were")
    func json() async throws {
        let runner = shop.runner([shop.writer("write")])
        let id = try await runner.start(try pipeline("steps: [{name: a, uses: write}]"), parameters: [:], by: "me").id
        let run = try await runner.wait(id)
        let text = JSONValue.object(run.json()).text()
        let parsed = try #require(try JSONValue.parse(text).object)
        #expect(try PipelineRun(json: parsed) == run)
    }
}
