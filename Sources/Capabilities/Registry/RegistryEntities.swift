public import AerieCore
public import Experiments

/// Where in its life a version of a model stands. Clients write any capitalization.
public enum ModelStage: String, Sendable, Hashable, CaseIterable {
    case none = "None", development = "Development", staging = "Staging", production = "Production",
        archived = "Archived"

    /// - Throws: `invalidArgument` naming the stages.
    public init(parsing text: String, field: String = "stage") throws(AerieError) {
        guard let found = Self.allCases.first(where: { $0.rawValue.lowercased() == text.lowercased() }) else {
            throw .invalid(
                field, "Invalid Model Version stage: \(text). "
                    + "Value must be one of \(Self.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        self = found
    }
}

/// A name under which versions of a model are kept.
public struct RegisteredModel: Hashable, Sendable {
    public var name: String
    public var description: String
    public var creationTime: Timestamp
    public var lastUpdateTime: Timestamp
    public var tags: [Tag]
    /// Ordered by alias.
    public var aliases: [ModelAlias]
    /// The newest version in each stage, as far as there is one.
    public var latestVersions: [ModelVersion]

    public init(
        name: String, description: String = "", creationTime: Timestamp, lastUpdateTime: Timestamp, tags: [Tag] = [],
        aliases: [ModelAlias] = [], latestVersions: [ModelVersion] = []
    ) {
        self.name = name
        self.description = description
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.tags = tags
        self.aliases = aliases
        self.latestVersions = latestVersions
    }
}

/// A name for one version, moved at will, such as `champion`.
public struct ModelAlias: Hashable, Sendable {
    public var alias: String
    public var version: Int
    public init(alias: String, version: Int) {
        self.alias = alias
        self.version = version
    }
}

/// Names one version of one model.
public struct ModelVersionKey: Hashable, Sendable, CustomStringConvertible {
    public var name: String
    public var version: Int
    public init(_ name: String, _ version: Int) {
        self.name = name
        self.version = version
    }
    public var description: String { "\(name)/\(version)" }
}

/// One version of a model: which files it is, where they came from, and where it stands.
public struct ModelVersion: Hashable, Sendable {
    public enum Status: String, Sendable, Hashable {
        case pending = "PENDING_REGISTRATION", failed = "FAILED_REGISTRATION", ready = "READY"
    }

    public var name: String
    public var version: Int
    public var creationTime: Timestamp
    public var lastUpdateTime: Timestamp
    public var userID: String
    public var stage: ModelStage
    public var description: String
    /// As it was given, such as `models:/m-…` or `mlflow-artifacts:/1/…`.
    public var source: String
    /// Where the files really are.
    public var location: String
    public var runID: RunID?
    public var runLink: String
    public var modelID: LoggedModelID?
    public var status: Status
    public var tags: [Tag]
    public var aliases: [String]

    public init(
        name: String, version: Int, creationTime: Timestamp, lastUpdateTime: Timestamp, userID: String = "",
        stage: ModelStage = .none, description: String = "", source: String, location: String, runID: RunID? = nil,
        runLink: String = "", modelID: LoggedModelID? = nil, status: Status = .ready, tags: [Tag] = [],
        aliases: [String] = []
    ) {
        self.name = name
        self.version = version
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.userID = userID
        self.stage = stage
        self.description = description
        self.source = source
        self.location = location
        self.runID = runID
        self.runLink = runLink
        self.modelID = modelID
        self.status = status
        self.tags = tags
        self.aliases = aliases
    }

    public var key: ModelVersionKey { ModelVersionKey(name, version) }
}

/// One change of a version's stage: who, when, from, to.
public struct StageTransition: Hashable, Sendable {
    public var name: String
    public var version: Int
    public var from: ModelStage
    public var to: ModelStage
    public var actor: String
    public var time: Timestamp
    public init(name: String, version: Int, from: ModelStage, to: ModelStage, actor: String, time: Timestamp) {
        self.name = name
        self.version = version
        self.from = from
        self.to = to
        self.actor = actor
        self.time = time
    }
}
