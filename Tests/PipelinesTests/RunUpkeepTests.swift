import AerieCore
import AerieJSON
import AerieResources
import Foundation
import Pipelines
import Synchronization
import Testing

@Suite("What runs leave behind, and what they name") struct RunUpkeepTests {
    private let shop = Workshop()

    @Test("a parameter that names an applied resource gives the step its content; a change of it is no cache hit")
    func namedResource() async throws {
        let seen = Mutex<[String]>([])
        var step = FakeStep(name: "check", parameters: .object([Field("suite", .any, required: true)])) {
            context throws(AerieError) in
            seen.withLock { $0.append(context.parameters["suite"]?["spec"]?["limit"]?.text() ?? "inline") }
            return StepResult()
        }
        step.resourceParameters = ["suite": "Suite"]
        let runner = shop.runner([step])
        func run(_ suite: String) async throws -> PipelineRun {
            let text = "parameters: {s: strict}\nsteps: [{name: a, uses: check, with: {suite: \(suite)}}]"
            return try await runner.wait(try await runner.start(try pipeline(text), parameters: [:], by: "me").id)
        }
        let key = ResourceKey(kind: "Suite", namespace: "default", name: "strict")
        func apply(_ limit: Int64) {
            let suite = Resource(
                apiVersion: "aerie.dev/v1", kind: "Suite", metadata: ResourceMetadata(name: "strict"),
                spec: ["limit": .int(limit)])
            shop.services.applied.withLock { $0[key] = suite }
        }
        let missing = try await run("strict")
        #expect(missing.state == .failed && missing.message.contains("there is no Suite 'strict' in namespace 'default'"))
        apply(1)
        #expect(try await run("'${parameters.s}'").state == .succeeded)
        #expect(try await run("strict")["a"]?.state == .cached)
        apply(2)
        #expect(try await run("strict")["a"]?.state == .succeeded)
        #expect(try await run("{limit: 3}").state == .succeeded)
        #expect(seen.withLock { $0 } == ["1", "2", "inline"])
    }

    @Test("files of old runs go, those whose results a kept run took stay, and a run without files is not retried")
    func sweeping() async throws {
        let isMended = Mutex(false)
        let fragile = FakeStep(name: "fragile", isCacheable: false) { _ throws(AerieError) in
            if isMended.withLock({ $0 }) { return StepResult() }
            throw AerieError(.failedPrecondition, "no")
        }
        let runner = shop.runner([shop.writer("write"), fragile], kept: 2)
        func start(_ word: String, _ more: String = "") async throws -> String {
            let text = "steps: [{name: a, uses: write, with: {input: \(word)}}\(more)]"
            let id = try await runner.start(try pipeline(text), parameters: [:], by: "me").id
            _ = try await runner.wait(id)
            return id
        }
        func isThere(_ id: String) -> Bool { FileManager.default.fileExists(atPath: shop.folder + "/" + id) }
        func isGone(_ id: String) async throws -> Bool {
            for _ in 0..<400 where isThere(id) { try await Task.sleep(for: .milliseconds(5)) }
            return !isThere(id)
        }
        let source = try await start("one")
        let failed = try await start("two", ", {name: b, uses: fragile, needs: [a]}")
        let taker = try await start("one")
        #expect(try await runner.run(taker)["a"]?.cachedFrom == source)
        let last = try await start("three")
        #expect(try await isGone(failed))
        #expect(isThere(source) && isThere(taker) && isThere(last))
        isMended.withLock { $0 = true }
        let error = await #expect(throws: AerieError.self) { _ = try await runner.retry(failed) }
        #expect(error?.reason == "pipelineRun.filesGone")
        // Once nobody who is kept needs it, it goes, too.
        _ = try await start("four")
        _ = try await start("five")
        #expect(try await isGone(source))
    }

    @Test("a tracking run that was started but not saved is found again")
    func orphan() async throws {
        let runner = shop.runner([shop.writer("write")])
        // The commit that would have held its identifier fails; then the process "ends".
        shop.store.failNextSaves(1)
        await #expect(throws: AerieError.self) {
            _ = try await runner.start(
                try pipeline("experiment: e\nsteps: [{name: a, uses: write}]"), parameters: [:], by: "me")
        }
        #expect(shop.services.log.started.count == 1)
        let next = shop.runner([shop.writer("write")])
        try await next.recover()
        let id = try #require(try await next.runs(PipelineRunFilter()).first?.id)
        let run = try await next.wait(id)
        #expect(run.state == .succeeded && run.trackingRun == "tracking-1")
        #expect(shop.services.log.started.count == 1)
    }
}
