public import AerieCore
public import Experiments

extension RegistryService {
    /// Registers files as the next version of a model.
    /// - Parameter source: a `models:/`, `runs:/` or `mlflow-artifacts:/` URI, or a place in another store, such as
    ///   `s3://bucket/model`, whose files only clients read.
    /// - Throws: `notFound` for the model or what the source names, `invalidArgument` for another kind of source.
    public func createVersion(
        of name: String, source: String, runID: RunID? = nil, modelID: LoggedModelID? = nil, runLink: String = "",
        description: String = "", userID: String = "", tags: [Tag] = []
    ) async throws(AerieError) -> ModelVersion {
        try RegistryLimits.checkName(name)
        try RegistryLimits.checkTags(tags)
        let resolved = try await origin(source, isPrompt: tags.contains { $0.key == Self.promptTag })
        let now = clock.now()
        let created = try await versions.create(
            ModelVersion(
                name: name, version: 0, creationTime: now, lastUpdateTime: now, userID: userID,
                description: description,
                source: source, location: resolved.location, runID: runID ?? resolved.runID, runLink: runLink,
                modelID: modelID ?? resolved.modelID, tags: tags))
        try await announce([.versionCreated(created)], of: name)
        return created
    }

    /// Kinds of places that clients can read themselves.
    private static let foreignSchemes: Set<String> = [
        "s3", "gs", "abfss", "abfs", "wasbs", "wasb", "hdfs", "viewfs", "r2", "dbfs", "http", "https", "ftp", "sftp",
        "oss",
    ]

    /// Marks a version that is a prompt: its text is a tag, and it has no files.
    private static let promptTag = "mlflow.prompt.is_prompt"

    private func origin(
        _ source: String, isPrompt: Bool
    ) async throws(AerieError) -> (location: String, modelID: LoggedModelID?, runID: RunID?) {
        if isPrompt { return (source, nil, nil) }
        if let scheme = source.firstRange(of: "://").map({ source[..<$0.lowerBound].lowercased() }),
            Self.foreignSchemes.contains(scheme)
        {
            let path = source.split(separator: "/", omittingEmptySubsequences: false)
            guard !path.contains(".."), !source.contains("#"), !source.contains("?") else {
                throw .invalid("source", "\"\(source.prefix(200))\" is no plain path: it holds .., # or ?")
            }
            return (source, nil, nil)
        }
        let resolved = try await resolve(try ModelURI(source, field: "source"))
        return (resolved.location, resolved.modelID, resolved.runID)
    }

    public func version(_ key: ModelVersionKey) async throws(AerieError) -> ModelVersion {
        guard let found = try await versions.get([key]).first else {
            throw .notFound("Model Version (name=\(key.name), version=\(key.version)) not found")
        }
        return found
    }

    public func version(of name: String, alias: String) async throws(AerieError) -> ModelVersion {
        let model = try await model(name)
        // The one name that nobody can give away: the newest version, whatever its stage.
        if alias.lowercased() == "latest",
            let newest = try await latestVersions(of: name).max(by: { $0.version < $1.version })
        {
            return newest
        }
        guard let found = model.aliases.first(where: { $0.alias == alias }) else {
            throw AerieError(.invalidArgument, "Registered model alias \(alias) not found.", reason: "alias.missing")
        }
        return try await version(ModelVersionKey(name, found.version))
    }

    public func describeVersion(
        _ key: ModelVersionKey, _ description: String
    ) async throws(AerieError) -> ModelVersion {
        try await versions.update(key, ModelVersionChange(description: description), at: clock.now())
    }

    public func setVersionTags(_ key: ModelVersionKey, _ tags: [Tag]) async throws(AerieError) {
        try RegistryLimits.checkTags(tags)
        _ = try await versions.update(key, ModelVersionChange(setTags: tags), at: clock.now())
        try await announce(tags.map { .versionTagSet(version: key.version, $0) }, of: key.name)
    }

    public func deleteVersionTag(_ key: ModelVersionKey, tag: String) async throws(AerieError) {
        _ = try await versions.update(key, ModelVersionChange(deleteTags: [tag]), at: clock.now())
        try await announce([.versionTagDeleted(version: key.version, key: tag)], of: key.name)
    }

    /// Moves a version to a stage and notes who did it.
    /// - Parameter archivingExisting: archives the versions that are in that stage now; only for staging and
    ///   production.
    public func transition(
        _ key: ModelVersionKey, to stage: ModelStage, archivingExisting: Bool = false, actor: String
    ) async throws(AerieError) -> ModelVersion {
        guard !archivingExisting || stage == .staging || stage == .production else {
            throw .invalid(
                "archive_existing_versions",
                "Model version transition cannot archive existing model versions because '\(stage.rawValue)' is not an "
                    + "Active stage. Valid stages are Staging, Production")
        }
        let now = clock.now()
        let moved = try await versions.transition(
            key, to: stage, archivingOthers: archivingExisting, actor: actor, at: now)
        try await announceTransitions(of: key.name, at: now)
        return moved
    }

    /// Every change of stage of a model or one of its versions, newest first.
    public func stageHistory(
        of name: String, version: Int? = nil, limit: Int = 100
    ) async throws(AerieError) -> [StageTransition] {
        try await versions.transitions(name, version: version, limit: min(max(limit, 1), 10_000))
    }

    public func deleteVersion(_ key: ModelVersionKey) async throws(AerieError) {
        try await versions.delete(key, at: clock.now())
    }

    /// The newest version in each stage, or just in `stages`.
    public func latestVersions(of name: String, stages: [ModelStage] = []) async throws(AerieError) -> [ModelVersion] {
        _ = try await model(name)
        return try await versions.latest(name, stages: stages)
    }

    /// - Parameter filter: the search grammar over name, version_number, run_id, source_path and tags.
    public func searchVersions(
        filter: String? = nil, orderBy: [String] = [], limit: Int = 10_000, pageToken: String? = nil
    ) async throws(AerieError) -> Page<ModelVersion> {
        try RegistryLimits.checkLimit(limit, maximum: 200_000)
        return try await versions.search(
            SearchQuery(
                conditions: SearchParser.conditions(filter, subject: .modelVersions),
                order: SearchParser.orders(orderBy, subject: .modelVersions), limit: limit,
                position: try Self.position(pageToken)))
    }

    // MARK: Finding files

    /// Where a model named by text is, such as `models:/fraud/Production` (see `ModelURI`).
    public func resolve(_ text: String) async throws(AerieError) -> ResolvedModel { try await resolve(ModelURI(text)) }

    /// Where a model's files are. Two or three reads of the metadata store.
    /// - Throws: `notFound` for what the URI names, `unsupported` if the files are kept elsewhere.
    public func resolve(_ uri: ModelURI) async throws(AerieError) -> ResolvedModel {
        switch uri {
        case .version(let name, let number): return try resolved(uri, try await version(ModelVersionKey(name, number)))
        case .alias(let name, let alias): return try resolved(uri, try await version(of: name, alias: alias))
        case .latest(let name):
            guard let newest = try await latestVersions(of: name).max(by: { $0.version < $1.version }) else {
                throw .notFound("the registered model \(name) has no versions")
            }
            return try resolved(uri, newest)
        case .stage(let name, let stage):
            guard let newest = try await latestVersions(of: name, stages: [stage]).first else {
                throw .notFound("the registered model \(name) has no version in stage \(stage.rawValue)")
            }
            return try resolved(uri, newest)
        case .loggedModel(let id):
            let model = try await experiments.model(id)
            return try place(uri, model.artifactURI, modelID: id, runID: model.sourceRunID)
        case .run(let id, let path): return try await resolveRun(uri, id, path)
        case .location(let location): return try place(uri, location)
        }
    }

    /// A model below a run is either in the run's own artifacts or one that the run made under that name.
    private func resolveRun(_ uri: ModelURI, _ id: RunID, _ path: String) async throws(AerieError) -> ResolvedModel {
        let run = try await experiments.run(id)
        let relative = try ArtifactPath(path, field: "runs:/ path")
        let folder = try ArtifactPath(location: run.info.artifactURI).appending(relative)
        if try await artifacts.entry(folder) == nil {
            let made = try await experiments.models(run.modelOutputs.map(\.modelID))
            if let model = made.last(where: { $0.name == path }) {
                return try place(uri, model.artifactURI, modelID: model.id, runID: id)
            }
        }
        return try place(uri, relative.isRoot ? run.info.artifactURI : "\(run.info.artifactURI)/\(relative)", runID: id)
    }

    private func resolved(_ uri: ModelURI, _ version: ModelVersion) throws(AerieError) -> ResolvedModel {
        try place(uri, version.location, version: version, modelID: version.modelID, runID: version.runID)
    }

    private func place(
        _ uri: ModelURI, _ location: String, version: ModelVersion? = nil, modelID: LoggedModelID? = nil,
        runID: RunID? = nil
    ) throws(AerieError) -> ResolvedModel {
        let path = try ArtifactPath(location: location)
        return ResolvedModel(
            uri: uri, location: location, path: path,
            localPath: (artifacts as? any LocalArtifactStore)?.localPath(path),
            version: version, modelID: modelID, runID: runID)
    }
}
