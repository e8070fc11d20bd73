import AerieCore
import AerieJSON
import Streaming

/// Where a view's events come from, and what in them says what.
public struct StreamSource: Sendable, Hashable {
    /// A topic of Kafka, read by a consumer group.
    public struct Kafka: Sendable, Hashable {
        /// `host:port`, comma-separated.
        public var brokers: String
        public var topic: String
        public var group: String
        /// Consumers of the group in this process, which share the partitions.
        public var consumers: Int
        /// Further settings of librdkafka, such as `security.protocol`.
        public var options: [String: String]
    }

    /// `nil` for events that are pushed only.
    public var kafka: Kafka?
    public var timestampField: String
    /// The column that tells an event from others of its entity; `nil` if the source has none.
    public var eventID: String?
    /// Microseconds.
    public var allowedLateness: Int64
    /// For rows: whether they are kept for training data too.
    public var keepsRows = true

    static let defaultLateness: Int64 = 3600 * 1_000_000

    /// - Parameter name: of the view, for the group's default name.
    static func read(
        _ spec: JSONObject, name: String, timestampField: String?, path: String, problems: inout [AerieError.Detail]
    ) -> StreamSource {
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(path).\(field)", problem: problem))
        }
        var source = StreamSource(
            kafka: nil, timestampField: spec["timestampField"]?.string ?? timestampField ?? "event_timestamp",
            eventID: spec["eventId"]?.string, allowedLateness: defaultLateness)
        source.keepsRows = spec["to"]?.string != PushTarget.online.rawValue
        if let lateness = spec["allowedLateness"], !lateness.isNull {
            if let microseconds = FeatureViewDefinition.microseconds(lateness) {
                source.allowedLateness = microseconds
            } else {
                wrong("allowedLateness", "\(lateness.text()) is no duration; write 90m, 24h or 7d")
            }
        }
        let kafkaFields = ["brokers", "topic", "group", "consumers", "options"]
        guard spec["type"]?.string == "kafka" else {
            for field in kafkaFields where spec[field] != nil {
                wrong(field, "belongs to a stream of type kafka")
            }
            return source
        }
        for field in ["brokers", "topic"] where (spec[field]?.string ?? "").isEmpty {
            wrong(field, "is required for a stream of type kafka")
        }
        var options: [String: String] = [:]
        for member in spec["options"]?.object?.members ?? [] {
            if ["enable.auto.commit", "group.id", "bootstrap.servers", "enable.partition.eof"].contains(member.key) {
                wrong("options.\(member.key)", "is decided by Aerie, which keeps positions with the state")
            }
            options[member.key] = member.value.string ?? member.value.text()
        }
        source.kafka = Kafka(
            brokers: spec["brokers"]?.string ?? "", topic: spec["topic"]?.string ?? "",
            group: spec["group"]?.string ?? "aerie-\(name)", consumers: Int(spec["consumers"]?.int ?? 1),
            options: options)
        return source
    }
}
