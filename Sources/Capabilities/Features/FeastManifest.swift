public import AerieCore
public import AerieJSON
public import AerieResources

/// Feature definitions in one document, as Feast's users write them down: `entities`, `features`, `feature_views`,
/// `feature_services` and `push_sources` beside each other, under a `project`.
///
/// An entity's join key is its name unless it says another. Features that stand in a list of their own are the fields
/// of every view that names them.
public struct FeastManifest: ForeignManifest {
    public init() {}

    private static let known = [
        "project", "entities", "features", "feature_views", "feature_services", "push_sources", "on_demand_feature_views",
    ]

    public func translate(_ document: JSONValue) -> ForeignObjects? {
        guard let object = document.object, object["kind"] == nil, object["apiVersion"] == nil,
            object["feature_views"] != nil || object["entities"] != nil && object["features"] != nil
        else { return nil }
        var result = ForeignObjects()
        for key in object.keys where !Self.known.contains(key) {
            result.problems.append(
                .init(field: key, problem: "no such field; known are \(Self.known.joined(separator: ", "))"))
        }
        if let project = document["project"]?.string, project != "default" {
            result.warnings.append(
                "project: a project is a namespace here; '\(project)' is not looked at, -n names the namespace")
        }
        entities(document, &result)
        let fields = features(document, &result)
        views(document, fields, &result)
        onDemand(document, &result)
        services(document, &result)
        return result
    }

    private func items(
        _ document: JSONValue, _ name: String, _ result: inout ForeignObjects
    ) -> [(value: JSONValue, name: String, path: String)] {
        guard let value = document[name], !value.isNull else { return [] }
        guard let list = value.array else {
            result.problems.append(.init(field: name, problem: "must be a list"))
            return []
        }
        var found: [(JSONValue, String, String)] = []
        for (index, item) in list.enumerated() {
            guard let text = item["name"]?.string else {
                result.problems.append(.init(field: "\(name)[\(index)].name", problem: "is required"))
                continue
            }
            found.append((item, text, "\(name)[\(index)]"))
        }
        return found
    }

    private func add(_ kind: String, _ name: String, _ spec: JSONObject, _ path: String, _ result: inout ForeignObjects)
    {
        result.objects.append(
            .init(
                value: [
                    "apiVersion": "aerie.dev/v1", "kind": .string(kind), "metadata": ["name": .string(name)],
                    "spec": .object(spec),
                ], path: path))
    }

    /// Copies members under the names that they have here; what is named nowhere is a problem.
    private func copy(
        _ item: JSONValue, _ names: [String: String], _ path: String, _ result: inout ForeignObjects
    ) -> JSONObject {
        var spec = JSONObject()
        for member in item.object?.members ?? [] where member.key != "name" {
            guard let name = names[member.key] else {
                let all = names.keys.sorted().joined(separator: ", ")
                result.problems.append(
                    .init(field: "\(path).\(member.key)", problem: "no such field; known are name, \(all)"))
                continue
            }
            if !name.isEmpty { spec[name] = member.value }
        }
        return spec
    }

    private func entities(_ document: JSONValue, _ result: inout ForeignObjects) {
        let names = [
            "value_type": "valueType", "join_key": "joinKey", "description": "description", "owner": "owner",
            "tags": "tags",
        ]
        for item in items(document, "entities", &result) {
            add("Entity", item.name, copy(item.value, names, item.path, &result), item.path, &result)
        }
    }

    private func features(_ document: JSONValue, _ result: inout ForeignObjects) -> [String: JSONValue] {
        var fields: [String: JSONValue] = [:]
        let names = [
            "dtype": "dtype", "description": "description", "default": "default", "tags": "tags",
            "vector_index": "vectorIndex", "vector_length": "vectorLength",
            "vector_search_metric": "vectorSearchMetric",
        ]
        for item in items(document, "features", &result) {
            var field = copy(item.value, names, item.path, &result)
            field["name"] = .string(item.name)
            fields[item.name] = .object(field)
        }
        return fields
    }

    private func views(_ document: JSONValue, _ fields: [String: JSONValue], _ result: inout ForeignObjects) {
        var unused = Set(fields.keys)
        let pushed = items(document, "push_sources", &result)
        let names = [
            "entities": "entities", "online": "online", "ttl": "ttl", "description": "description", "owner": "owner",
            "tags": "tags", "features": "", "batch_source": "",
        ]
        for item in items(document, "feature_views", &result) {
            var spec = copy(item.value, names, item.path, &result)
            var features: [JSONValue] = []
            for (index, feature) in (item.value["features"]?.array ?? []).enumerated() {
                guard let name = feature.string else {
                    features.append(feature)
                    continue
                }
                guard let field = fields[name] else {
                    result.problems.append(
                        .init(
                            field: "\(item.path).features[\(index)]", problem: "'\(name)' is not among the features"))
                    continue
                }
                unused.remove(name)
                features.append(field)
            }
            spec["features"] = .array(features)
            let source = [
                "type": "type", "path": "path", "table": "table", "timestamp_field": "timestampField",
                "created_timestamp_column": "createdTimestampColumn", "field_mapping": "fieldMapping",
            ]
            var location = copy(item.value["batch_source"] ?? [:], source, "\(item.path).batch_source", &result)
            if let type = location["type"]?.string { location["type"] = .string(type.lowercased()) }
            spec["source"] = .object(location)
            let push = pushed.first { $0.value["feature_view"]?.string == item.name }
            if let push { spec["pushSource"] = .string(push.name) }
            add("FeatureView", item.name, spec, item.path, &result)
        }
        for name in unused.sorted() {
            result.warnings.append("features: '\(name)' is in no feature view, so nothing is kept of it")
        }
    }

    /// `mode`, `udf` (the function's source), `singleton` and `write_to_online_store` are those of Feast. Without a
    /// function, features are expressions in SQL.
    private func onDemand(_ document: JSONValue, _ result: inout ForeignObjects) {
        let inner = [
            "sources": "inputs", "request": "request", "mode": "mode", "udf": "function", "singleton": "singleton",
            "write_to_online_store": "writeToOnlineStore",
        ]
        var names = [
            "entities": "entities", "features": "features", "description": "description", "owner": "owner",
            "tags": "tags",
        ]
        for name in inner.keys { names[name] = "" }
        for item in items(document, "on_demand_feature_views", &result) {
            var spec = copy(item.value, names, item.path, &result)
            var onDemand = JSONObject()
            for (name, here) in inner { if let value = item.value[name] { onDemand[here] = value } }
            // Feast's own default of a view with a function.
            if onDemand["function"] != nil, onDemand["mode"] == nil { onDemand["mode"] = "pandas" }
            spec["onDemand"] = .object(onDemand)
            add("FeatureView", item.name, spec, item.path, &result)
        }
    }

    private func services(_ document: JSONValue, _ result: inout ForeignObjects) {
        let names = ["features": "features", "description": "description", "owner": "owner", "tags": "tags"]
        for item in items(document, "feature_services", &result) {
            add("FeatureService", item.name, copy(item.value, names, item.path, &result), item.path, &result)
        }
    }
}
