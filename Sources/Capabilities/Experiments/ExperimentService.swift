public import AerieCore

/// What people and programs do with experiments, runs and logged models, with the rules of names and limits.
///
/// Holds no state of its own; every method may be called from any task. What it returns from a write is durable.
public struct ExperimentService: Sendable {
    let experiments: any ExperimentStore
    let runs: any RunStore
    let models: any LoggedModelStore
    let artifactRoot: String
    let clock: any WallClock
    let identifiers: IdentifierSource

    /// - Parameter artifactRoot: where experiments without a location of their own keep their artifacts.
    public init(
        experiments: any ExperimentStore, runs: any RunStore, models: any LoggedModelStore,
        artifactRoot: String = "mlflow-artifacts:", clock: any WallClock = SystemClock(),
        identifiers: IdentifierSource = .system
    ) {
        self.experiments = experiments
        self.runs = runs
        self.models = models
        self.artifactRoot = artifactRoot
        self.clock = clock
        self.identifiers = identifiers
    }

    // MARK: Experiments

    /// - Throws: `alreadyExists` for a name that is taken, also by a deleted experiment.
    public func createExperiment(
        name: String, artifactLocation: String? = nil, tags: [Tag] = []
    ) async throws(AerieError) -> Experiment {
        try ExperimentLimits.checkExperimentName(name)
        let tags = try checkedExperimentTags(tags)
        if let location = artifactLocation, !location.isEmpty { try Self.checkLocation(location) }
        let draft = ExperimentDraft(
            name: name, artifactLocation: artifactLocation.flatMap { $0.isEmpty ? nil : $0 },
            artifactRoot: artifactRoot, time: clock.now(), tags: tags)
        return try await experiments.create(draft)
    }

    /// A place elsewhere, such as `s3://bucket/prefix`, is the client's own business: it goes there by itself.
    private static func checkLocation(_ location: String) throws(AerieError) {
        if location.hasPrefix("mlflow-artifacts:") {
            _ = try ArtifactPath(location: location)
            return
        }
        guard !location.contains("#"), !location.contains("?"), !location.contains("..") else {
            throw .invalid("artifact_location", "may hold neither '#' nor '?' nor '..'")
        }
    }

    /// The experiment of that name, made if there is none.
    public func ensureExperiment(name: String) async throws(AerieError) -> Experiment {
        if let found = try await experiments.find(name: name) { return found }
        do { return try await createExperiment(name: name) } catch {
            // Another caller may have made it in between.
            guard error.code == .alreadyExists, let found = try await experiments.find(name: name) else { throw error }
            return found
        }
    }

    public func experiment(_ id: ExperimentID) async throws(AerieError) -> Experiment {
        guard let found = try await experiments.get([id]).first else {
            throw .notFound("No Experiment with id=\(id) exists")
        }
        return found
    }

    public func experiment(name: String) async throws(AerieError) -> Experiment {
        guard let found = try await experiments.find(name: name) else {
            throw .notFound("Could not find experiment with name '\(name)'")
        }
        return found
    }

    public func renameExperiment(_ id: ExperimentID, to name: String) async throws(AerieError) {
        try ExperimentLimits.checkExperimentName(name, "new_name")
        let found = try await experiment(id)
        guard found.stage == .active else {
            throw AerieError(.failedPrecondition, "Cannot rename a non-active experiment", reason: "experiment.deleted")
        }
        try await experiments.update(id, ExperimentChange(name: name), at: clock.now())
    }

    /// Deletes or restores the experiment, and the runs that go with it.
    public func setExperimentStage(_ id: ExperimentID, _ stage: LifecycleStage) async throws(AerieError) {
        try await experiments.update(id, ExperimentChange(stage: stage), at: clock.now())
    }

    public func setExperimentTags(_ id: ExperimentID, _ tags: [Tag]) async throws(AerieError) {
        let found = try await experiment(id)
        guard found.stage == .active else {
            throw AerieError(
                .failedPrecondition, "The experiment \(id) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        try await experiments.update(id, ExperimentChange(setTags: try checkedExperimentTags(tags)), at: clock.now())
    }

    public func deleteExperimentTag(_ id: ExperimentID, key: String) async throws(AerieError) {
        try await experiments.update(id, ExperimentChange(deleteTags: [key]), at: clock.now())
    }

    /// - Parameters:
    ///   - filter: the search grammar over name, creation_time, last_update_time and tags.
    ///   - limit: 1 to 50,000.
    public func searchExperiments(
        filter: String? = nil, orderBy: [String] = [], view: StageView = .activeOnly, limit: Int = 1000,
        pageToken: String? = nil
    ) async throws(AerieError) -> Page<Experiment> {
        try ExperimentLimits.checkLimit(limit)
        return try await experiments.search(
            SearchQuery(
                conditions: SearchParser.conditions(filter, subject: .experiments),
                order: SearchParser.orders(orderBy, subject: .experiments), view: view, limit: limit,
                position: try Self.position(pageToken)))
    }

    private func checkedExperimentTags(_ tags: [Tag]) throws(AerieError) -> [Tag] {
        for tag in tags {
            try ExperimentLimits.checkKey(tag.key, "key")
            guard tag.value.count <= ExperimentLimits.experimentTagValueLength else {
                throw .invalid(
                    "value", "the tag '\(tag.key)' exceeds \(ExperimentLimits.experimentTagValueLength) characters")
            }
        }
        return tags
    }

    static func position(_ token: String?) throws(AerieError) -> PagePosition? {
        guard let token, !token.isEmpty else { return nil }
        return try PagePosition(token: token)
    }
}
