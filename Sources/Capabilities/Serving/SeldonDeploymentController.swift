public import AerieCore
import AerieData
import AerieJSON
public import AerieResources
public import AerieTelemetry
public import Logging

/// Brings the serving table to what each `SeldonDeployment` says.
///
/// All or nothing: until every predictor's model is in memory, the deployment answers as before, and a failure leaves
/// it so and says why in `status`. Only a deployment that has never answered takes traffic with those of its
/// predictors that did load. A URI that names a stage or an alias is looked up again every `watchInterval`, and what it
/// newly means is loaded and swapped in; a version, a run or a file is not watched.
public actor SeldonDeploymentController: Reconciler {
    public nonisolated var kind: String { "SeldonDeployment" }

    let service: ServingService
    let source: any ModelSource
    let pool: ModelPool
    private let graphs: GraphLoader
    /// Models that come and go.
    var repository: RepositoryState
    let repositoryMetrics: RepositoryMetrics
    private let features: (any FeatureReader)?
    private let clock: any WallClock
    let logger: Logger
    private let watchInterval: Duration
    private let inferenceURL: @Sendable () -> String
    /// Failures in a row, for the pause before the next try.
    private var failures: [ResourceKey: Int] = [:]

    /// - Parameters:
    ///   - inferenceURL: where the data plane listens, such as `http://127.0.0.1:8000`; asked at each reconciliation.
    ///   - features: where a deployment's feature service is read; `nil` where there is no feature store.
    ///   - bandits: where routers that learn are kept; `nil` where they forget.
    ///   - metrics: where the nodes of graphs are counted.
    ///   - registry: where models that come and go are counted.
    ///   - modelMemory: bytes for the models that are loaded when they are asked for.
    ///   - uploads: a folder for models that come with a request; `nil` to take none.
    ///   - watchInterval: how often a stage, an alias or a feature service is looked up.
    public init(
        service: ServingService, source: any ModelSource, loader: ModelLoader,
        features: (any FeatureReader)? = nil, bandits: BanditRegistry? = nil, metrics: NodeMetrics? = nil,
        clock: any WallClock = SystemClock(), registry: MetricsRegistry? = nil, modelMemory: Int = 2 << 30,
        uploads: String? = nil,
        watchInterval: Duration = .seconds(2), logger: Logger, inferenceURL: @escaping @Sendable () -> String
    ) {
        self.service = service
        self.source = source
        self.pool = ModelPool(loader: loader)
        graphs = GraphLoader(service: service, source: source, pool: pool, bandits: bandits, metrics: metrics)
        self.features = features
        self.clock = clock
        self.watchInterval = watchInterval
        self.logger = logger
        self.inferenceURL = inferenceURL
        repositoryMetrics = RepositoryMetrics(registry, capacity: modelMemory)
        repository = RepositoryState(budget: ModelBudget(capacity: modelMemory))
        repository.uploads = uploads.map { UploadedModels(folder: $0) }
    }

    public func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let (namespace, name) = (resource.metadata.namespace, resource.metadata.name)
        try service.claim(name, for: resource.key)
        let asked = repository.policied(SeldonDeploymentSpec(resource).predictors, of: name)
        repository.see(resource, service.state(named: name))
        if let reason = restReason(resource) {
            let outcomes = asked.map { Outcome(asked: $0) }
            try service.publish(
                state(resource, .unavailable, reason, outcomes), served: nil,
                sleeping: repository.unloaded.contains(name) ? nil : .loosest(asked.map(\.limits)))
            return finish(resource, outcomes, nil, "")
        }
        let old = service.served(namespace: namespace, name: name)
        if old == nil, service.state(named: name) == nil {
            try service.publish(
                state(resource, .loading, "the models are being loaded", asked.map { Outcome(asked: $0) }), served: nil)
        }
        var outcomes: [Outcome] = []
        for predictor in asked { outcomes.append(await load(predictor, namespace: namespace, old: old, name: name)) }
        // Others may have taken its room meanwhile, or a request have unloaded it.
        if restReason(resource) != nil { return try await reconcile(resource) }
        let problems = outcomes.filter { !$0.problem.isEmpty }.map { "\($0.asked.name): \($0.problem)" }
        let served = serve(resource, outcomes, old: old, failed: !problems.isEmpty)
        let stale = served === old && !problems.isEmpty
        let reason = Self.reason(problems, answering: served?.predictors, stale: stale)
        try service.publish(
            state(resource, served == nil ? .unavailable : .ready, reason, outcomes, answering: served), served: served)
        return finish(resource, outcomes, served, reason)
    }

    public func removed(_ resource: Resource) async throws(AerieError) {
        failures[resource.key] = nil
        guard service.hasClaim(resource.metadata.name, resource.key) else { return }
        try await graphs.bandits?.remove(
            namespace: resource.metadata.namespace, deployment: resource.metadata.name)
        forget(resource.metadata.name)
        service.remove(namespace: resource.metadata.namespace, name: resource.metadata.name)
        service.release(resource.metadata.name, by: resource.key)
        logger.info("deployment removed", metadata: ["deployment": "\(resource.key)"])
    }

    /// What became of one predictor.
    struct Outcome {
        var asked: SeldonDeploymentSpec.Predictor
        var location: ModelLocation?
        var model: (any InferenceModel)?
        var features: FeatureBinding?
        var explainer: PredictorExplainer?
        var problem = ""
    }

    private func load(
        _ predictor: SeldonDeploymentSpec.Predictor, namespace: String, old: ServedDeployment?, name: String
    ) async -> Outcome {
        var outcome = Outcome(asked: predictor)
        do throws(AerieError) {
            let model: any InferenceModel
            let location: ModelLocation
            if predictor.graph.isSingleModel {
                location = try await source.fetch(predictor.modelURI).computed(by: predictor.policy.providers)
                model = try await pool.model(at: location)
            } else {
                let answering = (old?.predictors ?? []) + (old?.shadows ?? [])
                let loaded = try await graphs.load(
                    predictor, place: GraphPlace(namespace: namespace, deployment: name, predictor: predictor.name),
                    old: answering.first { $0.name == predictor.name }?.graph)
                (model, location) = (loaded.model, loaded.location)
                try predictor.policy.checkFits(loaded.model)
            }
            outcome.location = location
            outcome.features = try await bind(predictor, model, namespace: namespace)
            if predictor.policy.batching != nil, !model.description.isBatchable {
                throw AerieError(
                    .failedPrecondition,
                    "\(ServingSetting.batching.rawValue): the first dimension of an input or output is not the number "
                        + "of rows, so requests cannot be put together", reason: "serving.batching")
            }
            try await pool.warm(model, at: location, predictor.policy.warmups)
            for note in model.description.notes {
                logger.notice("model: \(note)", metadata: ["deployment": "\(namespace)/\(name)", "model": "\(location.uri)"])
            }
            outcome.explainer = await explainer(predictor, model)
            outcome.model = model
        } catch {
            outcome.problem = error.message
        }
        return outcome
    }

    private func bind(
        _ predictor: SeldonDeploymentSpec.Predictor, _ model: any InferenceModel, namespace: String
    ) async throws(AerieError) -> FeatureBinding? {
        guard let service = predictor.featureService else { return nil }
        guard let features else {
            throw AerieError(.failedPrecondition, "feature service \(service): this server has no feature store")
        }
        let lookup = try await features.lookup(service: service, namespace: namespace)
        return try FeatureBinding(lookup, timeout: predictor.featureTimeout, model: model)
    }

    /// The deployment that is to answer: the old object if nothing changes for the data plane.
    private func serve(
        _ resource: Resource, _ outcomes: [Outcome], old: ServedDeployment?, failed: Bool
    ) -> ServedDeployment? {
        if failed, let old { return old }
        func make(_ areShadows: Bool) -> [ServedPredictor] {
            outcomes.filter { $0.asked.isShadow == areShadows }.compactMap { outcome in
                guard let model = outcome.model, let location = outcome.location else { return nil }
                return makePredictor(resource, outcome, model, location)
            }
        }
        let (predictors, shadows) = (make(false), make(true))
        let sticky = SeldonDeploymentSpec(resource).sticky
        guard !predictors.isEmpty else { return nil }
        if let old, old.sticky == sticky, old.predictors.isSame(as: predictors), old.shadows.isSame(as: shadows) {
            return old
        }
        let versions = predictors.map { "\($0.name)=\($0.modelVersion)" }.joined(separator: " ")
        logger.info("deployment changed", metadata: ["deployment": "\(resource.key)", "predictors": "\(versions)"])
        return ServedDeployment(
            name: resource.metadata.name, namespace: resource.metadata.namespace, predictors: predictors,
            shadows: shadows, sticky: sticky)
    }

    private func makePredictor(
        _ resource: Resource, _ outcome: Outcome, _ model: any InferenceModel, _ location: ModelLocation
    ) -> ServedPredictor {
        let asked = outcome.asked
        let labels = Self.labels(asked.labels, model)
        let slot = service.slot(
            for: SlotLabels(
                namespace: resource.metadata.namespace, deployment: resource.metadata.name, predictor: asked.name,
                predictorVersion: asked.version, modelName: asked.modelName, modelVersion: location.version,
                negativeLabel: labels?.negative, positiveLabel: labels?.positive))
        return ServedPredictor(
            name: asked.name, weight: asked.traffic, modelName: asked.modelName, modelVersion: location.version,
            modelURI: asked.modelURI, model: model, metricsSlot: slot, labels: labels,
            features: outcome.features, modelIdentity: location.identity, policy: asked.policy,
            explainer: outcome.explainer, logger: asked.graph.logger, limits: asked.limits)
    }

    /// Predictions are counted for a model with one number a row, unless it says that the number is no probability and
    /// the deployment does not insist.
    static func labels(_ asked: PredictionLabels?, _ model: any InferenceModel) -> PredictionLabels? {
        let description = model.description
        if let tabular = model as? any TabularModel {
            guard tabular.outputCount == 1 else { return nil }
        } else {
            guard let output = description.outputs.first, output.dataType == .fp32 || output.dataType == .fp64,
                output.shape.dropFirst().allSatisfy({ $0 == 1 })
            else { return nil }
        }
        if description.isProbability == false { return asked }
        return asked ?? PredictionLabels()
    }
}

// MARK: Telling how it went

extension SeldonDeploymentController {
    private static func reason(_ problems: [String], answering: [ServedPredictor]?, stale: Bool) -> String {
        guard !problems.isEmpty else { return "" }
        let text = problems.joined(separator: "; ")
        guard let answering else { return text }
        let versions = answering.map { "\($0.name) (\($0.modelName) version \($0.modelVersion))" }
        return text + (stale ? "; still answering as before: " : "; answering without it: ")
            + versions.joined(separator: ", ")
    }

    private func state(
        _ resource: Resource, _ state: DeploymentState.State, _ reason: String, _ outcomes: [Outcome],
        answering: ServedDeployment? = nil
    ) -> DeploymentState {
        let name = resource.metadata.name
        let before = service.state(named: name)
        let predictors = outcomes.map { outcome in
            let served = answering?.named(outcome.asked.name)
            return DeploymentState.Predictor(
                name: outcome.asked.name, weight: outcome.asked.traffic, isShadow: outcome.asked.isShadow,
                modelName: outcome.asked.modelName, modelURI: outcome.asked.modelURI,
                modelVersion: served?.modelVersion ?? "", platform: served?.model.description.platform ?? "",
                featureNames: served?.model.description.featureNames ?? [], problem: outcome.problem)
        }
        var new = DeploymentState(
            namespace: resource.metadata.namespace, name: name, state: state, reason: reason, predictors: predictors,
            changed: before?.changed ?? clock.now())
        if new != before { new.changed = clock.now() }
        return new
    }

    private func finish(
        _ resource: Resource, _ outcomes: [Outcome], _ served: ServedDeployment?, _ reason: String
    ) -> Reconciliation {
        let failed = !reason.isEmpty
        let isWatched = outcomes.contains {
            $0.asked.graph.isMoving || $0.asked.featureService != nil
        }
        var status: JSONObject = ["state": .string(failed ? "Failed" : "Available")]
        status["description"] = failed ? .string(reason) : nil
        status["replicas"] = .int(Int64(served?.predictors.count ?? 0))
        status["version"] = .string(served?.predictors.map(\.modelVersion).joined(separator: ", ") ?? "")
        status["address"] = .object(["url": .string("\(inferenceURL())/v2/models/\(resource.metadata.name)/infer")])
        status["deploymentStatus"] = .object(
            JSONObject(
                outcomes.map { outcome in
                    let isServed = served?.named(outcome.asked.name) != nil
                    let name = "\(resource.metadata.name)-\(outcome.asked.name)-0-\(outcome.asked.modelName)"
                    return (name, .object(["replicas": 1, "availableReplicas": .int(isServed ? 1 : 0)]))
                }))
        status["predictors"] = .array(outcomes.map { predictorStatus($0, served) })
        let condition = ResourceCondition(
            isTrue: !failed, reason: failed ? "ModelNotLoaded" : "Available", message: reason, since: clock.now())
        status = condition.put(into: status, previous: resource.status)
        guard failed else {
            failures[resource.key] = nil
            return Reconciliation(status: status, requeueAfter: isWatched ? watchInterval : nil)
        }
        let count = failures[resource.key, default: 0] + 1
        failures[resource.key] = count
        if count == 1 {
            logger.warning("deployment failed", metadata: ["deployment": "\(resource.key)", "why": "\(reason)"])
        }
        let backoff = Backoff(base: watchInterval, cap: watchInterval * 32)
        return Reconciliation(status: status, requeueAfter: backoff.pause(afterFailures: count))
    }

    private func predictorStatus(_ outcome: Outcome, _ served: ServedDeployment?) -> JSONValue {
        let answering = served?.named(outcome.asked.name)
        var status: JSONObject = ["name": .string(outcome.asked.name)]
        status["traffic"] = .int(Int64(answering?.weight ?? 0))
        status["modelName"] = .string(outcome.asked.modelName)
        status["modelUri"] = .string(outcome.asked.modelURI)
        status["modelVersion"] = .string(answering?.modelVersion ?? "")
        status["platform"] = .string(answering?.model.description.platform ?? "")
        if let service = outcome.asked.featureService { status["featureService"] = .string(service) }
        status["ready"] = .bool(answering != nil && outcome.problem.isEmpty)
        if outcome.asked.isShadow { status["shadow"] = true }
        if !outcome.problem.isEmpty {
            status["message"] = .string(outcome.problem)
        } else if outcome.asked.graph.isMoving {
            status["watched"] = .string("the stage or alias is looked up every \(watchInterval)")
        }
        return .object(status)
    }
}

extension GraphSpec {
    /// Whether the same text may load another model tomorrow.
    var isMoving: Bool { nodes(at: "").contains { ModelURI.isMoving($0.node.modelURI) } }
}

extension ServedDeployment {
    fileprivate func named(_ name: String) -> ServedPredictor? {
        predictors.first { $0.name == name } ?? shadows.first { $0.name == name }
    }
}

extension [ServedPredictor] {
    fileprivate func isSame(as other: [ServedPredictor]) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.isSame(as: $1) }
    }
}

extension ServedPredictor {
    /// Whether the data plane could not tell the two apart.
    fileprivate func isSame(as other: ServedPredictor) -> Bool {
        name == other.name && weight == other.weight && modelName == other.modelName && modelURI == other.modelURI
            && modelVersion == other.modelVersion && model === other.model && metricsSlot == other.metricsSlot
            && labels == other.labels && policy == other.policy && limits == other.limits
            && logger == other.logger && hasSameFeatures(as: other)
            && explainer.isSame(as: other.explainer)
    }

    private func hasSameFeatures(as other: ServedPredictor) -> Bool {
        guard let features, let others = other.features else { return features == nil && other.features == nil }
        return features.isSame(as: others)
    }
}
