import AerieTelemetry
import CloudEvents
import InferenceAPI
import Logging
import SendCloudEvents
import Serving

/// What graphs, feedback and shadows share in this process.
struct GraphServices: Sendable {
    let nodes: NodeMetrics
    let bandits: BanditRegistry
    let feedback: FeedbackService
    let shadows: ShadowQueue
    /// Copies of requests and answers on their way to the receivers that deployments name.
    let events: CloudEventQueue

    init(
        store: any BanditStore, predictions: any PredictionFeedback, metrics: MetricsRegistry, logger: Logger
    ) {
        nodes = NodeMetrics(registry: metrics)
        bandits = BanditRegistry(store: store, decisions: DecisionLog(store: store, logger: logger))
        feedback = FeedbackService(bandits: bandits, metrics: nodes, predictions: predictions)
        shadows = ShadowQueue(registry: metrics)
        events = CloudEventQueue(sender: HTTPCloudEventSender(), metrics: metrics, logger: logger)
    }

    /// Gives the data plane what it needs of them.
    func connect(_ options: inout InferencePlane.Options) {
        options.feedback = feedback
        options.shadows = shadows
    }
}
