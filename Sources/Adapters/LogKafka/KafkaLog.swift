public import AerieCore
import CRdkafka
public import Streaming

/// Kafka, by librdkafka.
///
/// Positions are not Kafka's but the subscription's: they are kept with the state that the messages made. A topic that
/// does not exist yet and brokers that are away are waited for.
public struct KafkaLog: EventLog {
    public init() {}

    public func consume(_ subscription: EventSubscription) throws(AerieError) -> any EventConsumer {
        if let problem = crdkafka_load() {
            throw AerieError(
                .unavailable,
                "librdkafka is not available: \(String(cString: problem)). It is needed to read Kafka. "
                    + "`scripts/bootstrap` installs it.", reason: "native.rdkafka")
        }
        return try KafkaConsumer(subscription)
    }
}
