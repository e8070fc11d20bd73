public import AerieCore
public import AerieResources

/// Which deployments read which feature services.
public enum DeploymentFeatures {
    public static func deployments(
        readingService name: String, namespace: String, in store: any ResourceStore
    ) async throws(AerieError) -> [ResourceKey] {
        try await store.list(kind: "SeldonDeployment", namespace: nil).filter { deployment in
            SeldonDeploymentSpec(deployment).predictors.contains { predictor in
                predictor.featureService == "\(namespace)/\(name)"
                    || predictor.featureService == name && deployment.metadata.namespace == namespace
            }
        }.map(\.key)
    }
}
