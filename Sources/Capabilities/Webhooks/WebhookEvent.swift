public import AerieCore

/// A kind of event that a webhook can ask for, written `entity.action`.
public enum WebhookEvent: String, Hashable, Sendable, CaseIterable {
    case modelCreated = "registered_model.created"
    case versionCreated = "model_version.created"
    case versionTagSet = "model_version_tag.set"
    case versionTagDeleted = "model_version_tag.deleted"
    case versionAliasCreated = "model_version_alias.created"
    case versionAliasDeleted = "model_version_alias.deleted"
    case promptCreated = "prompt.created"
    case promptVersionCreated = "prompt_version.created"
    case promptTagSet = "prompt_tag.set"
    case promptTagDeleted = "prompt_tag.deleted"
    case promptVersionTagSet = "prompt_version_tag.set"
    case promptVersionTagDeleted = "prompt_version_tag.deleted"
    case promptAliasCreated = "prompt_alias.created"
    case promptAliasDeleted = "prompt_alias.deleted"
    /// Aerie's own: a tag of a registered model that is no prompt.
    case modelTagSet = "registered_model_tag.set"
    case modelTagDeleted = "registered_model_tag.deleted"
    /// Aerie's own: a version moved from one stage to another, on request or because another took its place.
    case stageTransitioned = "model_version_stage.transitioned"

    /// Such as `model_version_tag`.
    public var entity: String { String(rawValue.prefix { $0 != "." }) }
    /// Such as `set`.
    public var action: String { String(rawValue.drop { $0 != "." }.dropFirst()) }

    /// Whether MLflow's client can name it; it fails on events that it does not know.
    public var isMLflow: Bool {
        switch self {
        case .modelTagSet, .modelTagDeleted, .stageTransitioned: false
        default: true
        }
    }

    /// - Throws: `invalidArgument` naming the events that there are.
    public init(parsing text: String, field: String = "events") throws(AerieError) {
        guard let event = Self(rawValue: text.lowercased()) else {
            throw .invalid(
                field,
                "there is no event '\(text.prefix(80))'; there are "
                    + Self.allCases.map(\.rawValue).joined(separator: ", "))
        }
        self = event
    }
}
