public import AerieCore
public import AerieJSON
public import AerieResources

/// `kind: FeatureService`: the features that a model uses, under one name.
public struct FeatureServiceKind: ResourceKind {
    public init() {}

    public var name: String { "FeatureService" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["featureservice", "featureservices", "fs"] }
    public var columns: [(title: String, path: String)] {
        [("DESCRIPTION", "spec.description"), ("OWNER", "spec.owner")]
    }

    public var schema: FieldSchema {
        .object([
            Field("features", .array(.any), required: true),
            Field("description", .string),
            Field("owner", .string),
            Field("tags", .map(.string)),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        if let problem = FeatureName.problem(resource.metadata.name) {
            problems.append(.init(field: "metadata.name", problem: problem))
        }
        let references = resource.spec["features"]?.array ?? []
        if references.isEmpty {
            problems.append(.init(field: "spec.features", problem: "must name at least one feature"))
        }
        _ = Self.read(resource.spec, problems: &problems)
        return problems
    }

    /// What a service names, in its order; what is wrong with it is left out.
    public static func references(_ resource: Resource) -> [FeatureReference] {
        var problems: [AerieError.Detail] = []
        return read(resource.spec, problems: &problems)
    }

    private static let members = ["view", "name", "features", "joinKeys"]

    private static func read(_ spec: JSONObject, problems: inout [AerieError.Detail]) -> [FeatureReference] {
        var references: [FeatureReference] = []
        /// What each name in results stands for.
        var views: [String: FeatureProjection] = [:]
        var names: Set<String> = []
        for (index, element) in (spec["features"]?.array ?? []).enumerated() {
            let path = "spec.features[\(index)]"
            let found = one(element, path, &problems)
            if let first = found.first {
                let projection = FeatureProjection(view: first.view, joinKeys: first.joinKeys)
                if let other = views[first.outputView], other != projection {
                    problems.append(
                        .init(field: path, problem: "'\(first.outputView)' stands for something else above; give it a name"))
                }
                views[first.outputView] = projection
            }
            for reference in found {
                if !names.insert(reference.description).inserted {
                    problems.append(.init(field: path, problem: "'\(reference)' is named twice"))
                }
                references.append(reference)
            }
        }
        return references
    }

    /// `view:feature`, or `{view, features, name, joinKeys}`.
    private static func one(
        _ element: JSONValue, _ path: String, _ problems: inout [AerieError.Detail]
    ) -> [FeatureReference] {
        if let text = element.string {
            if let reference = FeatureReference(text) { return [reference] }
            problems.append(.init(field: path, problem: "'\(text)' is no reference; write view:feature"))
            return []
        }
        guard let object = element.object, let (view, version) = object["view"]?.string.map(FeatureName.versioned),
            let features = object["features"]?.array, !features.isEmpty
        else {
            problems.append(
                .init(
                    field: path,
                    problem: "\(element.text()) is no reference; write view:feature, or {view, features: […], name, joinKeys}"))
            return []
        }
        for key in object.keys where !members.contains(key) {
            problems.append(
                .init(field: "\(path).\(key)", problem: "no such field; known are \(members.joined(separator: ", "))"))
        }
        let alias = object["name"]?.string
        if let problem = alias.flatMap({ FeatureName.problem($0) }) {
            problems.append(.init(field: "\(path).name", problem: problem))
        }
        var joinKeys: [String: String] = [:]
        for member in object["joinKeys"]?.object?.members ?? [] { joinKeys[member.key] = member.value.string }
        return features.enumerated().compactMap { place, feature in
            guard let name = feature.string, FeatureName.problem(ofFeature: name) == nil else {
                problems.append(
                    .init(field: "\(path).features[\(place)]", problem: "\(feature.text()) is no feature's name"))
                return nil
            }
            return FeatureReference(
                view: view, feature: name, version: version, alias: alias == view ? nil : alias, joinKeys: joinKeys)
        }
    }
}
