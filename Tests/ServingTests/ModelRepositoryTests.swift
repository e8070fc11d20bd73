import AerieCore
import AerieJSON
import AerieResources
import Foundation
import Logging
import Synchronization
import Testing

@testable import Serving

/// How the work failed; `nil` if it did not.
private func code(_ work: () async throws(AerieError) -> Void) async -> AerieError.Code? {
    do throws(AerieError) { try await work() } catch { return error.code }
    return nil
}

@Suite("Models that come and go")
struct ModelRepositoryTests {
    private let folder = TemporaryFolder()
    private let source = FakeSource()
    private let format = FakeFormat(pause: 0.001)
    private let service = ServingService()

    /// A kilobyte of memory for each model, by their own word.
    private func controller(memory: Int) -> SeldonDeploymentController {
        SeldonDeploymentController(
            service: service, source: source, loader: ModelLoader(formats: [format]), clock: ManualClock(),
            modelMemory: memory, uploads: folder.path + "/uploads",
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            inferenceURL: { "http://127.0.0.1:8000" })
    }

    private func declare(
        _ name: String, value: String = "0.5", version: String = "1", load: String? = "on-demand"
    ) throws -> Resource {
        let uri = "models:/\(name)/\(version)"
        source.set(uri, path: try folder.write("\(name)-\(version).ubj", value), version: version)
        var annotations = ["aerie.dev/memory": "1KB"]
        annotations["aerie.dev/load"] = load
        return Resource(
            apiVersion: "machinelearning.seldon.io/v1", kind: "SeldonDeployment",
            metadata: ResourceMetadata(name: name, annotations: annotations, resourceVersion: 1),
            spec: ["predictors": [["name": "main", "graph": ["name": "m", "modelUri": .string(uri)]]]])
    }

    private func answer(_ name: String) -> Float? {
        (service.current().deployment(named: name)?.predictors.first?.model as? ConstantModel)?.value
    }

    @Test("a model that is loaded on demand sleeps until it is asked for, and is loaded once for many who ask")
    func onDemand() async throws {
        let controller = controller(memory: 10 << 10)
        let result = try await controller.reconcile(try declare("a"))
        #expect(result.status["state"]?.string == "Available" && format.loaded.isEmpty)
        #expect(service.current().sleeping == ["a"] && answer("a") == nil)
        #expect(service.state(named: "a")?.state == .unavailable)
        let failures = await withTaskGroup(of: AerieError.Code?.self) { group in
            for _ in 0..<20 { group.addTask { await code { () throws(AerieError) in try await controller.wake("a") } } }
            var failures: [AerieError.Code] = []
            for await failure in group { if let failure { failures.append(failure) } }
            return failures
        }
        #expect(failures.isEmpty && format.loaded.count == 1)
        #expect(answer("a") == 0.5 && service.current().sleeping.isEmpty)
        #expect(service.state(named: "a")?.state == .ready)
        #expect(await code { () throws(AerieError) in try await controller.wake("b") } == .notFound)
    }

    @Test("the model that was not asked for the longest leaves when another needs its room, and comes back")
    func eviction() async throws {
        let controller = controller(memory: 3 << 10)
        for (index, name) in ["a", "b", "c", "d"].enumerated() {
            _ = try await controller.reconcile(try declare(name, value: "0.\(index + 1)"))
        }
        for (index, name) in ["a", "b", "c"].enumerated() {
            try await controller.wake(name)
            service.current().deployment(named: name)?.touch(UInt64(10 + index))
        }
        service.current().deployment(named: "a")?.touch(20)
        let used = try #require(service.current().deployment(named: "b"))
        try await controller.wake("d")
        #expect(service.current().sleeping == ["b"] && service.current().deployments.map(\.name) == ["a", "c", "d"])
        #expect(used.predictors[0].model is ConstantModel, "who has it in hand keeps it")
        try await controller.wake("b")
        #expect(answer("b") == 0.2 && service.current().deployments.count == 3)
    }

    @Test("a model that is larger than the room is refused, and nobody leaves for it")
    func tooLarge() async throws {
        let controller = controller(memory: 2 << 10)
        _ = try await controller.reconcile(try declare("a"))
        try await controller.wake("a")
        var large = try declare("large")
        large.metadata.annotations["aerie.dev/memory"] = "3KB"
        _ = try await controller.reconcile(large)
        #expect(await code { () throws(AerieError) in try await controller.wake("large") } == .resourceExhausted)
        #expect(answer("a") == 0.5 && service.current().sleeping == ["large"])
    }

    @Test("one that does not load says why, sleeps on, and is tried again")
    func failing() async throws {
        let controller = controller(memory: 10 << 10)
        _ = try await controller.reconcile(try declare("a", value: "no number"))
        #expect(await code { () throws(AerieError) in try await controller.wake("a") } == .failedPrecondition)
        #expect(service.current().sleeping == ["a"])
        try folder.write("a-1.ubj", "0.7")
        try await controller.wake("a")
        #expect(answer("a") == 0.7)
    }

    @Test("models that are loaded always stay, whatever comes; unloaded by a request they are gone until loaded by one")
    func unloading() async throws {
        let controller = controller(memory: 1 << 10)
        let pinned = try declare("pinned", load: "always")
        _ = try await controller.reconcile(pinned)
        for name in ["a", "b"] {
            _ = try await controller.reconcile(try declare(name))
            try await controller.wake(name)
        }
        #expect(answer("pinned") == 0.5 && service.current().sleeping == ["a"])
        try await controller.unload("pinned")
        #expect(answer("pinned") == nil && service.current().sleeping == ["a"])
        _ = try await controller.reconcile(pinned)
        #expect(answer("pinned") == nil, "a new look at the declaration does not undo the request")
        let state = try #require(controller.index().first { $0.name == "pinned" })
        #expect(state.state == .unavailable && state.reason.contains("unloaded"))
        try await controller.load("pinned", policy: nil, files: [:])
        #expect(answer("pinned") == 0.5)
        try await controller.unload("b")
        #expect(await code { () throws(AerieError) in try await controller.wake("b") } == .notFound)
        #expect(await code { () throws(AerieError) in try await controller.unload("nobody") } == .notFound)
    }

    @Test("a name that no deployment has is the registry's newest version, until it is unloaded")
    func fromRegistry() async throws {
        let controller = controller(memory: 1 << 20)
        #expect(await code { () throws(AerieError) in try await controller.load("m", policy: nil, files: [:]) } != nil)
        #expect(controller.index().isEmpty)
        source.set("models:/m/latest", path: try folder.write("m.ubj", "0.25"), version: "4")
        try await controller.load("m", policy: nil, files: [:])
        #expect(answer("m") == 0.25 && service.state(named: "m")?.predictors.first?.modelVersion == "4")
        source.set("models:/m/latest", path: try folder.write("m5.ubj", "0.75"), version: "5")
        try await controller.load("m", policy: nil, files: [:])
        #expect(answer("m") == 0.75)
        try await controller.unload("m")
        #expect(controller.index().isEmpty && answer("m") == nil)
    }

    @Test("files come with the request; those that do not load leave the model before them")
    func files() async throws {
        let controller = controller(memory: 1 << 20)
        let policy = try ServingPolicy(modelConfig: ["response_cache": ["enable": true]])
        try await controller.load("f", policy: policy, files: ["1/model.ubj": Array("0.1".utf8)])
        #expect(answer("f") == 0.1)
        #expect(service.current().deployments[0].predictors[0].policy.cachesResponses)
        try await controller.load(
            "f", policy: policy, files: ["1/model.ubj": Array("0.1".utf8), "2/model.ubj": Array("0.2".utf8)])
        #expect(answer("f") == 0.2, "the newest version answers")
        let broken = ["3/model.ubj": Array("nothing".utf8)]
        let failure = await code { () throws(AerieError) in
            try await controller.load("f", policy: policy, files: broken)
        }
        #expect(failure == .failedPrecondition)
        #expect(answer("f") == 0.2)
        for name in ["../x", "1/../x", "model.ubj", "0/model.ubj", "1/", "a/b/c"] {
            let wrong = [name: Array("0.1".utf8)]
            #expect(
                await code { () throws(AerieError) in try await controller.load("g", policy: policy, files: wrong) }
                    == .invalidArgument, "\(name)")
        }
        #expect(answer("g") == nil)
        let declared = try declare("declared", load: "always")
        _ = try await controller.reconcile(declared)
        #expect(
            await code { () throws(AerieError) in
                try await controller.load("declared", policy: policy, files: ["1/m.ubj": Array("0.1".utf8)])
            } == .failedPrecondition)
    }

    @Test("many that are asked for at once with room for one come one after the other; none leaves before it is there")
    func crowded() async throws {
        let controller = controller(memory: 1 << 10)
        let names = (0..<12).map { "m\($0)" }
        for name in names { _ = try await controller.reconcile(try declare(name)) }
        let largest = Mutex(0)
        service.subscribe { table in largest.withLock { $0 = max($0, table.deployments.count) } }
        let failures = await withTaskGroup(of: AerieError.Code?.self) { group in
            for name in names {
                group.addTask { await code { () throws(AerieError) in try await controller.wake(name) } }
            }
            return await group.reduce(into: [AerieError.Code]()) { all, one in if let one { all.append(one) } }
        }
        #expect(failures.isEmpty && format.loaded.count == 12)
        #expect(service.current().deployments.count == 1 && service.current().sleeping.count == 11)
        #expect(largest.withLock { $0 } == 1, "never more than there is room for")
    }

    @Test("hundreds of small models on one node: each answers when it is asked for, within the memory for a tenth")
    func hundreds() async throws {
        let controller = controller(memory: 30 << 10)
        for index in 0..<300 { _ = try await controller.reconcile(try declare("m\(index)", value: "\(index)")) }
        #expect(service.current().sleeping.count == 300)
        for index in 0..<300 {
            try await controller.wake("m\(index)")
            #expect(answer("m\(index)") == Float(index))
            service.current().deployment(named: "m\(index)")?.touch(UInt64(index))
            #expect(service.current().deployments.count <= 30)
        }
        #expect(service.current().deployments.count == 30 && service.current().sleeping.count == 270)
        #expect(Set(service.current().deployments.map(\.name)) == Set((270..<300).map { "m\($0)" }))
    }
}

@Suite("The memory of models that come and go")
struct ModelBudgetTests {
    @Test("the least recently used leave first, no more than are needed, and never for what cannot fit")
    func admission() throws {
        var budget = ModelBudget(capacity: 100)
        let used: [String: UInt64] = ["a": 3, "b": 1, "c": 2]
        func admit(_ name: String, _ bytes: Int, staying: Set<String> = []) throws -> [String]? {
            try budget.admit(name, bytes: bytes, staying: staying) { used[$0] ?? 0 }
        }
        for name in ["a", "b", "c"] { #expect(try admit(name, 30) == []) }
        #expect(try admit("d", 40, staying: ["a", "b", "c"]) == nil && budget.used == 90, "nothing has changed")
        #expect(try admit("d", 40) == ["b"])
        #expect(budget.used == 100 && !budget.holds("b"))
        #expect(try admit("e", 60) == ["d", "c"])
        #expect(try admit("e", 50) == [])
        #expect(budget.used == 80)
        #expect(throws: AerieError.self) { try admit("f", 101) }
        #expect(budget.used == 80 && budget.count == 2)
        budget.remove("e")
        #expect(budget.used == 30)
    }
}
