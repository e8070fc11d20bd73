public import AerieCore
public import AerieResources

/// Keeps feature services that deployments read from being deleted under them.
public struct DeploymentFeatures: ChangeGuard {
    public init() {}

    public func check(
        from old: Resource?, to new: Resource?, in store: any ResourceStore
    ) async throws(AerieError) {
        guard let old, new == nil, old.kind == "FeatureService" else { return }
        let (namespace, name) = (old.metadata.namespace, old.metadata.name)
        let deployments = try await store.list(kind: "SeldonDeployment", namespace: nil)
        let users = deployments.filter { deployment in
            SeldonDeploymentSpec(deployment).predictors.contains { predictor in
                predictor.featureService == "\(namespace)/\(name)"
                    || predictor.featureService == name && deployment.metadata.namespace == namespace
            }
        }
        if users.isEmpty { return }
        let names = users.map(\.key.description).sorted().joined(separator: ", ")
        throw AerieError(
            .failedPrecondition,
            "feature service '\(name)' is read by \(names); change or delete these first", reason: "feature.inUse")
    }
}
