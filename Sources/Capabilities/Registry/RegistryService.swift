public import AerieCore
public import Experiments

/// What people and programs do with registered models and their versions.
///
/// Holds no state of its own; every method may be called from any task. What it returns from a write is durable.
public struct RegistryService: Sendable {
    let models: any RegistryStore
    let versions: any ModelVersionStore
    let experiments: ExperimentService
    let artifacts: any ArtifactStore
    let clock: any WallClock
    let observer: (any RegistryObserver)?

    public init(
        models: any RegistryStore, versions: any ModelVersionStore, experiments: ExperimentService,
        artifacts: any ArtifactStore, clock: any WallClock = SystemClock(), observer: (any RegistryObserver)? = nil
    ) {
        self.models = models
        self.versions = versions
        self.experiments = experiments
        self.artifacts = artifacts
        self.clock = clock
        self.observer = observer
    }

    // MARK: Registered models

    /// - Throws: `alreadyExists`.
    public func createModel(
        name: String, description: String = "", tags: [Tag] = []
    ) async throws(AerieError) -> RegisteredModel {
        try RegistryLimits.checkName(name)
        try RegistryLimits.checkTags(tags)
        let now = clock.now()
        let model = RegisteredModel(
            name: name, description: description, creationTime: now, lastUpdateTime: now, tags: tags)
        try await models.create(model)
        try await announce([.modelCreated(model)], of: name)
        return model
    }

    /// The model of that name, made if there is none.
    public func ensureModel(name: String) async throws(AerieError) -> RegisteredModel {
        if let found = try await models.get([name]).first { return found }
        do { return try await createModel(name: name) } catch {
            guard error.code == .alreadyExists else { throw error }
            return try await model(name)
        }
    }

    public func model(_ name: String) async throws(AerieError) -> RegisteredModel {
        try RegistryLimits.checkName(name)
        guard let found = try await models.get([name]).first else {
            throw .notFound("Registered Model with name=\(name) not found")
        }
        return found
    }

    public func renameModel(_ name: String, to newName: String) async throws(AerieError) -> RegisteredModel {
        try RegistryLimits.checkName(newName, "new_name")
        return try await models.update(name, RegisteredModelChange(newName: newName), at: clock.now())
    }

    public func describeModel(_ name: String, _ description: String) async throws(AerieError) -> RegisteredModel {
        try await models.update(name, RegisteredModelChange(description: description), at: clock.now())
    }

    public func setModelTags(_ name: String, _ tags: [Tag]) async throws(AerieError) {
        try RegistryLimits.checkTags(tags)
        _ = try await models.update(name, RegisteredModelChange(setTags: tags), at: clock.now())
        try await announce(tags.map { .modelTagSet($0) }, of: name)
    }

    public func deleteModelTag(_ name: String, key: String) async throws(AerieError) {
        _ = try await models.update(name, RegisteredModelChange(deleteTags: [key]), at: clock.now())
        try await announce([.modelTagDeleted(key: key)], of: name)
    }

    public func deleteModel(_ name: String) async throws(AerieError) { try await models.delete(name) }

    public func setAlias(_ alias: String, of name: String, to version: Int) async throws(AerieError) {
        try RegistryLimits.checkAlias(alias)
        let change = RegisteredModelChange(setAliases: [ModelAlias(alias: alias, version: version)])
        _ = try await models.update(name, change, at: clock.now())
        try await announce(change.setAliases.map { .aliasSet($0) }, of: name)
    }

    public func deleteAlias(_ alias: String, of name: String) async throws(AerieError) {
        try RegistryLimits.checkAlias(alias)
        _ = try await models.update(name, RegisteredModelChange(deleteAliases: [alias]), at: clock.now())
        try await announce([.aliasDeleted(alias: alias)], of: name)
    }

    /// - Parameter filter: the search grammar over name and tags.
    public func searchModels(
        filter: String? = nil, orderBy: [String] = [], limit: Int = 100, pageToken: String? = nil
    ) async throws(AerieError) -> Page<RegisteredModel> {
        try RegistryLimits.checkLimit(limit, maximum: 1000)
        return try await models.search(
            SearchQuery(
                conditions: SearchParser.conditions(filter, subject: .registeredModels),
                order: SearchParser.orders(orderBy, subject: .registeredModels), limit: limit,
                position: try Self.position(pageToken)))
    }

    static func position(_ token: String?) throws(AerieError) -> PagePosition? {
        guard let token, !token.isEmpty else { return nil }
        return try PagePosition(token: token)
    }
}

/// Lengths and names that the client and other servers agree on.
enum RegistryLimits {
    static func checkName(_ name: String, _ field: String = "name") throws(AerieError) {
        guard !name.isEmpty else { throw .invalid(field, "Registered model name cannot be empty") }
        guard name.utf8.count <= 256 else { throw .invalid(field, "exceeds the maximum length of 256 bytes") }
        guard !name.contains(where: { $0 == "/" || $0 == ":" }) else {
            throw .invalid(field, "Invalid name '\(name)': a registered model's name may hold neither / nor :")
        }
    }

    static func checkAlias(_ alias: String) throws(AerieError) {
        let isWord = alias.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
        guard !alias.isEmpty, alias.count <= 255, isWord else {
            throw .invalid("alias", "Invalid alias '\(alias)': up to 255 letters, digits, underscores and dashes")
        }
        guard alias.lowercased() != "latest" else { throw .invalid("alias",
            "'latest' alias name (case insensitive) is reserved") }
        let lowercase = alias.lowercased()
        guard !(lowercase.hasPrefix("v") && lowercase.count > 1 && lowercase.dropFirst().allSatisfy(\.isNumber)) else {
            throw .invalid("alias", "Version alias name '\(alias)' is reserved: it looks like a version number")
        }
    }

    static func checkTags(_ tags: [Tag]) throws(AerieError) {
        for tag in tags {
            guard !tag.key.isEmpty, tag.key.count <= 250 else {
                throw .invalid("key", "a tag's key has 1 to 250 characters, not \(tag.key.count)")
            }
            guard tag.value.count <= 100_000 else { throw .invalid("value",
                "exceeds the maximum length of 100000 characters") }
        }
    }

    static func checkLimit(_ limit: Int, maximum: Int) throws(AerieError) {
        guard limit >= 1, limit <= maximum else {
            throw .invalid("max_results", "Invalid value \(limit): it must be from 1 to \(maximum)")
        }
    }
}
