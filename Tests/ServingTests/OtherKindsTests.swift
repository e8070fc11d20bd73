import AerieCore
import AerieJSON
import AerieResources
import Logging
import Testing

@testable import Serving

@Suite("Other kinds of deployments")
struct OtherKindsTests {
    private static let reader = ManifestReader(
        kinds: KindRegistry([InferenceServiceKind(), SeldonModelKind(), ExperimentKind(), AutoscalerKind()]))
    private let folder = TemporaryFolder()
    private let source = FakeSource()
    private let service = ServingService()
    private let deployments: SeldonDeploymentController

    init() throws {
        deployments = SeldonDeploymentController(
            service: service, source: source, loader: ModelLoader(formats: [FakeFormat()]), clock: ManualClock(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), inferenceURL: { "http://h" })
        for version in ["1", "2"] {
            let path = try folder.write("\(version).ubj", "0.\(version)")
            source.set("models:/fraud/\(version)", path: path, version: version)
        }
    }

    private static func inferenceService(_ version: String, _ more: String = "") -> String {
        """
        apiVersion: serving.kserve.io/v1beta1
        kind: InferenceService
        metadata: {name: fraud}
        spec:
          predictor:
            \(more)
            model: {modelFormat: {name: xgboost}, storageUri: 'models:/fraud/\(version)'}
        """
    }

    private func weights(_ name: String) -> [String: Int] {
        let served = service.served(namespace: "default", name: name)
        return Dictionary(uniqueKeysWithValues: (served?.predictors ?? []).map { ($0.modelVersion, $0.weight) })
    }

    @Test("a canary shares the traffic with the model before it, and takes it all in the end")
    func canary() async throws {
        let controller = InferenceServiceController(deployments)
        var status: JSONObject?
        func apply(_ text: String) async throws {
            var resource = try Self.reader.read(text)[0].resource
            resource.status = status
            status = try await controller.reconcile(resource).status
        }
        try await apply(Self.inferenceService("1"))
        #expect(weights("fraud") == ["1": 100] && status?["stable"] == "models:/fraud/1")
        try await apply(Self.inferenceService("2", "canaryTrafficPercent: 10"))
        #expect(weights("fraud") == ["1": 90, "2": 10] && status?["stable"] == "models:/fraud/1")
        #expect(status?["traffic"]?[1]?["percent"] == 10)
        try await apply(Self.inferenceService("2", "canaryTrafficPercent: 10"))
        #expect(weights("fraud") == ["1": 90, "2": 10])
        try await apply(Self.inferenceService("2"))
        #expect(weights("fraud") == ["2": 100] && status?["stable"] == "models:/fraud/2")
    }

    @Test("KServe's older form, its pods' fields and what is wrong with others")
    func inferenceServices() throws {
        let old = Self.inferenceService("1").replacing("model: {modelFormat: {name: xgboost}, ", with: "xgboost: {")
            .replacing("predictor:", with: "transformer: {containers: []}\n  predictor:\n    minReplicas: 1")
        let warnings = try Self.reader.read(old)[0].warnings
        #expect(warnings.count == 2 && warnings.contains { $0.hasPrefix("spec.transformer") })
        for (from, to, path) in [
            ("'models:/fraud/1'", "'ftp://x/y'", "spec.predictor.model.storageUri"),
            ("storageUri: 'models:/fraud/1'", "runtime: x", "spec.predictor.model.storageUri"),
            ("model: {", "sklearn: {storageUri: a}\n    model: {", "spec.predictor"),
            ("model: {", "canaryTrafficPercent: 101\n    model: {", "spec.predictor.canaryTrafficPercent"),
        ] {
            let text = Self.inferenceService("1").replacing(from, with: to)
            let error = try #require(throws: AerieError.self) { try Self.reader.read(text) }
            #expect(error.details.contains { $0.field == path }, "\(error.details.map(\.field))")
        }
    }

    private static func model(_ name: String, _ version: String) -> String {
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: \(name)}\n"
            + "spec: {storageUri: 'models:/fraud/\(version)', requirements: [xgboost]}\n"
    }

    @Test("an experiment shares traffic out among models that are served, and mirrors to another")
    func experiment() async throws {
        let models = SeldonModelController(deployments)
        let experiments = ExperimentController(service: service, clock: ManualClock(), inferenceURL: { "http://h" })
        let text = """
            apiVersion: mlops.seldon.io/v1alpha1
            kind: Experiment
            metadata: {name: trial}
            spec:
              default: one
              candidates: [{name: one, weight: 3}, {name: two, weight: 1}]
              mirror: {name: two, percent: 50}
            """
        let manifest = try Self.reader.read(text)[0]
        #expect(manifest.warnings.count == 1)
        let early = try await experiments.reconcile(manifest.resource)
        #expect(early.status["state"] == "Failed" && early.requeueAfter == .seconds(2))
        for (name, version) in [("one", "1"), ("two", "2")] {
            _ = try await models.reconcile(try Self.reader.read(Self.model(name, version))[0].resource)
        }
        let done = try await experiments.reconcile(manifest.resource)
        #expect(done.status["state"] == "Available")
        let served = try #require(service.served(namespace: "default", name: "trial"))
        #expect(served.predictors.map(\.weight) == [3, 1] && served.predictors.map(\.modelVersion) == ["1", "2"])
        #expect(served.shadows.map(\.weight) == [50])
        _ = try await experiments.reconcile(manifest.resource)
        #expect(service.served(namespace: "default", name: "trial") === served)
        _ = try await models.reconcile(try Self.reader.read(Self.model("one", "2"))[0].resource)
        _ = try await experiments.reconcile(manifest.resource)
        #expect(weights("one") == ["2": 100])
        #expect(service.served(namespace: "default", name: "trial")?.predictors.map(\.modelVersion) == ["2", "2"])
        try await experiments.removed(manifest.resource)
        #expect(service.served(namespace: "default", name: "trial") == nil)
    }

    @Test("one name is one thing, whatever its kind")
    func names() async throws {
        _ = try await SeldonModelController(deployments)
            .reconcile(try Self.reader.read(Self.model("fraud", "1"))[0].resource)
        let other = try Self.reader.read(Self.inferenceService("2"))[0].resource
        let error = await #expect(throws: AerieError.self) {
            try await InferenceServiceController(deployments).reconcile(other)
        }
        #expect(error?.code == .alreadyExists && error?.message.contains("Model") == true)
        try await InferenceServiceController(deployments).removed(other)
        #expect(weights("fraud") == ["1": 100])
    }

    @Test("an autoscaler is kept, with a warning")
    func autoscaler() throws {
        let text = """
            apiVersion: autoscaling/v2
            kind: HorizontalPodAutoscaler
            metadata: {name: fraud}
            spec:
              scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: fraud}
              minReplicas: 2
              maxReplicas: 10
              metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
            """
        #expect(try Self.reader.read(text)[0].warnings.count == 1)
        #expect(throws: AerieError.self) { try Self.reader.read(text.replacing("maxReplicas: 10", with: "maxReplicas: 1")) }
    }
}
