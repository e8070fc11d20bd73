public import AerieCore
import AerieJSON
public import AerieResources

/// Says what declarations of the feature store name and is not there. Nothing is refused: texts may be applied in any
/// order, and what is missing may come.
public struct MissingNames: ChangeGuard {
    public init() {}

    private static let readers = ["FeatureView", "FeatureService", "MaterializationSchedule"]

    public func missing(
        from resources: [Resource], in store: any ResourceListing
    ) async throws(AerieError) -> [ResourceKey: [String]] {
        var found: [ResourceKey: [String]] = [:]
        for (namespace, some) in Dictionary(grouping: resources, by: \.metadata.namespace) {
            let readers = some.filter { Self.readers.contains($0.kind) }
            guard !readers.isEmpty else { continue }
            var all = some
            for kind in ["Entity", "FeatureView", "ExpectationSuite", "SourceConnection"] {
                all += try await store.list(kind: kind, namespace: namespace)
            }
            let names = DeclaredNames(all)
            for reader in readers {
                let lines = names.missing(from: reader).map { "\($0.field): \($0.problem)" }
                if !lines.isEmpty { found[reader.key] = lines }
            }
        }
        return found
    }
}

/// What the resources of a namespace are called, as others name them.
struct DeclaredNames {
    private var entities: [String: String] = [:]
    private var features: [String: Set<String>] = [:]
    private var suites: Set<String> = []
    private var connections: Set<String> = []

    /// - Parameter resources: of one that stands there twice the first counts.
    init(_ resources: [Resource]) {
        for resource in resources {
            let name = resource.metadata.name
            switch resource.kind {
            case "Entity": entities[name] = entities[name] ?? EntityKind.joinKey(resource)
            case "FeatureView" where features[name] == nil:
                var problems: [AerieError.Detail] = []
                let view = FeatureViewDefinition.read(resource.spec, name: name, path: "spec", problems: &problems)
                features[name] = Set(view.features.map(\.name))
            case "ExpectationSuite": suites.insert(name)
            case "SourceConnection": connections.insert(name)
            default: break
            }
        }
    }

    func missing(from resource: Resource) -> [AerieError.Detail] {
        switch resource.kind {
        case "FeatureView": missing(fromView: resource.spec)
        case "FeatureService":
            FeatureServiceKind.references(resource).compactMap { reference in
                guard let known = features[reference.view] else {
                    return .init(field: "spec.features", problem: "there is no feature view '\(reference.view)'")
                }
                // What an earlier version had is in the view's history.
                if reference.version != nil || known.contains(reference.feature) { return nil }
                return .init(
                    field: "spec.features",
                    problem: "feature view '\(reference.view)' has no feature '\(reference.feature)'; there are "
                        + known.sorted().joined(separator: ", "))
            }
        case "MaterializationSchedule":
            (resource.spec["featureViews"]?.array ?? []).enumerated().compactMap { place, element in
                guard let name = element.string, features[name] == nil else { return nil }
                return .init(field: "spec.featureViews[\(place)]", problem: "there is no feature view '\(name)'")
            }
        default: []
        }
    }

    private func missing(fromView spec: JSONObject) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        var keys: Set<String> = []
        for (place, element) in (spec["entities"]?.array ?? []).enumerated() {
            guard let name = element.string else { continue }
            keys.insert(entities[name] ?? name)
            if entities[name] == nil {
                let words = "there is no entity '\(name)'; until there is, its key is the column '\(name)', of any type"
                problems.append(.init(field: "spec.entities[\(place)]", problem: words))
            }
        }
        for (place, element) in (spec["features"]?.array ?? []).enumerated() {
            guard let name = element["name"]?.string, keys.contains(name) else { continue }
            let words = "'\(name)' is a key of the view, which every answer has anyway; as a feature it comes twice"
            problems.append(.init(field: "spec.features[\(place)].name", problem: words))
        }
        if let suite = spec["quality"]?["suite"]?.string, !suites.contains(suite) {
            let words = "there is no ExpectationSuite '\(suite)'; until there is, rows of the view are refused"
            problems.append(.init(field: "spec.quality.suite", problem: words))
        }
        if let connection = spec["source"]?["connection"]?.string, !connections.contains(connection) {
            problems.append(.init(field: "spec.source.connection", problem: "there is no SourceConnection '\(connection)'"))
        }
        return problems
    }
}
