public import AerieCore
public import AerieJSON

extension Resource {
    /// The object as it goes over the wire, its members in the order in which people write them.
    ///
    /// `resourceVersion` is a string there, as Kubernetes' clients expect it.
    public var json: JSONValue {
        var object = JSONObject([("apiVersion", .string(apiVersion)), ("kind", .string(kind))])
        object["metadata"] = .object(metadata.json)
        object["spec"] = .object(spec)
        if let status { object["status"] = .object(status) }
        return .object(object)
    }

    /// Only what a user writes: no `status`, nothing that the server made. What a diff compares.
    public var declaration: JSONValue {
        var plain = self
        plain.status = nil
        plain.metadata = ResourceMetadata(
            name: metadata.name, namespace: metadata.namespace, labels: metadata.labels,
            annotations: metadata.annotations)
        return plain.json
    }

    /// Reads what `json` writes.
    /// - Throws: `invalidArgument` naming the first field that is missing or of the wrong type.
    public init(json: JSONValue) throws(AerieError) {
        func string(_ value: JSONValue?, _ path: String) throws(AerieError) -> String {
            guard let text = value?.string else { throw .invalid(path, "a string was expected") }
            return text
        }
        let metadata = json["metadata"]
        self.init(
            apiVersion: try string(json["apiVersion"], "apiVersion"), kind: try string(json["kind"], "kind"),
            metadata: ResourceMetadata(
                name: try string(metadata?["name"], "metadata.name"),
                namespace: metadata?["namespace"]?.string ?? "default",
                labels: Self.strings(metadata?["labels"]), annotations: Self.strings(metadata?["annotations"]),
                uid: metadata?["uid"]?.string ?? "",
                resourceVersion: metadata?["resourceVersion"]?.string.flatMap { Int64($0) } ?? 0,
                generation: metadata?["generation"]?.int ?? 0,
                created: metadata?["creationTimestamp"]?.string.flatMap { Timestamp(iso8601: $0) }),
            spec: json["spec"]?.object ?? JSONObject(), status: json["status"]?.object)
    }

    private static func strings(_ value: JSONValue?) -> [String: String] {
        var result: [String: String] = [:]
        for member in value?.object?.members ?? [] { result[member.key] = member.value.string }
        return result
    }

    /// The value at a path such as `status.predictors[0].state`; `nil` where there is none.
    public func value(at path: String) -> JSONValue? { json.value(at: path) }
}

extension JSONValue {
    /// The value at a path such as `status.predictors[0].state`; `nil` where there is none.
    public func value(at path: String) -> JSONValue? {
        var value: JSONValue? = self
        for step in path.split(whereSeparator: { $0 == "." || $0 == "[" }) {
            if step.hasSuffix("]") {
                guard let index = Int(step.dropLast()) else { return nil }
                value = value?[index]
            } else {
                value = value?[String(step)]
            }
        }
        return value
    }
}

extension ResourceMetadata {
    var json: JSONObject {
        var object = JSONObject([("name", .string(name)), ("namespace", .string(namespace))])
        if !uid.isEmpty { object["uid"] = .string(uid) }
        if resourceVersion > 0 { object["resourceVersion"] = .string("\(resourceVersion)") }
        if generation > 0 { object["generation"] = .int(generation) }
        if let created { object["creationTimestamp"] = .string(created.iso8601) }
        if !labels.isEmpty { object["labels"] = Self.json(labels) }
        if !annotations.isEmpty { object["annotations"] = Self.json(annotations) }
        return object
    }

    private static func json(_ strings: [String: String]) -> JSONValue {
        .object(JSONObject(strings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }
}

extension Timestamp {
    /// Reads `2026-03-01T12:34:56Z`, whole seconds in UTC; `nil` for any other form.
    public init?(iso8601 text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 20, bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[10] == 0x54, bytes[13] == 0x3a,
            bytes[16] == 0x3a, bytes[19] == 0x5a
        else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            guard bytes[range].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
            return bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month),
            (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        let days = CivilDate(year: year, month: month, day: day).daysSince1970
        self.init(milliseconds: ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000)
    }
}
