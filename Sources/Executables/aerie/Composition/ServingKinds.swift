import AerieResources
import Serving

/// Every way of saying what is to be served, and what carries each out: all on the one serving table.
enum ServingKinds {
    static let all: [any ResourceKind] = [
        SeldonDeploymentKind(), InferenceServiceKind(), SeldonModelKind(), ExperimentKind(), AutoscalerKind(),
    ]

    static func reconcilers(
        _ deployments: SeldonDeploymentController, _ service: ServingService,
        inferenceURL: @escaping @Sendable () -> String
    ) -> [any Reconciler] {
        [
            deployments, InferenceServiceController(deployments), SeldonModelController(deployments),
            ExperimentController(service: service, inferenceURL: inferenceURL),
        ]
    }
}
