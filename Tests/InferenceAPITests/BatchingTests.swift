import AerieCore
import AerieData
import AerieTelemetry
import NIOCore
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("Batches on the plane")
struct BatchingTests {
    private static let path = "/v2/models/m/infer"

    private func body(_ numbers: [Int], rest: String = "") -> String {
        let rows = numbers.map { "[\($0),1]" }.joined(separator: ",")
        return #"{"inputs":[{"name":"x","shape":[\#(numbers.count),2],"datatype":"FP32","data":[\#(rows)]}]\#(rest)}"#
    }

    private func policy(_ change: (inout BatchingPolicy) -> Void = { _ in }) -> ServingPolicy {
        var policy = ServingPolicy()
        var batching = BatchingPolicy(maximumBatchSize: 16)
        change(&batching)
        policy.batching = batching
        return policy
    }

    /// Waits until it is so; the suite fails by its time limit if it never is.
    private func until(_ condition: () -> Bool) async {
        while !condition() { try? await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("requests that wait for the model go into one call, and each gets its own rows", .timeLimit(.minutes(1)))
    func together() async throws {
        let model = GatedModel()
        try await withPlane([deployment("m", model, policy: policy())], options: { $0.loops = 2 }) { port, _, plane in
            let answers = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
                group.addTask { (0, try await ask(port, post(Self.path, body([100])))) }
                await until { model.calls.withLock { $0.count } == 1 }
                for index in 1...5 {
                    group.addTask { (index, try await ask(port, post(Self.path, body([index, 10 * index])))) }
                }
                await until { plane.statistics.ledger.statistics(slot: 0).now.pending == 6 }
                model.open()
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(model.calls.withLock { $0 } == [1, 10])
            #expect(answers[0]?.text.contains(#""shape":[1],"data":[101.0]"#) ?? false)
            for index in 1...5 {
                let wanted = #""shape":[2],"data":[\#(Float(index + 1)),\#(Float(10 * index + 1))]"#
                #expect(answers[index]?.text.contains(wanted) ?? false, "\(answers[index]?.text ?? "")")
            }
            let statistics = try #require(plane.statistics.bySlot()[0])
            #expect(statistics.executionCount == 2 && statistics.inferenceCount == 11)
            #expect(statistics.totals.success.count == 6 && statistics.executions.queue.count == 6)
            #expect(statistics.executions.batches.keys.sorted() == [1, 10] && statistics.executions.pending == 0)
        }
    }

    @Test("one request's mistake does not fail the others of its call", .timeLimit(.minutes(1)))
    func oneWrong() async throws {
        let model = GatedModel()
        try await withPlane([deployment("m", model, policy: policy())]) { port, _, plane in
            let statuses = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                group.addTask { (0, try await ask(port, post(Self.path, body([1]))).status) }
                await until { model.calls.withLock { $0.count } == 1 }
                for index in 1...3 {
                    let number = index == 2 ? -1 : index
                    group.addTask { (index, try await ask(port, post(Self.path, body([number]))).status) }
                }
                await until { plane.statistics.ledger.statistics(slot: 0).now.pending == 4 }
                model.open()
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(statuses == [0: 200, 1: 200, 2: 400, 3: 200])
        }
    }

    @Test("a full queue and a passed time answer 503, more rows than a batch 400", .timeLimit(.minutes(1)))
    func refusals() async throws {
        let model = GatedModel()
        let policy = policy {
            $0.defaultQueue.maximumSize = 1
            $0.defaultQueue.allowsTimeoutOverride = true
        }
        try await withPlane([deployment("m", model, policy: policy)]) { port, grpc, plane in
            let statistics = plane.statistics.ledger.statistics(slot: 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let first = try await ask(port, post(Self.path, body([1])))
                    #expect(first.status == 200)
                }
                await until { model.calls.withLock { $0.count } == 1 }
                group.addTask {
                    let late = try await ask(
                        port, post(Self.path, body([1], rest: #","parameters":{"timeout":1000,"priority":0}"#)))
                    #expect(late.status == 503 && late.text.contains("time was up"), "\(late.text)")
                }
                await until { statistics.now.pending == 1 && plane.statistics.bySlot()[0]?.totals.failure.count == 1 }
                group.addTask {
                    let waiting = try await ask(port, post(Self.path, body([2])))
                    #expect(waiting.status == 200)
                }
                await until { statistics.now.pending == 2 }
                let full = try await ask(port, post(Self.path, body([3])))
                #expect(full.status == 503 && full.text.contains("queue is full"), "\(full.text)")
                let large = try await ask(port, post(Self.path, body(Array(0..<17))))
                #expect(large.status == 400 && large.text.contains("17 rows"), "\(large.text)")
                model.open()
                try await group.waitForAll()
            }
            #expect(model.calls.withLock { $0 } == [1, 1])
        }
    }

    @Test("a request whose deadline has passed is not computed", .timeLimit(.minutes(1)))
    func deadline() async throws {
        let model = GatedModel()
        try await withPlane([deployment("m", model, policy: policy())]) { port, grpc, plane in
            let statistics = plane.statistics.ledger.statistics(slot: 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await ask(port, post(Self.path, body([1]))) }
                await until { model.calls.withLock { $0.count } == 1 }
                let connection = try await GRPCClientConnection.open(grpc)
                let given = try await GRPCClientCall(
                    path: InferenceGRPCTests.infer, messages: [message()], headers: [("grpc-timeout", "200m")]
                ).run(connection)
                #expect(given.status == 4 && statistics.now.pending == 2)
                await connection.close()
                model.open()
                try await group.waitForAll()
                await until { statistics.now.pending == 0 }
            }
            #expect(model.calls.withLock { $0 } == [1])
        }
    }

    private func message() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, "m".utf8)
        writer.message(5) { input in
            input.text(1, "x".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [1, 2])
        }
        [Float(1), 2].withUnsafeBytes { writer.bytes(7, $0) }
        return Array(writer.buffer.readableBytesView)
    }

    @Test("trees are not batched, whatever the deployment says")
    func trees() throws {
        let plan = ServingPlan(
            ServingTable(generation: 1, deployments: [deployment("m", SumModel(), policy: policy())]))
        #expect(plan.deployments[0].predictors[0].batcher == nil)
        let other = ServingPlan(
            ServingTable(generation: 1, deployments: [deployment("m", GatedModel(), policy: policy())]))
        #expect(other.deployments[0].predictors[0].batcher != nil)
    }

    @Test("a table's unchanged deployments keep their plans, queues included")
    func reuse() throws {
        let kept = deployment("a", GatedModel(), policy: policy())
        let first = ServingPlan(ServingTable(generation: 1, deployments: [kept, deployment("b", SumModel())]))
        let second = ServingPlan(
            ServingTable(generation: 2, deployments: [kept, deployment("b", SumModel())]), previous: first)
        #expect(first.deployments[0] === second.deployments[0] && first.deployments[1] !== second.deployments[1])
    }
}

@Suite("Answers from the cache")
struct CachedAnswerTests {
    @Test("are given without the model, to HTTP and gRPC alike, and counted apart")
    func hits() async throws {
        let model = GatedModel(isOpen: true)
        var policy = ServingPolicy()
        policy.cachesResponses = true
        let cache = ResponseCache(capacity: 1 << 20)
        let models = [deployment("m", model, policy: policy), deployment("trees", SumModel(), policy: policy, slot: 1)]
        try await withPlane(models, options: { $0.responseCache = cache }) { port, _, plane in
            let first = #"{"id":"%","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[3,4]}]}"#
            for index in 0..<3 {
                let body = first.split(separator: "%").joined(separator: String(index))
                let answer = try await ask(port, post("/v2/models/m/infer", body))
                #expect(answer.text.contains("\"id\":\"\(index)\"") && answer.text.contains("\"data\":[7.0]"))
            }
            let other = try await ask(port, post("/v2/models/m/infer", first.split(separator: "[3").joined(separator: "[5")))
            #expect(other.text.contains("\"data\":[9.0]"))
            #expect(model.calls.withLock { $0 } == [1, 1])
            for _ in 0..<2 {
                let answer = try await ask(port, post("/v2/models/trees/infer", inferBody()))
                #expect(answer.text.contains("\"data\":[17.0]"))
            }
            let statistics = plane.statistics.bySlot()
            let counted = try #require(statistics[0])
            #expect(counted.executions.cacheHits.count == 2 && counted.executions.cacheMisses.count == 2)
            #expect(counted.totals.success.count == 4 && counted.executionCount == 2 && counted.inferenceCount == 2)
            #expect(statistics[1]?.executions.cacheHits.count == 1 && statistics[1]?.executionCount == 1)
            #expect(cache.counts.hits == 3 && cache.counts.entries == 3)
        }
    }

    @Test("failures are not kept")
    func failures() async throws {
        let model = GatedModel(isOpen: true)
        var policy = ServingPolicy()
        policy.cachesResponses = true
        let cache = ResponseCache(capacity: 1 << 20)
        let models = [deployment("m", model, policy: policy)]
        try await withPlane(models, options: { $0.responseCache = cache }) { port, _, _ in
            let body = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[-1,4]}]}"#
            for _ in 0..<2 {
                let answer = try await ask(port, post("/v2/models/m/infer", body))
                #expect(answer.status == 400)
            }
            #expect(model.calls.withLock { $0.count } == 2 && cache.counts.entries == 0)
        }
    }
}

/// A shared cache in memory, which can be away.
private final class FakeShared: SharedResponses {
    let answers = Mutex<[ResponseKey: [UInt8]]>([:])
    let isAway = Atomic<Bool>(false)

    func answer(for key: ResponseKey) async -> [UInt8]? {
        while isAway.load(ordering: .relaxed) { try? await Task.sleep(for: .milliseconds(1)) }
        return answers.withLock { $0[key] }
    }

    func keep(_ answer: [UInt8], for key: ResponseKey) async { answers.withLock { $0[key] = answer } }
}

@Suite("Answers that two servers share")
struct SharedAnswerTests {
    private let body = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[3,4]}]}"#

    @Test("what one has computed the other gives; a store that is away or holds nonsense costs no request")
    func sharing() async throws {
        let shared = FakeShared()
        let models = [GatedModel(isOpen: true), GatedModel(isOpen: true), GatedModel(isOpen: true)]
        var policy = ServingPolicy()
        policy.cachesResponses = true
        func give(_ model: GatedModel) async throws -> Answer {
            try await withAnswer(deployment("m", model, policy: policy), shared)
        }
        #expect(try await give(models[0]).text.contains("\"data\":[7.0]"))
        while shared.answers.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(1)) }
        #expect(try await give(models[1]).text.contains("\"data\":[7.0]"))
        #expect(models[0].calls.withLock { $0.count } == 1 && models[1].calls.withLock { $0.count } == 0)
        shared.answers.withLock { answers in for key in answers.keys { answers[key] = [9, 9, 9] } }
        #expect(try await give(models[2]).text.contains("\"data\":[7.0]"))
        shared.isAway.store(true, ordering: .relaxed)
        #expect(try await give(models[2]).text.contains("\"data\":[7.0]"))
        shared.isAway.store(false, ordering: .relaxed)
        #expect(models[2].calls.withLock { $0.count } == 2)
    }

    /// The answer of a server of its own.
    private func withAnswer(_ deployment: ServedDeployment, _ shared: FakeShared) async throws -> Answer {
        let answer = Mutex<Answer?>(nil)
        try await withPlane([deployment]) {
            $0.responseCache = ResponseCache(capacity: 1 << 20)
            $0.sharedResponses = shared
        } _: { port, _, _ in
            let given = try await ask(port, post("/v2/models/m/infer", body))
            answer.withLock { $0 = given }
        }
        return try #require(answer.withLock { $0 })
    }
}
