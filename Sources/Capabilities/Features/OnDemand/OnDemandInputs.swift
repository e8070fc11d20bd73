public import AerieCore
import AerieJSON
public import AerieResources

/// Refuses views on demand whose inputs are not there or do not fit.
public struct OnDemandInputs: ChangeGuard {
    public init() {}

    public func check(
        from old: Resource?, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) {
        guard let new, new.kind == "FeatureView", new.spec["onDemand"] != nil else { return }
        var views: [String: FeatureViewDefinition] = [:]
        for view in try await store.list(kind: "FeatureView", namespace: new.metadata.namespace) {
            let definition = try? FeatureViewDefinition.parse(view.spec, name: view.metadata.name)
            if let definition, definition.onDemand == nil { views[definition.name] = definition }
        }
        _ = try OnDemandPlan(try .parse(new.spec, name: new.metadata.name), views)
    }
}
