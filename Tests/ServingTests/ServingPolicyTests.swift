import AerieCore
import AerieData
import AerieJSON
import Synchronization
import Testing

@testable import Serving

@Suite("How a model is served")
struct ServingPolicyTests {
    @Test("Triton's configuration says it all")
    func config() throws {
        let policy = try ServingPolicy(modelConfig: [
            "name": "encoder", "platform": "onnxruntime_onnx", "max_batch_size": 32,
            "dynamic_batching": [
                "preferred_batch_size": [16, 8], "max_queue_delay_microseconds": "250", "preserve_ordering": true,
                "priority_levels": 2, "default_priority_level": 1,
                "default_queue_policy": [
                    "timeout_action": "DELAY", "default_timeout_microseconds": 1000, "allow_timeout_override": true,
                    "max_queue_size": 10,
                ],
                "priority_queue_policy": ["2": ["max_queue_size": 3]],
            ],
            "instance_group": [["count": 2, "kind": "KIND_CPU"], ["count": 1]],
            "response_cache": ["enable": true],
            "model_warmup": [["name": "w", "batch_size": 4, "inputs": ["x": ["dims": [3], "random_data": true]]]],
        ])
        let batching = try #require(policy.batching)
        #expect(batching.maximumBatchSize == 32 && batching.preferredBatchSizes == [8, 16])
        #expect(batching.maximumQueueDelay == 250_000 && batching.preservesOrdering && batching.instances == 3)
        #expect(batching.priorityLevels == 2 && batching.defaultPriorityLevel == 1)
        #expect(batching.queue(of: 1).timeoutAction == .delay && batching.queue(of: 1).timeout == 1_000_000)
        #expect(batching.queue(of: 2).maximumSize == 3 && batching.queue(of: 2).timeout == 0)
        #expect(policy.cachesResponses && policy.warmups.count == 1 && policy.warmups[0].batchSize == 4)
        #expect(try ServingPolicy(modelConfig: [:]) == ServingPolicy())
    }

    @Test(
        "what cannot be meant is refused by its place",
        arguments: [
            (#"{"max_batch": 3}"#, "config.max_batch"), (#"{"max_batch_size": -1}"#, "config.max_batch_size"),
            (#"{"dynamic_batching": {"preferred_batch_size": [128]}}"#, "dynamic_batching.preferred_batch_size[0]"),
            (#"{"dynamic_batching": {"delay": 1}}"#, "dynamic_batching.delay"),
            (#"{"dynamic_batching": {"priority_queue_policy": {"2": {}}}}"#, "priority_queue_policy.2"),
            (#"{"dynamic_batching": {"default_queue_policy": {"timeout_action": "DROP"}}}"#, "timeout_action"),
            (#"{"max_batch_size": 1, "dynamic_batching": {}}"#, "config.max_batch_size"),
            (#"{"response_cache": {"enable": "yes"}}"#, "response_cache.enable"), ("[]", "config"),
        ])
    func refusals(_ text: String, _ place: String) throws {
        let json = try JSONValue.parse(text)
        do throws(AerieError) {
            _ = try ServingPolicy(modelConfig: json)
            Issue.record("\(text) was taken")
        } catch {
            #expect(error.code == .invalidArgument && error.message.contains(place), "\(error.message)")
        }
    }

    @Test("a deployment's settings add up, and say what is wrong with them")
    func settings() {
        let policy = ServingSetting.policy([
            "aerie.dev/batching": #"{"max_queue_delay_microseconds": 100}"#, "aerie.dev/max-batch-size": "16",
            "aerie.dev/response-cache": "true",
        ])
        #expect(policy.batching?.maximumBatchSize == 16 && policy.batching?.maximumQueueDelay == 100_000)
        #expect(policy.cachesResponses)
        #expect(ServingSetting.policy([:]) == ServingPolicy())
        #expect(ServingSetting.batching.problem("yes") != nil && ServingSetting.batching.problem("true") == nil)
        #expect(ServingSetting.batchSize.problem("0") != nil && ServingSetting.cache.problem("1") != nil)
        #expect(ServingSetting.config.problem("{") != nil && ServingSetting.config.problem("{}") == nil)
    }

    @Test("a warm-up fills what it does not name, and a failure keeps the model from being ready")
    func warmup() throws {
        let model = ShapeModel()
        let policy = try ServingPolicy(
            modelConfig: ["model_warmup": [["batch_size": 5, "count": 2], ["inputs": ["x": ["dims": [7]]]]]])
        try ModelWarmup(model: model).run(policy.warmups)
        #expect(model.shapes.withLock { $0 } == [[5, 3], [5, 3], [1, 7]])
        let wrong = try ServingPolicy(modelConfig: ["model_warmup": [["name": "w", "inputs": ["z": [:]]]]])
        #expect(throws: AerieError.self) { try ModelWarmup(model: model).run(wrong.warmups) }
    }
}

@Suite("The cache of answers")
struct ResponseCacheTests {
    private func tensor(_ value: Float, count: Int = 100) -> [Tensor] {
        [Tensor(name: "y", dataType: .fp32, shape: [count], elements: [Float](repeating: value, count: count))]
    }

    private func key(_ value: Float) -> ResponseKey { ResponseKey(model: "m", inputs: tensor(value, count: 1)) }

    @Test("the least recently used answers leave when there is no room, and the room is never exceeded")
    func eviction() {
        let cache = ResponseCache(capacity: 4000)
        for value in 0..<6 { cache.keep(tensor(Float(value)), for: key(Float(value))) }
        let full = cache.counts
        #expect(full.entries == 6 && full.evictions == 0 && full.bytes <= 4000)
        #expect(cache.answer(for: key(0)) == tensor(0))
        cache.keep(tensor(6), for: key(6))
        #expect(cache.answer(for: key(1)) == nil, "the oldest that nobody asked for has left")
        #expect(cache.answer(for: key(0)) == tensor(0) && cache.answer(for: key(6)) == tensor(6))
        for value in 7..<2000 {
            cache.keep(tensor(Float(value)), for: key(Float(value)))
            #expect(cache.counts.bytes <= 4000)
        }
        #expect(cache.counts.entries == 6 && cache.counts.evictions == 1994)
        #expect(cache.counts.hits == 3 && cache.counts.misses == 1)
        cache.keep(tensor(9, count: 4000), for: key(0))
        #expect(cache.answer(for: key(0)) == nil && cache.counts.entries == 6)
        cache.keep(tensor(7), for: key(1999))
        #expect(cache.answer(for: key(1999)) == tensor(7) && cache.counts.entries == 6)
    }

    @Test("a key is another whenever the model, a name, a type, a shape or a byte is")
    func keys() {
        let base = Tensor(name: "x", dataType: .fp32, shape: [2, 2], elements: [Float(1), 2, 3, 4])
        func changed(_ change: (inout Tensor) -> Void) -> ResponseKey {
            var tensor = base
            change(&tensor)
            return ResponseKey(model: "m#1", inputs: [tensor])
        }
        let keys = [
            changed { _ in }, changed { $0.name = "y" }, changed { $0.dataType = .int32 }, changed { $0.shape = [4, 1] },
            changed { $0.bytes[3] ^= 1 }, ResponseKey(model: "m#2", inputs: [base]),
            ResponseKey(model: "m#1", inputs: [base, base]), ResponseKey(model: "m#1", inputs: []),
            ResponseKey(model: "m#1", rows: base.bytes, count: 2),
        ]
        #expect(Set(keys).count == keys.count)
        #expect(changed { _ in } == changed { _ in })
    }
}

@Suite("Answers that servers share")
struct ResponseCodingTests {
    @Test("come back as they were; nothing else is taken for one, whatever is cut off or changed")
    func coding() {
        let outputs = [
            Tensor(name: "y", dataType: .fp32, shape: [2, 2], elements: [Float(1), 2, 3, 4]),
            Tensor(name: "größe", dataType: .bytes, shape: [1], bytes: [2, 0, 0, 0, 65, 66]),
            Tensor(name: "", dataType: .int64, shape: [], elements: [Int64(7)]),
        ]
        let bytes = ResponseCoding.encode(outputs)
        #expect(ResponseCoding.decode(bytes) == outputs && ResponseCoding.decode(ResponseCoding.encode([])) == [])
        for count in 0..<bytes.count { #expect(ResponseCoding.decode(Array(bytes[..<count])) == nil) }
        #expect(ResponseCoding.decode(bytes + [0]) == nil)
        // Hostile lengths and shapes are refused or read as other values; none of them stops the process.
        for index in bytes.indices {
            var changed = bytes
            changed[index] = 0xff
            _ = ResponseCoding.decode(changed)
        }
    }
}
