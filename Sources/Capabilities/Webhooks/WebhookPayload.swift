import AerieCore
import AerieJSON
import Experiments
import Registry

/// What is sent, in the words of MLflow's webhooks.
enum WebhookPayload {
    /// The tags by which clients tell prompts from models; a prompt's payload leaves them out.
    private static let promptTypeTag = "_mlflow_prompt_type"
    private static let promptTextTag = "mlflow.prompt.text"

    /// The event and its body of JSON.
    static func make(_ event: RegistryEvent) -> (WebhookEvent, String) {
        let (kind, data) = content(event)
        return (kind, text(kind, data, at: event.time))
    }

    /// What a test sends.
    static func example(_ event: WebhookEvent, at time: Timestamp) -> String {
        let name = event.entity.hasPrefix("prompt") ? "example_prompt" : "example_model"
        var data: JSONObject = ["name": .string(name)]
        switch event {
        case .modelCreated, .promptCreated:
            data["tags"] = ["example_key": "example_value"]
            data["description"] = .string("An example of \(event.entity)")
        case .versionCreated, .promptVersionCreated:
            data["version"] = "1"
            if event == .versionCreated {
                data["source"] = "models:/123"
                data["run_id"] = "abcd1234abcd5678"
            } else {
                data["template"] = "Hello {{name}}!"
            }
            data["tags"] = ["example_key": "example_value"]
            data["description"] = .string("An example of \(event.entity)")
        case .stageTransitioned:
            data["version"] = "1"
            data["from_stage"] = "Staging"
            data["to_stage"] = "Production"
            data["actor"] = "local"
        default:
            if event.entity.hasSuffix("alias") {
                data["alias"] = "example_alias"
                if event.action == "created" { data["version"] = "1" }
            } else {
                if event.entity.contains("version") { data["version"] = "1" }
                data["key"] = "example_key"
                if event.action == "set" { data["value"] = "example_value" }
            }
        }
        return text(event, data, at: time)
    }

    private static func text(_ event: WebhookEvent, _ data: JSONObject, at time: Timestamp) -> String {
        let body: JSONValue = [
            "entity": .string(event.entity), "action": .string(event.action), "timestamp": .string(iso(time)),
            "data": .object(data),
        ]
        return body.text()
    }

    /// With microseconds and offset, as Python writes it.
    private static func iso(_ time: Timestamp) -> String {
        time.iso8601Milliseconds.dropLast() + "000+00:00"
    }

    private static func content(_ event: RegistryEvent) -> (WebhookEvent, JSONObject) {
        var data: JSONObject = ["name": .string(event.model)]
        let isPrompt = event.isPrompt
        switch event.change {
        case .modelCreated(let model):
            data["tags"] = tags(model.tags, isPrompt)
            data["description"] = .string(model.description)
            return (isPrompt ? .promptCreated : .modelCreated, data)
        case .modelTagSet(let tag):
            data["key"] = .string(tag.key)
            data["value"] = .string(tag.value)
            return (isPrompt ? .promptTagSet : .modelTagSet, data)
        case .modelTagDeleted(let key):
            data["key"] = .string(key)
            return (isPrompt ? .promptTagDeleted : .modelTagDeleted, data)
        case .versionCreated(let version):
            data["version"] = .string("\(version.version)")
            if isPrompt {
                data["template"] = version.tags.last { $0.key == promptTextTag }.map { .string($0.value) } ?? .null
            } else {
                data["source"] = .string(version.source)
                data["run_id"] = version.runID.map { .string($0.text) } ?? .null
            }
            data["tags"] = tags(version.tags, isPrompt)
            data["description"] = version.description.isEmpty ? .null : .string(version.description)
            return (isPrompt ? .promptVersionCreated : .versionCreated, data)
        case .versionTagSet(let version, let tag):
            data["version"] = .string("\(version)")
            data["key"] = .string(tag.key)
            data["value"] = .string(tag.value)
            return (isPrompt ? .promptVersionTagSet : .versionTagSet, data)
        case .versionTagDeleted(let version, let key):
            data["version"] = .string("\(version)")
            data["key"] = .string(key)
            return (isPrompt ? .promptVersionTagDeleted : .versionTagDeleted, data)
        case .aliasSet(let alias):
            data["alias"] = .string(alias.alias)
            data["version"] = .string("\(alias.version)")
            return (isPrompt ? .promptAliasCreated : .versionAliasCreated, data)
        case .aliasDeleted(let alias):
            data["alias"] = .string(alias)
            return (isPrompt ? .promptAliasDeleted : .versionAliasDeleted, data)
        case .stageChanged(let transition):
            data["version"] = .string("\(transition.version)")
            data["from_stage"] = .string(transition.from.rawValue)
            data["to_stage"] = .string(transition.to.rawValue)
            data["actor"] = .string(transition.actor)
            return (.stageTransitioned, data)
        }
    }

    private static func tags(_ tags: [Tag], _ isPrompt: Bool) -> JSONValue {
        var object = JSONObject()
        for tag in tags where !isPrompt || ![RegistryEvent.promptTag, promptTypeTag, promptTextTag].contains(tag.key) {
            object[tag.key] = .string(tag.value)
        }
        return .object(object)
    }
}
