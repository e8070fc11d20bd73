import AerieJSON
import AerieResources

extension Resource {
    /// Takes from the resource that is there all that its client has not changed: it was shown in Feast's messages,
    /// which have no place for some of what Aerie knows, and what comes back in them says nothing of that.
    /// - Parameter before: what the object that the client was shown would mean; `nil` where it would mean nothing.
    mutating func merge(_ old: Resource, before: Resource?) {
        if let before { spec = old.spec.merged(from: before.spec, to: spec) }
    }

    /// Whether the resource lists a feature of that name.
    func declares(_ feature: String) -> Bool {
        spec["features"]?.array?.contains { $0["name"]?.string == feature } ?? false
    }
}

extension JSONObject {
    /// This object with what is changed between two others.
    fileprivate func merged(from before: JSONObject, to after: JSONObject) -> JSONObject {
        var result = JSONObject()
        for key in keys + after.keys.filter({ self[$0] == nil }) {
            result[key] = JSONValue.merged(self[key], from: before[key], to: after[key])
        }
        return result
    }
}

extension JSONValue {
    /// Objects are merged by their members, and lists of objects that have names by these.
    fileprivate static func merged(_ own: JSONValue?, from before: JSONValue?, to after: JSONValue?) -> JSONValue? {
        if before == after { return own }
        if let own = own?.object, let before = before?.object, let after = after?.object {
            return .object(own.merged(from: before, to: after))
        }
        guard let list = after?.array else { return after }
        return .array(
            list.map { element in
                func named(_ list: JSONValue?) -> JSONValue? {
                    guard let name = element["name"]?.string else { return nil }
                    return list?.array?.first { $0["name"]?.string == name }
                }
                guard let own = named(own), let before = named(before) else { return element }
                return merged(own, from: before, to: element) ?? element
            })
    }
}
