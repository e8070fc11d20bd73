import AerieCore
import AerieJSON
import AerieResources
import Logging
import Synchronization
import Testing

/// Counts what it is asked, fails as often as it is told, and notices if two workers have one object.
private final class RecordingReconciler: Reconciler {
    struct State {
        var reconciled: [String] = []
        var removed: [String] = []
        var running: Set<String> = []
        var overlaps = 0
        var failuresLeft = 0
    }

    let kind = "Gadget"
    let state: Mutex<State>
    let pause: Duration

    init(failures: Int = 0, pause: Duration = .zero) {
        state = Mutex(State(failuresLeft: failures))
        self.pause = pause
    }

    func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let name = resource.metadata.name
        let fails = state.withLock { state in
            state.reconciled.append("\(name):\(resource.metadata.generation)")
            if !state.running.insert(name).inserted { state.overlaps += 1 }
            state.failuresLeft -= 1
            return state.failuresLeft >= 0
        }
        try? await Task.sleep(for: pause)
        state.withLock { _ = $0.running.remove(name) }
        if fails { throw AerieError(.unavailable, "the engine is away", reason: "engine.away") }
        return Reconciliation(status: ["size": resource.spec["size"] ?? .null])
    }

    func removed(_ resource: Resource) async throws(AerieError) {
        state.withLock { $0.removed.append(resource.metadata.name) }
    }
}

@Suite struct ReconcileLoopTests {
    /// Runs the loop around a body, and waits until it has ended.
    private func running(
        _ fixture: PlatformFixture, _ reconcilers: [any Reconciler], _ body: (ResourceService) async throws -> Void
    ) async throws {
        let loop = ReconcileLoop(
            service: fixture.service, reconcilers: reconcilers, logger: Logger(label: "test"),
            sleep: { pause in
                #expect(pause >= .seconds(1))
                try await Task.sleep(for: .milliseconds(5))
            })
        let task = Task { await loop.run() }
        defer { task.cancel() }
        try await body(fixture.service)
        task.cancel()
        await task.value
    }

    private func wait(_ what: String, _ condition: () async throws -> Bool) async throws {
        for _ in 0..<1000 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("did not happen: \(what)")
    }

    @Test("what is there at the start and what changes later is brought to its spec, with the status written")
    func drives() async throws {
        let fixture = try PlatformFixture()
        _ = try await fixture.service.apply(PlatformFixture.gadget("old"), actor: "x")
        let reconciler = RecordingReconciler()
        try await running(fixture, [reconciler]) { service in
            let old = ResourceKey(kind: "Gadget", name: "old")
            try await wait("the first is ready") { try await service.get(old).isReady }
            let since = try await service.get(old).conditions.first?.since
            _ = try await service.apply(PlatformFixture.gadget("old", size: 4), actor: "x")
            try await wait("the change is seen") { try await service.get(old).status?["size"] == 4 }
            let now = try await service.get(old)
            #expect(now.isReady && now.status?["observedGeneration"] == 2 && now.conditions.first?.since == since)
            _ = try await service.delete(old, actor: "x")
            try await wait("it is taken down") { reconciler.state.withLock { $0.removed == ["old"] } }
        }
        #expect(reconciler.state.withLock { $0.reconciled } == ["old:1", "old:2"])
    }

    @Test("settings may stand in annotations: a change of them alone is carried out, one of the status is not")
    func annotations() async throws {
        let fixture = try PlatformFixture()
        _ = try await fixture.service.apply(PlatformFixture.gadget("a"), actor: "x")
        let reconciler = RecordingReconciler()
        try await running(fixture, [reconciler]) { service in
            let key = ResourceKey(kind: "Gadget", name: "a")
            try await wait("it is ready") { try await service.get(key).isReady }
            let annotated = PlatformFixture.gadget("a").replacing(
                "  name: a\n", with: "  name: a\n  annotations: {speed: high}\n")
            _ = try await service.apply(annotated, actor: "x")
            try await wait("it is seen") { reconciler.state.withLock { $0.reconciled.count == 2 } }
            _ = try await service.apply(PlatformFixture.gadget("b"), actor: "x")
            try await wait("what came after it is ready") {
                try await service.get(ResourceKey(kind: "Gadget", name: "b")).isReady
            }
        }
        #expect(reconciler.state.withLock { $0.reconciled } == ["a:1", "a:1", "b:1"])
    }

    @Test("what others keep in the status of a kind without a reconciler stays through any change of the spec")
    func keptStatus() async throws {
        let fixture = try PlatformFixture()
        try await running(fixture, []) { service in
            let key = ResourceKey(kind: "Gadget", name: "a")
            _ = try await service.apply(PlatformFixture.gadget("a"), actor: "x")
            try await wait("it is ready") { try await service.get(key).isReady }
            let uid = try await service.get(key).metadata.uid
            try await service.changeStatus(key, uid: uid) { $0["mark"] = "far" }
            _ = try await service.apply(PlatformFixture.gadget("a", size: 5), actor: "x")
            try await wait("the change is seen") { try await service.get(key).isReady }
            let status = try await service.get(key).status
            #expect(status?["mark"] == "far" && status?["observedGeneration"] == 2)
        }
    }

    @Test("a failure is written as a condition and tried again until it succeeds")
    func retries() async throws {
        let fixture = try PlatformFixture()
        let reconciler = RecordingReconciler(failures: 3)
        try await running(fixture, [reconciler]) { service in
            let key = ResourceKey(kind: "Gadget", name: "a")
            let events = service.watch(kind: "Gadget")
            _ = try await service.apply(PlatformFixture.gadget("a"), actor: "x")
            var sawFailure = false
            for await event in events {
                if let condition = event.resource.conditions.first, !condition.isTrue {
                    sawFailure = true
                    #expect(condition.reason == "engine.away" && condition.message == "the engine is away")
                }
                if event.resource.isReady { break }
            }
            #expect(sawFailure)
            #expect(try await service.get(key).isReady)
        }
        #expect(reconciler.state.withLock { $0.reconciled.count } == 4)
    }

    @Test("objects are reconciled at once, but no object by two workers")
    func serialised() async throws {
        let fixture = try PlatformFixture()
        let reconciler = RecordingReconciler(pause: .milliseconds(3))
        try await running(fixture, [reconciler]) { service in
            for round in 1...8 {
                for name in ["a", "b", "c"] {
                    _ = try await service.apply(PlatformFixture.gadget(name, size: round), actor: "x")
                }
            }
            for name in ["a", "b", "c"] {
                try await wait("\(name) is at its last spec") {
                    try await service.get(ResourceKey(kind: "Gadget", name: name)).status?["size"] == 8
                }
            }
        }
        #expect(reconciler.state.withLock { $0.overlaps } == 0)
    }

    @Test("a kind without a reconciler is ready once it is declared")
    func declared() async throws {
        let fixture = try PlatformFixture()
        let note = "apiVersion: aerie.dev/v1\nkind: Note\nmetadata: {name: n}\nspec: {any: thing}\n"
        try await running(fixture, []) { service in
            _ = try await service.apply(note, actor: "x")
            let key = ResourceKey(kind: "Note", name: "n")
            try await wait("it is declared") { try await service.get(key).isReady }
            #expect(try await service.get(key).conditions.first?.reason == "Declared")
            _ = try await service.apply(note.replacing("thing", with: "other"), actor: "x")
            try await wait("the change is declared, too") {
                let now = try await service.get(key)
                return now.isReady && now.metadata.generation == 2
            }
        }
    }
}
