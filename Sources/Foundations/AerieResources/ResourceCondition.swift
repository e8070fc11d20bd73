public import AerieCore
public import AerieJSON

/// One statement of `status.conditions`, such as that the object is ready, with the reason.
public struct ResourceCondition: Sendable, Hashable {
    public var type: String
    public var isTrue: Bool
    /// One word for programs.
    public var reason: String
    /// A sentence for people.
    public var message: String
    /// When `isTrue` last changed.
    public var since: Timestamp

    public init(type: String = "Ready", isTrue: Bool, reason: String, message: String = "", since: Timestamp) {
        self.type = type
        self.isTrue = isTrue
        self.reason = reason
        self.message = message
        self.since = since
    }

    public var json: JSONValue {
        var object = JSONObject([("type", .string(type)), ("status", .string(isTrue ? "True" : "False"))])
        object["reason"] = .string(reason)
        object["message"] = .string(message)
        object["lastTransitionTime"] = .string(since.iso8601)
        return .object(object)
    }

    init?(_ json: JSONValue) {
        guard let type = json["type"]?.string, let status = json["status"]?.string else { return nil }
        self.init(
            type: type, isTrue: status == "True", reason: json["reason"]?.string ?? "",
            message: json["message"]?.string ?? "",
            since: json["lastTransitionTime"]?.string.flatMap { Timestamp(iso8601: $0) } ?? Timestamp(milliseconds: 0))
    }

    /// The status with this condition in place of the one of its type. The old time is kept while the old answer is.
    public func put(into status: JSONObject, previous: JSONObject?) -> JSONObject {
        var condition = self
        if let old = (
            previous?["conditions"]?.array ?? []).compactMap(ResourceCondition.init).first(where: { $0.type == type }),
            old.isTrue == isTrue
        { condition.since = old.since }
        var conditions = (status["conditions"]?.array ?? []).filter { $0["type"]?.string != type }
        conditions.append(condition.json)
        var status = status
        status["conditions"] = .array(conditions)
        return status
    }
}

extension Resource {
    public var conditions: [ResourceCondition] {
        (status?["conditions"]?.array ?? []).compactMap(ResourceCondition.init)
    }
    /// True once the reconciler has said so of the present `spec`.
    public var isReady: Bool {
        status?["observedGeneration"]?.int == metadata.generation
            && conditions.contains { $0.type == "Ready" && $0.isTrue }
    }
}
