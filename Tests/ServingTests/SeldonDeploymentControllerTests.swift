import AerieCore
import AerieJSON
import AerieResources
import AerieTelemetry
import Foundation
import Logging
import Serving
import Synchronization
import Testing

@Suite("Deploying")
struct SeldonDeploymentControllerTests {
    private let folder = TemporaryFolder()
    private let source = FakeSource()
    private let format = FakeFormat()
    private let service = ServingService()
    private let controller: SeldonDeploymentController

    init() {
        controller = SeldonDeploymentController(
            service: service, source: source, loader: ModelLoader(formats: [format]), clock: ManualClock(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            inferenceURL: { "http://127.0.0.1:8000" })
    }

    private func model(_ uri: String, _ value: String, version: String) throws {
        let path = try folder.write("\(UUID().uuidString).ubj", value)
        source.set(uri, path: path, version: version)
    }

    private func resource(
        _ predictors: [(name: String, uri: String, traffic: Int64?)], name: String = "fraud",
        annotations: [String: String] = [:], namespace: String = "default"
    ) -> Resource {
        Resource(
            apiVersion: "machinelearning.seldon.io/v1", kind: "SeldonDeployment",
            metadata: ResourceMetadata(name: name, namespace: namespace, annotations: annotations),
            spec: ["predictors": .array(predictors.map { predictor in
                var value: JSONObject = ["name": .string(predictor.name)]
                value["graph"] = .object(["name": "classifier", "modelUri": .string(predictor.uri)])
                value["traffic"] = predictor.traffic.map { .int($0) }
                return .object(value)
            })])
    }

    private func answer(_ name: String = "fraud", _ predictor: Int = 0) -> Float? {
        let deployments = service.current().deployments.filter { $0.name == name }
        guard let predictors = deployments.first?.predictors, predictors.indices.contains(predictor) else { return nil }
        return (predictors[predictor].model as? ConstantModel)?.value
    }

    @Test("a deployment is put on the table and says where it answers")
    func deploy() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        let result = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)]))
        #expect(result.requeueAfter == nil)
        #expect(result.status["state"]?.string == "Available")
        #expect(result.status["replicas"]?.int == 1)
        #expect(result.status["address"]?["url"]?.string == "http://127.0.0.1:8000/v2/models/fraud/infer")
        #expect(result.status["predictors"]?[0]?["modelVersion"]?.string == "1")
        #expect(result.status["conditions"]?[0]?["status"]?.string == "True")
        #expect(answer() == 0.5)
        #expect(service.current().deployments[0].predictors[0].weight == 100)
        #expect(service.states().map(\.state) == [.ready])
    }

    @Test("the same object twice makes no new table and loads nothing again")
    func idempotent() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        let asked = resource([("main", "models:/fraud/1", nil)])
        _ = try await controller.reconcile(asked)
        let table = service.current()
        _ = try await controller.reconcile(asked)
        #expect(service.current() === table)
        #expect(format.loaded.count == 1)
    }

    @Test("subscribers get the present table at once and each new one in order")
    func subscribe() async throws {
        let seen = Mutex<[UInt64]>([])
        service.subscribe { table in seen.withLock { $0.append(table.generation) } }
        try model("models:/fraud/1", "0.5", version: "1")
        try model("models:/fraud/2", "0.7", version: "2")
        _ = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)]))
        _ = try await controller.reconcile(resource([("main", "models:/fraud/2", nil)]))
        try await controller.removed(resource([("main", "models:/fraud/2", nil)]))
        #expect(seen.withLock { $0 } == [0, 1, 2, 3])
    }

    @Test("a stage that means a new version is swapped in; the metrics slot is a new one")
    func stageMoves() async throws {
        let uri = "models:/fraud/Production"
        try model(uri, "0.5", version: "1")
        let asked = resource([("main", uri, nil)])
        let first = try await controller.reconcile(asked)
        #expect(first.requeueAfter == .seconds(2))
        #expect(first.status["predictors"]?[0]?["watched"] != nil)
        let slot = service.current().deployments[0].predictors[0].metricsSlot
        try model(uri, "0.7", version: "2")
        _ = try await controller.reconcile(asked)
        #expect(answer() == 0.7)
        let next = service.current().deployments[0].predictors[0].metricsSlot
        #expect(next != slot)
        #expect(service.slotLabels(slot)?.modelVersion == "1")
        #expect(service.slotLabels(next)?.modelVersion == "2")
    }

    @Test("a version that fails to load leaves the old one answering and says why")
    func failureKeepsOld() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        try model("models:/fraud/2", "broken", version: "2")
        _ = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)]))
        let table = service.current()
        let result = try await controller.reconcile(resource([("main", "models:/fraud/2", nil)]))
        #expect(service.current() === table)
        #expect(answer() == 0.5)
        #expect(result.status["state"]?.string == "Failed")
        let description = try #require(result.status["description"]?.string)
        #expect(description.contains("no number at byte 0") && description.contains("version 1"))
        #expect(result.status["conditions"]?[0]?["status"]?.string == "False")
        #expect(result.status["predictors"]?[0]?["modelVersion"]?.string == "1")
        let state = try #require(service.state(named: "fraud"))
        #expect(state.state == .ready && state.reason.contains("byte 0"))
        // It is tried again, with growing pauses, and mends itself.
        #expect(result.requeueAfter == .seconds(2))
        let again = try await controller.reconcile(resource([("main", "models:/fraud/2", nil)]))
        #expect(again.requeueAfter == .seconds(4))
        try model("models:/fraud/2", "0.9", version: "2")
        let mended = try await controller.reconcile(resource([("main", "models:/fraud/2", nil)]))
        #expect(mended.status["state"]?.string == "Available")
        #expect(mended.requeueAfter == nil)
        #expect(answer() == 0.9)
    }

    @Test("a first deployment whose model is missing is unavailable, with the reason")
    func firstFails() async throws {
        let result = try await controller.reconcile(resource([("main", "models:/none/1", nil)]))
        #expect(result.status["state"]?.string == "Failed")
        #expect(result.status["replicas"]?.int == 0)
        #expect(service.current().deployments.isEmpty)
        let state = try #require(service.state(named: "fraud"))
        #expect(state.state == .unavailable && state.reason.contains("models:/none/1"))
        #expect(service.current().generation == 0)
    }

    @Test("a canary whose model fails changes nothing for the one that answers")
    func canaryFails() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        _ = try await controller.reconcile(resource([("a", "models:/fraud/1", nil)]))
        let table = service.current()
        let result = try await controller.reconcile(
            resource([("a", "models:/fraud/1", 80), ("b", "models:/none/1", 20)]))
        #expect(service.current() === table)
        #expect(result.status["state"]?.string == "Failed")
        #expect(result.status["predictors"]?[1]?["ready"]?.bool == false)
    }

    @Test("two predictors share one model object and are weighted as written, zero included")
    func split() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        _ = try await controller.reconcile(resource([("a", "models:/fraud/1", 100), ("b", "models:/fraud/1", 0)]))
        let predictors = service.current().deployments[0].predictors
        #expect(predictors.map(\.weight) == [100, 0])
        #expect(predictors[0].model === predictors[1].model)
        #expect(predictors[0].metricsSlot != predictors[1].metricsSlot)
        #expect(format.loaded.count == 1)
    }

    @Test("what is removed is off the table and forgotten")
    func removal() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        let asked = resource([("main", "models:/fraud/1", nil)])
        _ = try await controller.reconcile(asked)
        try await controller.removed(asked)
        try await controller.removed(asked)
        #expect(service.current().deployments.isEmpty && service.states().isEmpty)
        #expect(service.current().generation == 2)
    }

    @Test("a deployment of the same name in another namespace is refused, and its removal harms nobody")
    func namespaces() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        _ = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)]))
        let other = resource([("main", "models:/fraud/1", nil)], namespace: "team")
        let error = await #expect(throws: AerieError.self) { try await controller.reconcile(other) }
        #expect(error?.code == .alreadyExists)
        try await controller.removed(other)
        #expect(answer() == 0.5)
    }

    @Test("the classes are named by the nearest setting; several outputs have none")
    func predictionLabels() async throws {
        try model("models:/fraud/1", "0.5", version: "1")
        let annotations = [
            "aerie.dev/positive-label": "fraud", "aerie.dev/negative-label": "legitimate", "aerie.dev/threshold": "0.7",
        ]
        _ = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)], annotations: annotations))
        let predictor = service.current().deployments[0].predictors[0]
        #expect(predictor.labels == PredictionLabels(threshold: 0.7, negative: "legitimate", positive: "fraud"))
        #expect(service.slotLabels(predictor.metricsSlot)?.positiveLabel == "fraud")
        _ = try await controller.reconcile(resource([("main", "models:/fraud/1", nil)]))
        #expect(service.current().deployments[0].predictors[0].labels == PredictionLabels())
    }

    @Test("many who ask for one model at the same time load it once")
    func singleFlight() async throws {
        let slow = FakeFormat(pause: 0.05)
        let controller = SeldonDeploymentController(
            service: service, source: source, loader: ModelLoader(formats: [slow]),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), inferenceURL: { "" })
        try model("models:/fraud/1", "0.5", version: "1")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                let asked = resource([("main", "models:/fraud/1", nil)], name: "d\(index)")
                group.addTask { _ = try await controller.reconcile(asked) }
            }
            try await group.waitForAll()
        }
        #expect(slow.loaded.count == 1)
        #expect(service.current().deployments.count == 8)
    }
}
