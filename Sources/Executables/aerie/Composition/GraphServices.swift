import AerieTelemetry
import InferenceAPI
import Logging
import Serving

/// What graphs, feedback and shadows share in this process.
struct GraphServices: Sendable {
    let nodes: NodeMetrics
    let bandits: BanditRegistry
    let feedback: FeedbackService
    let shadows: ShadowQueue

    init(store: any BanditStore, metrics: MetricsRegistry, logger: Logger) {
        nodes = NodeMetrics(registry: metrics)
        bandits = BanditRegistry(store: store, decisions: DecisionLog(store: store, logger: logger))
        feedback = FeedbackService(bandits: bandits, metrics: nodes)
        shadows = ShadowQueue(registry: metrics)
    }

    /// Gives the data plane what it needs of them.
    func connect(_ options: inout InferencePlane.Options) {
        options.feedback = feedback
        options.shadows = shadows
    }
}
