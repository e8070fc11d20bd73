public import AerieCore
import AerieJSON
public import AerieResources

/// Keeps entities, views and features that others use from being taken away under them.
public struct FeatureUse: ChangeGuard {
    public init() {}

    public func check(
        from old: Resource?, to new: Resource?, in store: any ResourceStore
    ) async throws(AerieError) {
        guard let old else { return }
        switch old.kind {
        case "Entity" where new == nil:
            let views = try await store.list(kind: "FeatureView", namespace: old.metadata.namespace)
            let users = views.filter { view in
                view.spec["entities"]?.array?.contains { $0.string == old.metadata.name } ?? false
            }
            try Self.refuse("entity '\(old.metadata.name)'", users.map(\.key))
        case "FeatureView":
            let left = new.map(Self.features) ?? []
            let gone = Self.features(old).filter { !left.contains($0) }
            if gone.isEmpty { return }
            let services = try await store.list(kind: "FeatureService", namespace: old.metadata.namespace)
            let views = try await store.list(kind: "FeatureView", namespace: old.metadata.namespace)
            for feature in gone {
                let reference = FeatureReference(view: old.metadata.name, feature: feature)
                func reads(_ references: [FeatureReference]) -> Bool {
                    references.contains { $0.view == reference.view && $0.feature == reference.feature }
                }
                let users =
                    services.filter { reads(FeatureServiceKind.references($0)) }
                    + views.filter { reads(OnDemandDefinition.inputs($0.spec)) }
                try Self.refuse("feature '\(reference)'", users.map(\.key))
            }
        default: break
        }
    }

    private static func features(_ view: Resource) -> [String] {
        ["features", "aggregations"].flatMap { list in
            view.spec[list]?.array?.compactMap { $0["name"]?.string } ?? []
        }
    }

    private static func refuse(_ what: String, _ users: [ResourceKey]) throws(AerieError) {
        if users.isEmpty { return }
        let names = users.map(\.description).sorted()
        throw AerieError(
            .failedPrecondition, "\(what) is used by \(names.joined(separator: ", ")); change or delete these first",
            reason: "feature.inUse")
    }
}
