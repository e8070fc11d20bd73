import AerieCore
import AerieData
import AerieGRPC
import AerieJSON
import NIOCore
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

/// What a deployment, its clients and the proxies between let a request take and be.
@Suite("Limits of one request", .timeLimit(.minutes(1)))
struct DeadlineTests {
    private func limited(
        _ name: String, _ model: any Serving.InferenceModel, policy: ServingPolicy = ServingPolicy(), slot: Int = 0,
        _ change: (inout RequestLimits) -> Void
    ) -> ServedDeployment {
        var limits = RequestLimits()
        change(&limits)
        return ServedDeployment(name: name, namespace: "default", predictors: [
            ServedPredictor(
                name: "default", weight: 100, modelName: "m", modelVersion: "3", modelURI: "models:/m/3", model: model,
                metricsSlot: slot, modelIdentity: name, policy: policy, limits: limits),
        ])
    }

    private func body(_ rows: Int = 1, parameters: String = "") -> String {
        let data = [String](repeating: "1", count: 2 * rows).joined(separator: ",")
        return #"{"inputs":[{"name":"x","shape":[\#(rows),2],"datatype":"FP32","data":[\#(data)]}]\#(parameters)}"#
    }

    private func message(_ model: String, rows: Int = 1) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, model.utf8)
        writer.message(5) { input in
            input.text(1, "x".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [rows, 2])
        }
        [Float](repeating: 1, count: 2 * rows).withUnsafeBytes { writer.bytes(7, $0) }
        return Array(writer.buffer.readableBytesView)
    }

    @Test("a request is answered 504 at its deadline, though its model still works, and its connection goes on")
    func rest() async throws {
        let model = GatedModel()
        let slow = limited("slow", model) { $0.restTimeout = 30_000_000 }
        // Answered on the loop: the slow model holds the threads of the pool.
        let quick = deployment("quick", SumModel(), slot: 1)
        try await withPlane([slow, quick]) { port, grpc, _ in
            for path in ["/v2/models/slow/infer", "/seldon/default/slow/api/v1.0/predictions", "/v1/models/slow:predict"] {
                let seldon = #"{"data":{"ndarray":[[1,2]]}}"#
                let asked = path.hasPrefix("/v2") ? body() : path.hasPrefix("/v1") ? #"{"instances":[[1,2]]}"# : seldon
                let two = post(path, asked) + post("/v2/models/quick/infer", inferBody())
                let answers = splitAnswers(try await exchange(port, [Array(two.utf8)], answers: 2))
                #expect(answers.map(\.status) == [504, 200], "\(path)")
                #expect(answers.first?.text.contains("time was up") == true)
            }
            // Over gRPC the deployment says nothing: the same model is waited for.
            let connection = try await GRPCClientConnection.open(grpc)
            async let given = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message("slow")]).run(connection)
            model.open()
            #expect(try await given.status == 0)
            await connection.close()
            #expect(try await ask(port, post("/v2/models/slow/infer", body())).status == 200)
        }
    }

    @Test("a batch leaves without those whose time was up", arguments: [true, false])
    func batched(_ isShared: Bool) async throws {
        let model = GatedModel()
        var policy = try ServingPolicy(
            modelConfig: ["max_batch_size": 4, "dynamic_batching": ["preferred_batch_size": [4]]])
        policy.cachesResponses = isShared
        let slow = limited("slow", model, policy: policy) { $0.restTimeout = 30_000_000 }
        try await withPlane([slow]) { port, _, plane in
            // The first holds the model; the second waits behind it.
            let first = try await ask(port, post("/v2/models/slow/infer", body()))
            let second = try await ask(port, post("/v2/models/slow/infer", body(2)))
            #expect(first.status == 504 && second.status == 504)
            model.open()
            #expect(try await ask(port, post("/v2/models/slow/infer", body(3))).status == 200)
            let statistics = plane.statistics.ledger.statistics(slot: 0)
            while statistics.now.pending > 0 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(model.calls.withLock { $0 } == [1, 3], "what nobody waits for is not computed")
        }
    }

    @Test("seldon.io/grpc-timeout ends a call with DEADLINE_EXCEEDED, and a message of a stream with an error")
    func grpc() async throws {
        let model = GatedModel()
        let slow = limited("slow", model) { $0.grpcTimeout = 30_000_000 }
        try await withPlane([slow]) { port, grpc, _ in
            let connection = try await GRPCClientConnection.open(grpc)
            let unary = try await GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message("slow")])
                .run(connection)
            #expect(unary.status == 4 && unary.message.contains("time was up"))
            let own = try await GRPCClientCall(
                path: InferenceGRPCTests.infer, messages: [message("slow")], headers: [("grpc-timeout", "1m")]
            ).run(connection)
            #expect(own.status == 4, "the shorter one counts")
            let stream = try await GRPCClientCall(
                path: "/inference.GRPCInferenceService/ModelStreamInfer", messages: [message("slow")]).run(connection)
            #expect(stream.status == 0 && stream.messages.count == 1)
            #expect(String(decoding: stream.messages.first ?? [], as: UTF8.self).contains("time was up"))
            await connection.close()
            model.open()
            #expect(try await ask(port, post("/v2/models/slow/infer", body())).status == 200)
        }
    }

    @Test("messages over gRPC are as long as their deployment allows, both ways")
    func messages() async throws {
        let question = message("small", rows: 20).count
        let small = limited("small", DoublingModel(nanosecondsPerRow: 1)) { $0.grpcMessageBytes = question }
        let other = deployment("other", DoublingModel(nanosecondsPerRow: 1), policy: ServingPolicy(), slot: 1)
        try await withPlane([small, other]) { port, grpc, _ in
            let connection = try await GRPCClientConnection.open(grpc)
            func run(_ model: String, _ rows: Int) async throws -> (status: Int?, message: String) {
                let result = try await GRPCClientCall(
                    path: InferenceGRPCTests.infer, messages: [message(model, rows: rows)]).run(connection)
                return (result.status, result.message)
            }
            #expect(try await run("small", 1).status == 0)
            let long = try await run("small", 21)
            #expect(long.status == 8 && long.message.contains("request of"))
            #expect(long.message.contains("grpc-max-message-size"))
            let answer = try await run("small", 20)
            #expect(answer.status == 8 && answer.message.contains("answer of"), "\(answer)")
            #expect(try await run("other", 2000).status == 0)
            await connection.close()
            #expect(try await ask(port, post("/v2/models/small/infer", body(500))).status == 200)
        }
    }
}
