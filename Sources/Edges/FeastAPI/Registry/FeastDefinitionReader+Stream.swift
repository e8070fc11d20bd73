import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features

/// Stream feature views: Feast declares windows and leaves the counting to Spark; here they are counted.
extension FeastDefinitionReader {
    /// The members of `FeatureView`'s spec that are read from Feast's messages.
    private static let streamMembers: Set = [
        "entities", "ttl", "source", "stream", "aggregations", "features", "online", "disabled", "pushSource", "description",
        "owner", "tags",
    ]

    /// `StreamFeatureViewSpec`. Without aggregations it is a feature view whose rows also come by its stream.
    mutating func streamFeatureView() throws(AerieError) -> Outcome {
        let message = object.spec
        if message.has(13) || message.has(17) {
            // Of rows that are pushed, and in training data, Feast knows nothing of the function either.
            problems.append(
                "stream feature view '\(object.name)' has a function over Spark's frames of its topic, which Feast does not "
                    + "apply to pushes and training data; declare the topic's rows, and compute of them in an on-demand "
                    + "feature view (with write_to_online_store, when they are written)")
        }
        guard problems.isEmpty else { return outcome }
        var spec = JSONObject()
        if message.number(23) != 0 { spec["disabled"] = true }
        spec["entities"] = .array(message.texts(3).filter { $0 != Self.noEntity }.map { .string($0) })
        guard let from = try message.message(11) else {
            problems.append("stream feature view '\(object.name)' has no stream source")
            return outcome
        }
        var batch = try message.message(10)
        if batch == nil { batch = try from.message(26) }
        if let batch, let source = try source(batch) { spec["source"] = .object(source) }
        let aggregations = try message.messages(15)
        guard let stream = try stream(from, timestampField: message.text(16)) else { return outcome }
        spec["online"] = .bool(message.number(12) != 0)
        if from.number(1) == Self.pushSource { spec["pushSource"] = .string(from.text(20)) }
        try described(&spec, description: 6, owner: 8, tags: 7)
        let ttl = try message.message(9)
        if aggregations.isEmpty {
            // Feast lists the keys of such a view among its features.
            let keys = try message.messages(5).map { $0.text(1) }
            let features = try features(message).filter { !keys.contains($0["name"]?.string ?? "") }
            guard !features.isEmpty else { return withoutFeatures }
            spec["features"] = .array(features)
            if let ttl { spec["ttl"] = .string(Self.seconds(ttl)) }
            if stream["type"] == "kafka" { spec["stream"] = .object(Self.ofRows(stream)) }
        } else {
            guard let windows = try windows(aggregations) else { return outcome }
            spec["aggregations"] = .array(windows)
            spec["stream"] = .object(stream)
            if let ttl, FeastTime.micros(ttl) != 0 {
                problems.append("the ttl of '\(object.name)' is not looked at, as its windows say how long an event counts")
            }
        }
        return resource("FeatureView", keepingRest(spec, known: Self.streamMembers))
    }

    // MARK: The stream

    static let kafkaSource: UInt64 = 3
    static let pushSource: UInt64 = 9

    /// `DataSource` of a stream as `spec.stream`; `nil` for one that is not read here.
    mutating func stream(
        _ source: ProtobufMessage, timestampField: String = ""
    ) throws(AerieError) -> JSONObject? {
        var stream: JSONObject
        switch source.number(1) {
        case Self.pushSource: stream = ["type": "push"]
        case Self.kafkaSource:
            guard let options = try source.message(13), !options.text(1).isEmpty, !options.text(2).isEmpty else {
                problems.append("Kafka source '\(source.text(20))' names no servers or no topic")
                return nil
            }
            if let format = try options.message(3), !format.has(3) {
                problems.append("Kafka source '\(source.text(20))' is of Avro or protobuf messages; JSON is read")
                return nil
            }
            stream = ["type": "kafka", "brokers": .string(options.text(1)), "topic": .string(options.text(2))]
            if let late = try options.message(4), FeastTime.micros(late) > 0 {
                stream["allowedLateness"] = .string(Self.seconds(late))
            }
        default:
            problems.append("stream source '\(source.text(20))' is kept and not read: push and Kafka are")
            return nil
        }
        let time = timestampField.isEmpty ? source.text(3) : timestampField
        if !time.isEmpty { stream["timestampField"] = .string(time) }
        // What only Aerie says of a stream stays.
        for member in old?.spec["stream"]?.object?.members ?? []
        where stream[member.key] == nil && old?.spec["stream"]?["type"] == stream["type"] {
            stream[member.key] = member.value
        }
        return stream
    }

    /// Of rows the newest counts, however late it comes.
    static func ofRows(_ stream: JSONObject) -> JSONObject {
        JSONObject(stream.members.filter { $0.key != "allowedLateness" }.map { ($0.key, $0.value) })
    }

    // MARK: Windows

    private static let functions: [String: String] = [
        "count": "count", "sum": "sum", "mean": "mean", "avg": "mean", "min": "min", "max": "max", "std": "stddev",
        "stddev": "stddev", "stddev_samp": "stddev", "last": "last", "count_distinct": "distinct_count",
        "distinct_count": "distinct_count", "nunique": "distinct_count",
    ]

    /// What Feast cuts windows into where `enable_tiling` is set without a size.
    private static let defaultHop: Int64 = 300 * 1_000_000

    /// `Aggregation` messages as `spec.aggregations`; `nil` if one cannot be computed here. A feature's name and type
    /// are those of the schema where one stands there.
    private mutating func windows(_ aggregations: [ProtobufMessage]) throws(AerieError) -> [JSONValue]? {
        let message = object.spec
        var declared = Dictionary(try message.messages(4).map { ($0.text(1), $0) }) { first, _ in first }
        for key in try message.messages(5) { declared[key.text(1)] = nil }
        var hop: Int64?
        if message.number(18) != 0 {
            hop = try message.message(19).map { FeastTime.micros($0) }.flatMap { $0 > 0 ? $0 : nil } ?? Self.defaultHop
        }
        var list: [JSONValue] = []
        for aggregation in aggregations {
            let (column, word) = (aggregation.text(1), aggregation.text(2))
            guard let function = Self.functions[word.lowercased()] else {
                problems.append("the aggregation '\(word)' of column '\(column)' is none that is computed here")
                return nil
            }
            guard let window = try aggregation.message(3), FeastTime.micros(window) > 0 else {
                problems.append("the aggregation '\(word)' of column '\(column)' has no time_window")
                return nil
            }
            // As Feast names what has no name of its own.
            let names = [
                aggregation.text(5), "\(word)_\(column)_\(FeastTime.micros(window) / 1_000_000)s", "\(word)_\(column)",
            ].filter { !$0.isEmpty }
            let name = names.first { declared[$0] != nil } ?? names[0]
            var entry: JSONObject = [
                "name": .string(name), "function": .string(function), "window": .string(Self.seconds(window)),
            ]
            if !column.isEmpty { entry["column"] = .string(column) }
            let slide = try aggregation.message(4).map { FeastTime.micros($0) } ?? 0
            if let hop {
                entry["slide"] = .string(Self.seconds(FeastTime.message(micros: hop)))
            } else if slide > 0 {
                entry["slide"] = .string(Self.seconds(FeastTime.message(micros: slide)))
            }
            if let field = declared.removeValue(forKey: name) {
                if let type = FeastValueType.type(field.number(2)) { entry["dtype"] = .string(type.rawValue) }
                if !field.text(4).isEmpty { entry["description"] = .string(field.text(4)) }
                let tags = try field.map(3)
                if !tags.isEmpty { entry["tags"] = .object(JSONObject(tags.map { ($0.key, .string($0.value)) })) }
            }
            list.append(.object(entry))
        }
        for name in declared.keys.sorted() {
            problems.append("feature '\(object.name):\(name)' is made by no aggregation, and is not there")
        }
        return list
    }
}
