public import AerieCore
public import Experiments

/// What to change of a registered model; `nil` and empty leave it as it is.
public struct RegisteredModelChange: Sendable {
    public var newName: String?
    public var description: String?
    public var setTags: [Tag]
    public var deleteTags: [String]
    public var setAliases: [ModelAlias]
    public var deleteAliases: [String]
    public init(
        newName: String? = nil, description: String? = nil, setTags: [Tag] = [], deleteTags: [String] = [],
        setAliases: [ModelAlias] = [], deleteAliases: [String] = []
    ) {
        self.newName = newName
        self.description = description
        self.setTags = setTags
        self.deleteTags = deleteTags
        self.setAliases = setAliases
        self.deleteAliases = deleteAliases
    }
}

/// What to change of a version; `nil` and empty leave it as it is.
public struct ModelVersionChange: Sendable {
    public var description: String?
    public var setTags: [Tag]
    public var deleteTags: [String]
    public init(description: String? = nil, setTags: [Tag] = [], deleteTags: [String] = []) {
        self.description = description
        self.setTags = setTags
        self.deleteTags = deleteTags
    }
}

/// Keeps registered models.
///
/// Contract: each call is atomic and durable when it returns. Names are unique. What does not exist is `notFound`;
/// deleting a tag or an alias that is not there changes nothing. Setting an alias moves it, and needs the version.
public protocol RegistryStore: Sendable {
    /// - Throws: `alreadyExists`.
    func create(_ model: RegisteredModel) async throws(AerieError)
    /// In the order asked for; those that do not exist are left out.
    func get(_ names: [String]) async throws(AerieError) -> [RegisteredModel]
    func update(_ name: String, _ change: RegisteredModelChange,
        at time: Timestamp) async throws(AerieError) -> RegisteredModel
    /// With all its versions.
    func delete(_ name: String) async throws(AerieError)
    /// Default order: name.
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<RegisteredModel>
}

/// Keeps the versions of registered models.
///
/// Contract: as `RegistryStore`. Version numbers of a model count up from 1 and are never used again. Every change of
/// stage adds a `StageTransition` in the same transaction, also for the versions that it archives.
public protocol ModelVersionStore: Sendable {
    /// Gives the version its number; `version.version` is ignored.
    func create(_ version: ModelVersion) async throws(AerieError) -> ModelVersion
    /// In the order asked for; those that do not exist are left out.
    func get(_ keys: [ModelVersionKey]) async throws(AerieError) -> [ModelVersion]
    func update(_ key: ModelVersionKey, _ change: ModelVersionChange,
        at time: Timestamp) async throws(AerieError) -> ModelVersion
    /// - Parameter archivingOthers: moves all other versions that are in `stage` to `archived`.
    func transition(
        _ key: ModelVersionKey, to stage: ModelStage, archivingOthers: Bool, actor: String, at time: Timestamp
    ) async throws(AerieError) -> ModelVersion
    func delete(_ key: ModelVersionKey, at time: Timestamp) async throws(AerieError)
    /// Default order: last update, newest first, then name and version.
    func search(_ query: SearchQuery) async throws(AerieError) -> Page<ModelVersion>
    /// The newest version in each stage, or just in `stages`.
    func latest(_ name: String, stages: [ModelStage]) async throws(AerieError) -> [ModelVersion]
    /// - Parameter version: `nil` for all of the model's. Newest first.
    func transitions(_ name: String, version: Int?, limit: Int) async throws(AerieError) -> [StageTransition]
}
