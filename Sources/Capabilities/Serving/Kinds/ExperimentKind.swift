public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: Experiment`, as Seldon Core 2 writes it (`mlops.seldon.io/v1alpha1`): traffic shared out among models that
/// are served already, and a copy of it for another.
///
/// Requests name the experiment. Requests that name the default model go on to be answered by that model alone.
public struct ExperimentKind: ResourceKind {
    public init() {}

    public var name: String { "Experiment" }
    public var apiVersions: [String] { ["mlops.seldon.io/v1alpha1"] }
    public var aliases: [String] { ["experiment", "mle"] }
    public var columns: [(title: String, path: String)] { [("STATE", "status.state"), ("URL", "status.address.url")] }

    public var schema: FieldSchema {
        .object([
            Field("default", .string),
            Field(
                "candidates",
                .array(.object([Field("name", .string, required: true), Field("weight", .integer(0...1_000_000))])),
                required: true),
            Field("mirror", .object([Field("name", .string, required: true), Field("percent", .integer(0...100))])),
            Field("resourceType", .choice(["model", "pipeline"])),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        let candidates = resource.spec["candidates"]?.array ?? []
        let names = candidates.compactMap { $0["name"]?.string }
        if candidates.isEmpty { problems.append(.init(field: "spec.candidates", problem: "is empty")) }
        if Set(names).count != names.count {
            problems.append(.init(field: "spec.candidates", problem: "names a model twice"))
        }
        if !candidates.isEmpty, candidates.allSatisfy({ $0["weight"]?.int == 0 }) {
            problems.append(.init(field: "spec.candidates", problem: "all weights are 0"))
        }
        if let first = resource.spec["default"]?.string, !names.contains(first) {
            problems.append(.init(field: "spec.default", problem: "\(first) is none of the candidates"))
        }
        if names.contains(resource.metadata.name) {
            problems.append(.init(field: "metadata.name", problem: "is the name of a candidate; choose another"))
        }
        if resource.spec["resourceType"]?.string == "pipeline" {
            problems.append(.init(field: "spec.resourceType", problem: "pipeline is not carried out; write model"))
        }
        return problems
    }

    public func warnings(_ resource: Resource) -> [String] {
        guard let name = resource.spec["default"]?.string else { return [] }
        return ["spec.default: requests that name \(name) are not shared out; let them name \(resource.metadata.name)"]
    }
}

/// Puts an experiment on the serving table, made of the predictors that its models have there. Looked at again every
/// two seconds, so that a model's new version takes part.
public struct ExperimentController: Reconciler {
    public var kind: String { "Experiment" }
    private let service: ServingService
    private let clock: any WallClock
    private let inferenceURL: @Sendable () -> String

    public init(
        service: ServingService, clock: any WallClock = SystemClock(), inferenceURL: @escaping @Sendable () -> String
    ) {
        self.service = service
        self.clock = clock
        self.inferenceURL = inferenceURL
    }

    public func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let (namespace, name) = (resource.metadata.namespace, resource.metadata.name)
        try service.claim(name, for: resource.key)
        var missing: [String] = []
        func find(_ model: String) -> ServedPredictor? {
            guard let found = service.served(namespace: namespace, name: model)?.predictors.first else {
                missing.append(model)
                return nil
            }
            return found
        }
        let candidates = resource.spec["candidates"]?.array ?? []
        let predictors = candidates.compactMap { candidate -> ServedPredictor? in
            let model = candidate["name"]?.string ?? ""
            return find(model)?.taking(part: model, weight: Int(clamping: candidate["weight"]?.int ?? 1))
        }
        var shadows: [ServedPredictor] = []
        let percent = Int(clamping: resource.spec["mirror"]?["percent"]?.int ?? 100)
        if let model = resource.spec["mirror"]?["name"]?.string, percent > 0, let found = find(model) {
            shadows = [found.taking(part: model, weight: percent)]
        }
        let old = service.served(namespace: namespace, name: name)
        let isSame = old.map { $0.predictors.isAlike(predictors) && $0.shadows.isAlike(shadows) } ?? false
        let made = predictors.isEmpty || predictors.allSatisfy { $0.weight == 0 }
            ? nil : ServedDeployment(name: name, namespace: namespace, predictors: predictors, shadows: shadows)
        let served = isSame ? old : missing.isEmpty ? made : old ?? made
        let reason = missing.isEmpty ? "" : "not served: \(missing.joined(separator: ", "))"
        let before = service.state(named: name)
        var state = DeploymentState(
            namespace: namespace, name: name, state: served == nil ? .unavailable : .ready, reason: reason,
            predictors: predictors.map {
                DeploymentState.Predictor(
                    name: $0.name, weight: $0.weight, modelName: $0.modelName, modelURI: $0.modelURI,
                    modelVersion: $0.modelVersion, platform: $0.model.description.platform)
            }, changed: before?.changed ?? clock.now())
        if state != before { state.changed = clock.now() }
        try service.publish(state, served: served)
        return reconciliation(resource, reason)
    }

    private func reconciliation(_ resource: Resource, _ reason: String) -> Reconciliation {
        let url = "\(inferenceURL())/v2/models/\(resource.metadata.name)/infer"
        var status: JSONObject = ["state": .string(reason.isEmpty ? "Available" : "Failed")]
        status["address"] = ["url": .string(url)]
        let condition = ResourceCondition(
            isTrue: reason.isEmpty, reason: reason.isEmpty ? "Available" : "ModelNotServed", message: reason,
            since: clock.now())
        return Reconciliation(status: condition.put(into: status, previous: resource.status), requeueAfter: .seconds(2))
    }

    public func removed(_ resource: Resource) async throws(AerieError) {
        guard service.hasClaim(resource.metadata.name, resource.key) else { return }
        service.remove(namespace: resource.metadata.namespace, name: resource.metadata.name)
        service.release(resource.metadata.name, by: resource.key)
    }
}

extension ServedPredictor {
    /// The same model under the name and the share that an experiment gives it. Its metrics stay where they are.
    fileprivate func taking(part name: String, weight: Int) -> ServedPredictor {
        ServedPredictor(
            name: name, weight: weight, modelName: modelName, modelVersion: modelVersion, modelURI: modelURI,
            model: model, metricsSlot: metricsSlot, labels: labels, features: features)
    }
}

extension [ServedPredictor] {
    fileprivate func isAlike(_ other: [ServedPredictor]) -> Bool {
        count == other.count && zip(self, other).allSatisfy {
            $0.name == $1.name && $0.weight == $1.weight && $0.model === $1.model && $0.metricsSlot == $1.metricsSlot
        }
    }
}
