public import AerieCore

/// An experiment that is yet to be given its identifier.
public struct ExperimentDraft: Sendable {
    /// `nil` gives it the next one; another has to be free (`alreadyExists`), and those given later are above it.
    public var id: ExperimentID?
    public var name: String
    /// `nil` puts it at `<artifactRoot>/<id>`.
    public var artifactLocation: String?
    public var artifactRoot: String
    public var time: Timestamp
    public var tags: [Tag]
    public init(
        id: ExperimentID? = nil, name: String, artifactLocation: String?, artifactRoot: String, time: Timestamp,
        tags: [Tag]
    ) {
        self.id = id
        self.name = name
        self.artifactLocation = artifactLocation
        self.artifactRoot = artifactRoot
        self.time = time
        self.tags = tags
    }
}

/// What to change of an experiment; `nil` and empty leave it as it is.
public struct ExperimentChange: Sendable {
    public var name: String?
    public var stage: LifecycleStage?
    public var setTags: [Tag]
    public var deleteTags: [String]
    public init(name: String? = nil, stage: LifecycleStage? = nil, setTags: [Tag] = [], deleteTags: [String] = []) {
        self.name = name
        self.stage = stage
        self.setTags = setTags
        self.deleteTags = deleteTags
    }
}

/// Keeps the experiments.
///
/// Contract: each call is atomic and durable when it returns. Identifiers are whole numbers in the order of
/// creation and never used again; experiment `0`, named `Default`, is always there. A name belongs to one
/// experiment, also while that is deleted (`alreadyExists`). Changing what does not exist is `notFound`, and so is
/// deleting a tag that is not there, and a change to the `stage` that it has. A change of `stage` moves the
/// experiment's runs with it: those that were active when it was deleted come back when it is restored.
public protocol ExperimentStore: Sendable {
    func create(_ draft: ExperimentDraft) async throws(AerieError) -> Experiment
    /// In the order asked for; those that do not exist are left out. With tags.
    func get(_ ids: [ExperimentID]) async throws(AerieError) -> [Experiment]
    /// Deleted ones too.
    func find(name: String) async throws(AerieError) -> Experiment?
    func update(_ id: ExperimentID, _ change: ExperimentChange, at time: Timestamp) async throws(AerieError)
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<Experiment>
}
