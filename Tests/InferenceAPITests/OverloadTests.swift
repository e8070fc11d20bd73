import AerieCore
import AerieGRPC
import NIOCore
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

/// While the pool has more to do than it can, requests are refused before their bodies have come. The pool has one
/// place here, and a request that holds it.
@Suite("Refusals before the body", .timeLimit(.minutes(1)))
struct OverloadTests {
    private static let megabyte = 1 << 20

    private func body(_ rows: Int = 1) -> String {
        let data = [String](repeating: "1", count: 2 * rows).joined(separator: ",")
        return #"{"inputs":[{"name":"x","shape":[\#(rows),2],"datatype":"FP32","data":[\#(data)]}]}"#
    }

    private func message(rows: Int = 1) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, "slow".utf8)
        writer.message(5) { input in
            input.text(1, "x".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [rows, 2])
        }
        [Float](repeating: 1, count: 2 * rows).withUnsafeBytes { writer.bytes(7, $0) }
        return Array(writer.buffer.readableBytesView)
    }

    /// A request that is longer than what is sent of it at once.
    private func long(_ path: String, _ bytes: Int, _ fields: String = "") -> (head: [UInt8], rest: [UInt8]) {
        let head = "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(bytes)\r\n\(fields)\r\n"
        return (Array(head.utf8) + [UInt8](repeating: 0x20, count: 1000), [UInt8](repeating: 0x20, count: bytes - 1000))
    }

    /// A plane whose pool is full until `body` returns.
    private func withFullPool(
        _ body: (_ http: Int, _ grpc: Int, _ plane: InferencePlane) async throws -> Void
    ) async throws {
        let model = GatedModel()
        // Answered on the loop, whatever the pool is at.
        let quick = deployment("quick", SumModel(), slot: 1)
        try await withPlane(
            [deployment("slow", model), quick], options: { ($0.poolThreads, $0.poolCapacity) = (1, 1) }
        ) { http, grpc, plane in
            async let holder = ask(http, post("/v2/models/slow/infer", self.body()))
            while model.calls.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(1)) }
            do { try await body(http, grpc, plane) } catch {
                model.open()
                throw error
            }
            model.open()
            let held = try await holder
            #expect(held.status == 200, "what was admitted is answered")
            let later = try await ask(http, post("/v2/models/slow/infer", self.body()))
            #expect(later.status == 200, "its place is free again")
        }
    }

    @Test("a prediction is refused by its head, with Retry-After, in each protocol", arguments: [
        "/v2/models/slow/infer", "/seldon/default/slow/api/v1.0/predictions", "/v1/models/slow:predict",
    ])
    func byHead(_ path: String) async throws {
        try await withFullPool { http, _, plane in
            let refused = plane.pool.refusals
            let answer = try await exchange(http, [long(path, 32 * Self.megabyte).head])
            let told = try #require(splitAnswers(answer).first)
            #expect(told.status == 429 && told.head.contains("Retry-After: 1\r\n"))
            #expect(told.text.contains("waiting for slow models") && !told.head.contains("Connection: close"))
            #expect(plane.pool.refusals == refused + 1)
        }
    }

    @Test("the body of a refused request is read past, and the next request of its connection is answered")
    func connectionGoesOn() async throws {
        try await withFullPool { http, _, _ in
            let (head, rest) = long("/v2/models/slow/infer", 32 * Self.megabyte)
            let next = Array(post("/v2/models/quick/infer", inferBody()).utf8)
            let answers = splitAnswers(try await exchange(http, [head, rest, next, next], answers: 3))
            #expect(answers.map(\.status) == [429, 200, 200])
            // In chunks nothing is known of the length: this model is slow for a single row.
            let chunk = "100000\r\n" + String(repeating: " ", count: Self.megabyte) + "\r\n"
            let chunked = Array("POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
            let end = Array("0\r\n\r\n".utf8) + next
            let pieces = [chunked] + [[UInt8]](repeating: Array(chunk.utf8), count: 4) + [end]
            #expect(try await splitAnswers(exchange(http, pieces, answers: 2)).map(\.status) == [429, 200])
        }
    }

    @Test("a client that waits for leave to send its body is refused instead, and its connection ends")
    func expectsContinue() async throws {
        try await withFullPool { http, _, _ in
            let head = "POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
            let received = try await exchange(http, [Array(head.utf8)], answers: .max)
            let answers = splitAnswers(received)
            #expect(answers.map(\.status) == [429] && answers[0].head.contains("Connection: close\r\n"))
        }
    }

    @Test("what the loop answers itself, and what is not found, is no concern of the pool's")
    func others() async throws {
        try await withFullPool { http, _, _ in
            let quick = try await ask(http, post("/v2/models/quick/infer", inferBody()))
            #expect(quick.status == 200)
            let (head, rest) = long("/v2/models/none/infer", 2000)
            let unknown = splitAnswers(try await exchange(http, [head, rest]))
            #expect(unknown.map(\.status) == [404])
        }
    }

    @Test("a call is refused by the beginning of its message, and the rest is read past")
    func calls() async throws {
        try await withFullPool { _, grpc, _ in
            let connection = try await GRPCClientConnection.open(grpc)
            var call = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message(rows: 100_000)])
            call.withheld = 700_000
            call.endsInput = false
            let early = try await call.run(connection)
            #expect(early.status == 8 && early.message.contains("waiting"), "\(early)")
            // Whole messages of many calls at once, in frames that come between one another's.
            let whole = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message(rows: 20_000)])
            let results = try await withThrowingTaskGroup(of: GRPCResult.self) { group in
                for _ in 0..<50 { group.addTask { try await whole.run(connection) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.allSatisfy { $0.status == 8 && !$0.sawGoAway })
            let live = GRPCClientCall(path: "/inference.GRPCInferenceService/ServerLive", messages: [[]])
            #expect(try await live.run(connection).status == 0, "the connection goes on")
            await connection.close()
        }
    }

    @Test("a message that is longer than the stream's window is refused by its beginning as well")
    func longCalls() async throws {
        try await withFullPool { _, grpc, _ in
            let connection = try await GRPCClientConnection.open(grpc)
            var call = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message(rows: 1_000_000)])
            call.withheld = 7_000_000
            call.endsInput = false
            #expect(try await call.run(connection).status == 8)
            await connection.close()
        }
    }

    @Test("only what goes to the pool for certain is refused unread")
    func size() throws {
        func plan(_ nanoseconds: Double, caches: Bool = false) -> PredictorPlan {
            var policy = ServingPolicy()
            policy.cachesResponses = caches
            let model = DoublingModel(nanosecondsPerRow: nanoseconds)
            return DeploymentPlan(deployment("m", model, policy: policy)).predictors[0]
        }
        func isSlow(_ plan: PredictorPlan, _ bytes: Int, isText: Bool = false) -> Bool {
            plan.isSlow(bytes: bytes, isText: isText, within: 200_000)
        }
        #expect(isSlow(plan(300_000), 0) && !isSlow(plan(300_000, caches: true), 1 << 20))
        // Eight bytes a row of 1 us: more than 200 rows.
        #expect(!isSlow(plan(1000), 1600) && isSlow(plan(1000), 1608))
        #expect(!isSlow(plan(1000), 9600, isText: true) && isSlow(plan(1000), 9648, isText: true))
    }
}
