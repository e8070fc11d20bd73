import AerieData
import AerieJSON
import Serving

/// A model's configuration as it is in effect, in Triton's terms: shapes without the dimension of the rows where
/// requests may be put together.
struct ModelConfigForm {
    private let name: String
    private let description: ModelDescription
    private let policy: ServingPolicy
    private let batching: BatchingPolicy?

    init(_ deployment: DeploymentPlan, _ predictor: PredictorPlan) {
        name = deployment.served.name
        description = predictor.model.description
        policy = predictor.served.policy
        batching = predictor.batcher == nil ? nil : policy.batching
    }

    private var maximumBatchSize: Int { batching?.maximumBatchSize ?? 0 }

    private func dims(_ spec: TensorSpec) -> [Int] {
        maximumBatchSize > 0 ? Array(spec.shape.dropFirst()) : spec.shape
    }

    private static func typeName(_ type: DataType) -> String {
        type == .bytes ? "TYPE_STRING" : "TYPE_\(type.rawValue)"
    }

    /// The number of `inference.DataType`.
    private static func typeNumber(_ type: DataType) -> UInt64 {
        let order: [DataType] = [
            .bool, .uint8, .uint16, .uint32, .uint64, .int8, .int16, .int32, .int64, .fp16, .fp32, .fp64, .bytes, .bf16,
        ]
        return UInt64((order.firstIndex(of: type) ?? -1) + 1)
    }

    // MARK: JSON

    var json: JSONValue {
        func tensor(_ spec: TensorSpec) -> JSONValue {
            [
                "name": .string(spec.name), "data_type": .string(Self.typeName(spec.dataType)),
                "dims": .array(dims(spec).map { .int(Int64($0)) }),
            ]
        }
        var config: JSONObject = [
            "name": .string(name), "platform": .string(description.platform), "backend": .string(backend),
            "version_policy": ["latest": ["num_versions": 1]], "max_batch_size": .int(Int64(maximumBatchSize)),
            "input": .array(description.inputs.map(tensor)), "output": .array(description.outputs.map(tensor)),
            "instance_group": [
                ["name": .string(name), "kind": "KIND_CPU", "count": .int(Int64(batching?.instances ?? 1))]
            ],
            "response_cache": ["enable": .bool(policy.cachesResponses)],
        ]
        if let batching { config["dynamic_batching"] = Self.json(batching) }
        return .object(config)
    }

    private var backend: String { description.platform.split(separator: "_").first.map(String.init) ?? "" }

    private static func json(_ batching: BatchingPolicy) -> JSONValue {
        [
            "preferred_batch_size": .array(batching.preferredBatchSizes.map { .int(Int64($0)) }),
            "max_queue_delay_microseconds": .int(Int64(batching.maximumQueueDelay / 1000)),
            "preserve_ordering": .bool(batching.preservesOrdering),
            "priority_levels": .int(Int64(batching.priorityLevels == 1 ? 0 : batching.priorityLevels)),
            "default_priority_level": .int(Int64(batching.priorityLevels == 1 ? 0 : batching.defaultPriorityLevel)),
            "default_queue_policy": json(batching.defaultQueue),
            "priority_queue_policy": .object(
                JSONObject(batching.queues.sorted { $0.key < $1.key }.map { (String($0.key), json($0.value)) })),
        ]
    }

    private static func json(_ queue: BatchingPolicy.Queue) -> JSONValue {
        [
            "timeout_action": .string(queue.timeoutAction.rawValue),
            "default_timeout_microseconds": .int(Int64(queue.timeout / 1000)),
            "allow_timeout_override": .bool(queue.allowsTimeoutOverride),
            "max_queue_size": .int(Int64(queue.maximumSize)),
        ]
    }

    // MARK: Protobuf

    /// `ModelConfig`
    func write(to writer: inout ProtobufWriter) {
        writer.text(1, name.utf8)
        writer.text(2, description.platform.utf8)
        writer.message(3) { $0.message(1) { $0.number(1, 1) } }
        writer.number(4, UInt64(maximumBatchSize))
        for spec in description.inputs { write(spec, 5, dimsAt: 4, &writer) }
        for spec in description.outputs { write(spec, 6, dimsAt: 3, &writer) }
        writer.message(7) {
            $0.text(1, name.utf8)
            $0.number(2, UInt64(batching?.instances ?? 1))
            $0.number(4, 2)
        }
        if let batching { writer.message(11) { Self.write(batching, &$0) } }
        writer.text(17, backend.utf8)
        writer.message(24) { $0.flag(1, policy.cachesResponses) }
    }

    private func write(_ spec: TensorSpec, _ number: Int, dimsAt place: Int, _ writer: inout ProtobufWriter) {
        writer.message(number) {
            $0.text(1, spec.name.utf8)
            $0.number(2, Self.typeNumber(spec.dataType))
            $0.packed(place, dims(spec))
        }
    }

    private static func write(_ batching: BatchingPolicy, _ writer: inout ProtobufWriter) {
        writer.packed(1, batching.preferredBatchSizes)
        writer.number(2, batching.maximumQueueDelay / 1000)
        writer.flag(3, batching.preservesOrdering)
        if batching.priorityLevels > 1 {
            writer.number(4, UInt64(batching.priorityLevels))
            writer.number(5, UInt64(batching.defaultPriorityLevel))
        }
        writer.message(6) { write(batching.defaultQueue, &$0) }
        for (level, queue) in batching.queues.sorted(by: { $0.key < $1.key }) {
            writer.message(7) {
                $0.number(1, UInt64(level))
                $0.message(2) { write(queue, &$0) }
            }
        }
    }

    private static func write(_ queue: BatchingPolicy.Queue, _ writer: inout ProtobufWriter) {
        writer.number(1, queue.timeoutAction == .delay ? 1 : 0)
        writer.number(2, queue.timeout / 1000)
        writer.flag(3, queue.allowsTimeoutOverride)
        writer.number(4, UInt64(queue.maximumSize))
    }
}
