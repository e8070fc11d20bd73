public import AerieCore
public import AerieJSON
import AerieResources

/// How one model is served, beyond what it is: batching, the cache of its answers, what runs before it is ready.
public struct ServingPolicy: Hashable, Sendable {
    /// One synthetic request, run before the model takes traffic.
    public struct Warmup: Hashable, Sendable {
        public var name: String
        public var batchSize: Int
        /// Requests to run, each as large as `batchSize`.
        public var count: Int
        /// By input; those that are not named get zeros of the model's own shape.
        public var inputs: [String: Input]

        public struct Input: Hashable, Sendable {
            public var dims: [Int]
            public var isRandom: Bool
        }
    }

    /// `nil`: each request is a call of its own.
    public var batching: BatchingPolicy?
    public var cachesResponses = false
    public var warmups: [Warmup] = []
    /// The share of the requests whose predictions are logged, 0 to 1.
    public var logShare = 0.0
    /// Whether the model comes into memory when it is asked for, and may leave it when others are.
    public var isOnDemand = false
    /// Bytes of memory that the model needs; `nil` to estimate it from its files.
    public var memory: Int?
    /// What computes an ONNX model, in the order of preference; empty for what the model itself says.
    public var providers: [ExecutionProvider] = []

    public init() {}
}

extension ServingPolicy {
    /// Reads a model configuration by Triton's names, as it is written in JSON: in the `config` of a load request, and
    /// in a deployment's annotation. What has no meaning here, such as the GPU of an instance, is passed over; a field
    /// that Triton does not know is an error.
    public init(modelConfig json: JSONValue) throws(AerieError) {
        self.init()
        guard let object = json.object else { throw .invalid("config", "an object was expected") }
        for key in object.keys where !Self.known.contains(key) {
            throw .invalid("config.\(key)", "no such field\(NearestName.hint(key, among: Self.known))")
        }
        let reader = ConfigReader(path: "config")
        let maximum = try reader.count(object["max_batch_size"], "max_batch_size", 0...(1 << 20)) ?? 0
        if let dynamic = object["dynamic_batching"], !dynamic.isNull {
            guard maximum != 1 else {
                throw .invalid("config.max_batch_size", "is 1, which leaves nothing for dynamic_batching to do")
            }
            batching = try BatchingPolicy(
                dynamicBatching: dynamic, maximumBatchSize: maximum == 0 ? BatchingPolicy.usualBatchSize : maximum)
        }
        if let groups = object["instance_group"]?.array {
            var instances = 0
            for (index, group) in groups.enumerated() {
                let path = "instance_group[\(index)].count"
                instances += try reader.count(group["count"], path, 1...256) ?? 1
            }
            if instances > 0 { batching?.instances = instances }
        }
        if let enable = object["response_cache"]?["enable"] {
            guard let isOn = enable.bool else {
                throw .invalid("config.response_cache.enable", "true or false was expected")
            }
            cachesResponses = isOn
        }
        for (index, warmup) in (object["model_warmup"]?.array ?? []).enumerated() {
            warmups.append(try Warmup(warmup, ConfigReader(path: "config.model_warmup[\(index)]")))
        }
    }

    private static let known = [
        "name", "platform", "backend", "runtime", "version_policy", "max_batch_size", "input", "output",
        "batch_input", "batch_output", "optimization", "dynamic_batching", "instance_group",
        "default_model_filename", "cc_model_filenames", "metric_tags", "parameters", "model_warmup",
        "model_operations", "model_transaction_policy", "model_repository_agents", "response_cache",
    ]
}

extension BatchingPolicy {
    init(dynamicBatching json: JSONValue, maximumBatchSize: Int) throws(AerieError) {
        self.init(maximumBatchSize: maximumBatchSize)
        guard let object = json.object else { throw .invalid("dynamic_batching", "an object was expected") }
        let known = [
            "preferred_batch_size", "max_queue_delay_microseconds", "preserve_ordering", "priority_levels",
            "default_priority_level", "default_queue_policy", "priority_queue_policy",
        ]
        for key in object.keys where !known.contains(key) {
            throw .invalid("dynamic_batching.\(key)", "no such field\(NearestName.hint(key, among: known))")
        }
        let reader = ConfigReader(path: "dynamic_batching")
        for (index, size) in (object["preferred_batch_size"]?.array ?? []).enumerated() {
            let path = "preferred_batch_size[\(index)]"
            preferredBatchSizes.append(try reader.count(size, path, 1...maximumBatchSize) ?? 1)
        }
        preferredBatchSizes.sort()
        maximumQueueDelay = try reader.microseconds(
            object["max_queue_delay_microseconds"], "max_queue_delay_microseconds")
        preservesOrdering = try reader.flag(object["preserve_ordering"], "preserve_ordering")
        priorityLevels = max(1, try reader.count(object["priority_levels"], "priority_levels", 0...64) ?? 1)
        defaultPriorityLevel =
            try reader.count(object["default_priority_level"], "default_priority_level", 1...priorityLevels)
            ?? (priorityLevels + 1) / 2
        if let queue = object["default_queue_policy"] {
            defaultQueue = try Queue(queue, ConfigReader(path: "dynamic_batching.default_queue_policy"))
        }
        for member in object["priority_queue_policy"]?.object?.members ?? [] {
            let path = "dynamic_batching.priority_queue_policy.\(member.key)"
            guard let level = Int(member.key), (1...priorityLevels).contains(level) else {
                throw .invalid(path, "is no level; there are 1 to \(priorityLevels)")
            }
            queues[level] = try Queue(member.value, ConfigReader(path: path))
        }
    }
}

extension BatchingPolicy.Queue {
    fileprivate init(_ json: JSONValue, _ reader: ConfigReader) throws(AerieError) {
        self.init()
        guard let object = json.object else { throw .invalid(reader.path, "an object was expected") }
        let known = ["timeout_action", "default_timeout_microseconds", "allow_timeout_override", "max_queue_size"]
        for key in object.keys where !known.contains(key) {
            throw .invalid("\(reader.path).\(key)", "no such field\(NearestName.hint(key, among: known))")
        }
        if let action = object["timeout_action"] {
            guard let text = action.string, let known = TimeoutAction(rawValue: text) else {
                throw .invalid("\(reader.path).timeout_action", "REJECT or DELAY was expected")
            }
            timeoutAction = known
        }
        timeout = try reader.microseconds(object["default_timeout_microseconds"], "default_timeout_microseconds")
        allowsTimeoutOverride = try reader.flag(object["allow_timeout_override"], "allow_timeout_override")
        maximumSize = try reader.count(object["max_queue_size"], "max_queue_size", 0...(1 << 20)) ?? 0
    }
}

extension ServingPolicy.Warmup {
    fileprivate init(_ json: JSONValue, _ reader: ConfigReader) throws(AerieError) {
        name = json["name"]?.string ?? ""
        batchSize = max(1, try reader.count(json["batch_size"], "batch_size", 0...(1 << 16)) ?? 1)
        count = max(1, try reader.count(json["count"], "count", 0...10_000) ?? 1)
        inputs = [:]
        for member in json["inputs"]?.object?.members ?? [] {
            var dims: [Int] = []
            for (index, size) in (member.value["dims"]?.array ?? []).enumerated() {
                dims.append(try reader.count(size, "inputs.\(member.key).dims[\(index)]", 1...(1 << 24)) ?? 1)
            }
            if member.value["input_data_file"] != nil {
                throw .invalid("\(reader.path).inputs.\(member.key)", "zero_data or random_data was expected, no file")
            }
            let isRandom = try reader.flag(member.value["random_data"], "inputs.\(member.key).random_data")
            inputs[member.key] = Input(dims: dims, isRandom: isRandom)
        }
    }
}

/// Reads fields of a model configuration. Numbers may be written as text, as protobuf's JSON writes 64-bit ones.
private struct ConfigReader {
    let path: String

    func count(_ value: JSONValue?, _ field: String, _ range: ClosedRange<Int>) throws(AerieError) -> Int? {
        guard let value, !value.isNull else { return nil }
        let number = value.int ?? value.string.flatMap { Int64($0) }
        guard let number, let count = Int(exactly: number), range.contains(count) else {
            throw .invalid(
                "\(path).\(field)", "a whole number from \(range.lowerBound) to \(range.upperBound) was expected")
        }
        return count
    }

    /// As nanoseconds.
    func microseconds(_ value: JSONValue?, _ field: String) throws(AerieError) -> UInt64 {
        UInt64(try count(value, field, 0...3_600_000_000) ?? 0) * 1000
    }

    func flag(_ value: JSONValue?, _ field: String) throws(AerieError) -> Bool {
        guard let value, !value.isNull else { return false }
        guard let isOn = value.bool else { throw .invalid("\(path).\(field)", "true or false was expected") }
        return isOn
    }
}
