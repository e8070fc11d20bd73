public import AerieCore
import AerieJSON
import AerieResources
import Logging

/// What the controller knows of models that come and go.
struct RepositoryState {
    /// The newest declaration of each deployment that was seen, and of each model that was loaded by a request.
    var known: [String: Resource] = [:]
    /// Those of them that no declaration stands behind.
    var requested: Set<String> = []
    /// Unloaded by a request, until it is loaded by one.
    var unloaded: Set<String> = []
    /// How to serve a model, where a load request said so.
    var policies: [String: ServingPolicy] = [:]
    /// Loaded when they were asked for.
    var budget: ModelBudget
    var flights: [String: Task<Result<Void, AerieError>, Never>] = [:]
    var uploads: UploadedModels?
    var uploadCount: UInt64 = 0

    init(budget: ModelBudget) { self.budget = budget }

    /// Remembers a declaration, if the name is its own.
    mutating func see(_ resource: Resource, _ state: DeploymentState?) {
        if let state, state.namespace != resource.metadata.namespace { return }
        known[resource.metadata.name] = resource
        // What the store has is declared, whoever asked for it before.
        if resource.metadata.resourceVersion > 0 { requested.remove(resource.metadata.name) }
    }

    /// Predictors with the policy that a load request gave their model.
    func policied(
        _ predictors: [SeldonDeploymentSpec.Predictor], of name: String
    ) -> [SeldonDeploymentSpec.Predictor] {
        guard var policy = policies[name] else { return predictors }
        return predictors.map { predictor in
            var predictor = predictor
            policy.isOnDemand = predictor.policy.isOnDemand
            policy.memory = predictor.policy.memory
            predictor.policy = policy
            return predictor
        }
    }
}

extension SeldonDeploymentController: ModelRepository {
    public nonisolated func index() -> [DeploymentState] { service.states() }

    public func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError) {
        let resource: Resource
        if files.isEmpty {
            if repository.known[name] == nil { try await checkRegistered(name) }
            resource = repository.known[name] ?? Self.resource(name, uri: Self.newest(name))
        } else {
            guard let uploads = repository.uploads else {
                throw AerieError(.unsupported, "this server has no folder for models that come with a request")
            }
            if repository.known[name] != nil, !repository.requested.contains(name) {
                throw AerieError(
                    .failedPrecondition, "\(name) is declared by a deployment; files cannot take its place")
            }
            repository.uploadCount += 1
            let path = try uploads.write(name, files, generation: repository.uploadCount)
            resource = Self.resource(name, uri: path)
        }
        let before = repository
        if repository.known[name] == nil { repository.requested.insert(name) }
        repository.unloaded.remove(name)
        repository.policies[name] = policy ?? repository.policies[name]
        do throws(AerieError) {
            if isOnDemand(resource) { try await makeRoom(for: resource) }
            _ = try await reconcile(resource)
            if let problem = problem(name) { throw problem }
            touch(resource)
        } catch {
            repository.policies[name] = before.policies[name]
            if before.known[name] == nil {
                service.remove(namespace: resource.metadata.namespace, name: name)
                service.release(name, by: resource.key)
                forget(name)
            } else {
                // As it was: files that do not load leave the model before them, under its own declaration.
                repository.known[name] = before.known[name]
                if before.unloaded.contains(name) { repository.unloaded.insert(name) }
                if let known = before.known[name] { _ = try? await reconcile(known) }
            }
            throw error
        }
    }

    /// A name that nobody knows is told apart from a model that does not load.
    private func checkRegistered(_ name: String) async throws(AerieError) {
        do throws(AerieError) { _ = try await source.fetch(Self.newest(name)) } catch {
            guard error.code == .notFound else { throw error }
            throw .notFound("there is no model \(name): no deployment is called so, and \(error.message)")
        }
    }

    /// The registry's newest version of a model.
    private static func newest(_ name: String) -> String { "models:/\(name)/latest" }

    /// Why a model does not answer as it was asked to; `nil` if it does.
    private func problem(_ name: String) -> AerieError? {
        guard let state = service.state(named: name) else { return .notFound("there is no model \(name)") }
        let reasons = state.predictors.map(\.problem).filter { !$0.isEmpty }
        if state.state == .ready, reasons.isEmpty { return nil }
        let reason = reasons.isEmpty ? state.reason : reasons.joined(separator: "; ")
        return AerieError(.failedPrecondition, "failed to load \(name): \(reason)", reason: "serving.load")
    }

    public func unload(_ name: String) async throws(AerieError) {
        guard let resource = repository.known[name] else { throw .notFound("there is no model \(name)") }
        if repository.requested.contains(name) {
            service.remove(namespace: resource.metadata.namespace, name: name)
            service.release(name, by: resource.key)
            forget(name)
            return
        }
        repository.unloaded.insert(name)
        repository.budget.remove(name)
        repositoryMetrics.update(repository.budget)
        _ = try await reconcile(resource)
    }

    public func wake(_ name: String) async throws(AerieError) {
        if let flight = repository.flights[name] { return try await flight.value.get() }
        guard let resource = repository.known[name], isOnDemand(resource), !repository.unloaded.contains(name) else {
            throw .notFound("there is no model \(name)")
        }
        if service.served(namespace: resource.metadata.namespace, name: name) != nil { return }
        repositoryMetrics.wake()
        let flight = Task { () -> Result<Void, AerieError> in
            // On this actor, like all here: it begins once it is in the list, and has left it when it is waited for.
            defer { repository.flights[name] = nil }
            do throws(AerieError) {
                try await bringUp(resource)
                return .success(())
            } catch { return .failure(error) }
        }
        repository.flights[name] = flight
        try await flight.value.get()
    }

    private func bringUp(_ resource: Resource) async throws(AerieError) {
        let name = resource.metadata.name
        try await makeRoom(for: resource)
        _ = try await reconcile(resource)
        guard let problem = problem(name) else { return touch(resource) }
        if service.served(namespace: resource.metadata.namespace, name: name) == nil {
            repository.budget.remove(name)
            repositoryMetrics.update(repository.budget)
            // Back to sleep: the next request tries again.
            _ = try await reconcile(resource)
            throw problem
        }
    }

    /// Counts a model in, and lets those leave that were not asked for the longest.
    private func makeRoom(for resource: Resource) async throws(AerieError) {
        let name = resource.metadata.name
        var bytes = 0
        for predictor in SeldonDeploymentSpec(resource).predictors where !predictor.isShadow {
            let location = try await source.fetch(predictor.modelURI).computed(by: predictor.policy.providers)
            bytes += predictor.policy.memory ?? ModelFootprint.bytes(at: location.path)
        }
        let leaving = try await admit(name, bytes: bytes)
        repositoryMetrics.update(repository.budget, evicted: leaving.count)
        for name in leaving {
            guard let resource = repository.known[name] else { continue }
            logger.info("model leaves memory", metadata: ["deployment": "\(resource.key)"])
            _ = try await reconcile(resource)
        }
    }

    private func admit(_ name: String, bytes: Int) async throws(AerieError) -> [String] {
        while true {
            let table = service.current()
            let leaving = try repository.budget.admit(name, bytes: bytes, staying: Set(repository.flights.keys)) {
                table.deployment(named: $0)?.lastUsed ?? 0
            }
            if let leaving { return leaving }
            // One of those that are on their way has to be there before it can leave. They wait for nobody.
            let others = repository.flights.filter { $0.key != name && repository.budget.holds($0.key) }
            guard let other = others.first?.value else {
                throw AerieError(.unavailable, "there is no room for \(name) now; try again shortly")
            }
            _ = await other.value
        }
    }

    /// What has just come was not asked yet, and is not the first to leave for that.
    private func touch(_ resource: Resource) {
        service.served(namespace: resource.metadata.namespace, name: resource.metadata.name)?
            .touch(monotonicNanoseconds() >> 20)
    }

    // MARK: For reconcile

    /// Whether every model of a deployment is loaded when it is asked for.
    func isOnDemand(_ resource: Resource) -> Bool {
        let predictors = SeldonDeploymentSpec(resource).predictors
        return !predictors.isEmpty && predictors.allSatisfy { $0.policy.isOnDemand }
    }

    /// Why a deployment is not to be in memory now; `nil` if it is to be.
    func restReason(_ resource: Resource) -> String? {
        let name = resource.metadata.name
        if repository.unloaded.contains(name) { return "unloaded by a request" }
        return isOnDemand(resource) && !repository.budget.holds(name) ? "loaded when it is asked for" : nil
    }

    func forget(_ name: String) {
        repository.known[name] = nil
        repository.requested.remove(name)
        repository.unloaded.remove(name)
        repository.policies[name] = nil
        repository.budget.remove(name)
    }

    /// A declaration for a model that none stands behind.
    private static func resource(_ name: String, uri: String) -> Resource {
        let graph: JSONValue = ["name": "model", "type": "MODEL", "modelUri": .string(uri)]
        return Resource(
            apiVersion: "machinelearning.seldon.io/v1", kind: "SeldonDeployment",
            metadata: ResourceMetadata(name: name),
            spec: ["predictors": [["name": "default", "graph": graph]]])
    }
}

extension ServingTable {
    func deployment(named name: String) -> ServedDeployment? {
        var name = name
        return name.withUTF8 { deployment(named: UnsafeRawBufferPointer($0)) }
    }
}
