public import AerieCore
public import Experiments

/// Something that has happened in the registry, told after it is durable.
public struct RegistryEvent: Hashable, Sendable {
    public enum Change: Hashable, Sendable {
        case modelCreated(RegisteredModel)
        case modelTagSet(Tag)
        case modelTagDeleted(key: String)
        case versionCreated(ModelVersion)
        case versionTagSet(version: Int, Tag)
        case versionTagDeleted(version: Int, key: String)
        case aliasSet(ModelAlias)
        case aliasDeleted(alias: String)
        case stageChanged(StageTransition)
    }

    /// The registered model's name.
    public var model: String
    /// Clients keep prompts as registered models with a tag that says so.
    public var isPrompt: Bool
    public var change: Change
    public var time: Timestamp

    public init(model: String, isPrompt: Bool, change: Change, time: Timestamp) {
        self.model = model
        self.isPrompt = isPrompt
        self.change = change
        self.time = time
    }

    /// The tag of registered models that are prompts; its value is `true`.
    public static let promptTag = "mlflow.prompt.is_prompt"

    static func isPrompt(_ tags: [Tag]) -> Bool {
        tags.last { $0.key == promptTag }?.value.lowercased() == "true"
    }
}

/// Is told what has happened in the registry, before the one who caused it gets an answer.
///
/// Contract: when `registryChanged` returns, whatever follows from the events survives a crash; so what a client was
/// told has happened is known to the observer too. What it throws becomes the answer to the client, although the
/// change stands. It may be called from any task, by several at once; events of one call are in order.
public protocol RegistryObserver: Sendable {
    func registryChanged(_ events: [RegistryEvent]) async throws(AerieError)
}

extension RegistryService {
    /// Tells the observer, if there is one. One read of the registered model.
    func announce(_ changes: [RegistryEvent.Change], of name: String) async throws(AerieError) {
        guard let observer, !changes.isEmpty else { return }
        let isPrompt = RegistryEvent.isPrompt(try await models.get([name]).first?.tags ?? [])
        let now = clock.now()
        try await observer.registryChanged(
            changes.map { RegistryEvent(model: name, isPrompt: isPrompt, change: $0, time: now) })
    }

    /// Tells of every change of stage that was made at a time, also of those that another one brought about.
    func announceTransitions(of name: String, at time: Timestamp) async throws(AerieError) {
        guard observer != nil else { return }
        let newest = try await versions.transitions(name, version: nil, limit: 1000)
        try await announce(newest.filter { $0.time == time }.reversed().map { .stageChanged($0) }, of: name)
    }
}
