import AerieCore
import AerieData
import AerieGRPC
import AerieTelemetry
import NIOCore
import Serving
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@testable import InferenceAPI

/// A model that takes its time on the pool, and counts how often it was asked.
final class SleepyModel: Serving.InferenceModel {
    let calls = Atomic<Int>(0)
    /// Wakes it before its time.
    let isReleased = Atomic<Bool>(false)
    let milliseconds: Int
    let description = ModelDescription(
        platform: "onnxruntime_onnx", inputs: [TensorSpec(name: "input", dataType: .fp32, shape: [-1, 3])],
        outputs: [TensorSpec(name: "y", dataType: .fp32, shape: [-1])], nanosecondsPerRow: 1e9)

    init(milliseconds: Int) { self.milliseconds = milliseconds }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        calls.add(1, ordering: .relaxed)
        for _ in 0..<milliseconds where !isReleased.load(ordering: .relaxed) { usleep(1000) }
        let rows = inputs[0].shape[0]
        return [Tensor(name: "y", dataType: .fp32, shape: [rows], elements: [Float](repeating: 0.75, count: rows))]
    }
}

@Suite("Inference over gRPC")
struct InferenceGRPCTests {
    static let infer = "/inference.GRPCInferenceService/ModelInfer"
    static let stream = "/inference.GRPCInferenceService/ModelStreamInfer"

    private func request(_ model: String = "fraud", _ numbers: [Float] = [1, 2, 3], id: String = "") -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, model.utf8)
        writer.text(3, id.utf8)
        writer.message(5) { input in
            input.text(1, "input".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [numbers.count / 3, 3])
        }
        numbers.withUnsafeBytes { writer.bytes(7, $0) }
        return Array(writer.buffer.readableBytesView)
    }

    /// The fields of a message by number, the last of each.
    private func fields(_ message: [UInt8]) throws -> [Int: [UInt8]] {
        var fields: [Int: [UInt8]] = [:]
        try message.withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            while let field = try reader.next() {
                guard field.wire == 2 else { try reader.skip(field); continue }
                fields[field.number] = Array(try reader.delimited())
            }
        }
        return fields
    }

    private func floats(_ bytes: [UInt8]?) -> [Float] {
        (bytes ?? []).withUnsafeBytes { raw in
            (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }

    private func withConnection(
        _ deployments: [ServedDeployment], options: (inout InferencePlane.Options) -> Void = { _ in },
        _ body: (GRPCClientConnection, InferencePlane) async throws -> Void
    ) async throws {
        try await withPlane(deployments, options: options) { _, port, plane in
            let connection = try await GRPCClientConnection.open(port)
            try await body(connection, plane)
            await connection.close()
        }
    }

    @Test("A stream answers each message in its order, tells an error in one, and ends with the client's half-close")
    func streamed() async throws {
        let models = [deployment("fraud", SumModel()), deployment("slow", SleepyModel(milliseconds: 5), slot: 1)]
        try await withConnection(models) { connection, _ in
            let result = try await GRPCClientCall(path: Self.stream, messages: [
                request(id: "a"), request("slow", id: "b"), request("nobody", id: "c"), [0xff, 0xff], request(id: "d"),
            ]).run(connection)
            #expect(result.status == 0)
            try #require(result.messages.count == 5)
            let answers = try result.messages.map { try fields($0) }
            let bodies = try answers.map { try fields($0[2] ?? []) }
            #expect(bodies.map { String(decoding: $0[3] ?? [], as: UTF8.self) } == ["a", "b", "", "", "d"])
            #expect(floats(bodies[0][6]) == [17] && floats(bodies[1][6]) == [0.75] && floats(bodies[4][6]) == [17])
            #expect(String(decoding: answers[2][1] ?? [], as: UTF8.self).contains("no model nobody"))
            #expect(answers[3][1]?.isEmpty == false)
        }
    }

    @Test("Messages larger than the flow-control windows go both ways")
    func large() async throws {
        try await withConnection([deployment("fraud", SumModel(features: 1))]) { connection, _ in
            let count = 700_000
            let numbers = (0..<count).map { Float($0 % 1000) }
            var writer = ProtobufWriter()
            writer.text(1, "fraud".utf8)
            writer.message(5) { input in
                input.text(1, "input".utf8)
                input.text(2, "FP32".utf8)
                input.packed(3, [count, 1])
            }
            numbers.withUnsafeBytes { writer.bytes(7, $0) }
            for path in [Self.infer, Self.stream] {
                let result = try await GRPCClientCall(
                    path: path, messages: [Array(writer.buffer.readableBytesView)]).run(connection)
                #expect(result.status == 0, "\(result.message)")
                let message = try fields(result.messages.first ?? [])
                let body = path == Self.infer ? message : try fields(message[2] ?? [])
                // As one truth: the difference of lists this long would take for ever to print.
                let answered = floats(body[6])
                let isSame = answered == numbers
                #expect(isSame, "\(path): \(answered.count) of \(count) numbers; \(result.messages.map(\.count)) \(body.mapValues(\.count))")
            }
        }
    }

    @Test("A good answer comes whole although the client half-closes late or never")
    func lateHalfClose() async throws {
        try await withConnection([deployment("fraud", SumModel())]) { connection, _ in
            let result = try await GRPCClientCall(path: Self.infer, messages: [request()], endsInput: false)
                .run(connection)
            #expect(result.status == 0)
            #expect(result.messages.count == 1)
        }
    }

    @Test("A deadline ends work on the pool with DEADLINE_EXCEEDED; a wrong one is refused")
    func deadline() async throws {
        try await withConnection([deployment("slow", SleepyModel(milliseconds: 2000))]) { connection, plane in
            let start = monotonicNanoseconds()
            let result = try await GRPCClientCall(
                path: Self.infer, messages: [request("slow")], headers: [("grpc-timeout", "50m")]).run(connection)
            #expect(result.status == 4)
            #expect(monotonicNanoseconds() - start < 1_800_000_000)
            let text = exposition(plane)
            #expect(text.contains(#"code="DeadlineExceeded"} 1"#))
            let wrong = try await GRPCClientCall(
                path: Self.infer, messages: [request("slow")], headers: [("grpc-timeout", "soon")]).run(connection)
            #expect(wrong.status == 13)
        }
    }

    @Test("A reset stream's work that has not begun is left out, and the connection goes on")
    func reset() async throws {
        let model = SleepyModel(milliseconds: 20_000)
        let models = [deployment("slow", model), deployment("fraud", SumModel(), slot: 1)]
        try await withConnection(models, options: { $0.poolThreads = 1 }) { connection, _ in
            async let first = GRPCClientCall(path: Self.infer, messages: [request("slow")]).run(connection)
            while model.calls.load(ordering: .relaxed) == 0 { try await Task.sleep(for: .milliseconds(1)) }
            async let second = GRPCClientCall(
                path: Self.infer, messages: [request("slow")], resetAfter: .milliseconds(20)).run(connection)
            #expect(try await second.status == nil)
            // Answered behind the reset, so the server has seen that too.
            let after = try await GRPCClientCall(path: Self.infer, messages: [request()]).run(connection)
            #expect(after.status == 0)
            model.isReleased.store(true, ordering: .relaxed)
            #expect(try await first.status == 0)
            try await Task.sleep(for: .milliseconds(50))
            #expect(model.calls.load(ordering: .relaxed) == 1)
        }
    }

    @Test("A compressed message, a foreign method and a message too many are refused by their codes")
    func refusals() async throws {
        try await withConnection([deployment("fraud", SumModel())]) { connection, _ in
            let compressed = try await GRPCClientCall(path: Self.infer, messages: [request()], flag: 1).run(connection)
            #expect(compressed.status == 13)
            let foreign = try await GRPCClientCall(path: "/x.Y/Z", messages: [request()]).run(connection)
            #expect(foreign.status == 12)
            let none = try await GRPCClientCall(path: Self.infer).run(connection)
            #expect(none.status == 13)
        }
    }

    @Test("The model's part of a request and its predictions are counted, on the loop and on the pool, in every protocol")
    func counted() async throws {
        let labels = PredictionLabels()
        let models = [
            deployment("fraud", SumModel(), labels: labels),
            deployment("slow", SleepyModel(milliseconds: 1), slot: 1, labels: labels),
            deployment("rows", SumModel(nanosecondsPerRow: 1e9), slot: 2, labels: labels),
            deployment("regression", SumModel(), slot: 3),
        ]
        try await withPlane(models) { http, port, plane in
            let connection = try await GRPCClientConnection.open(port)
            for name in ["fraud", "slow", "rows", "regression"] {
                let rows: [Float] = [1, 2, 3, -1, -2, -3]
                let body = inferBody("[1,2,3,-1,-2,-3]", shape: "[2,3]")
                _ = try await exchange(http, post("/v2/models/\(name)/infer", body))
                _ = try await exchange(http, post(
                    "/seldon/default/\(name)/api/v1.0/predictions", #"{"data":{"ndarray":[[1,2,3],[-1,-2,-3]]}}"#))
                for path in [Self.infer, Self.stream] {
                    let result = try await GRPCClientCall(path: path, messages: [request(name, rows)]).run(connection)
                    #expect(result.status == 0)
                }
            }
            let text = exposition(plane)
            func count(_ slot: Int, _ label: String) -> String {
                let start = "model_predictions_total{deployment_name=\"d\(slot)\",model_name=\"m\","
                    + "model_version=\"1\",prediction=\"\(label)\"} "
                let line = text.split(separator: "\n").first { $0.hasPrefix(start) }
                return String(line?.dropFirst(start.count) ?? "")
            }
            #expect([count(0, "yes"), count(0, "no")] == ["4", "4"])
            #expect([count(1, "yes"), count(1, "no")] == ["8", "0"])
            #expect([count(2, "yes"), count(2, "no")] == ["4", "4"])
            #expect([count(3, "yes"), count(3, "no")] == ["0", "0"])
            for slot in 0..<4 {
                let model = text.split(separator: "\n").filter {
                    $0.hasPrefix("seldon_api_executor_client_requests_seconds_count{deployment_name=\"d\(slot)\"")
                }
                #expect(model.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +) == 4)
                #expect(model.count == 3)
            }
            await connection.close()
        }
    }

    @Test("A draining plane is alive and not ready, over HTTP and gRPC")
    func draining() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { http, port, plane in
            let connection = try await GRPCClientConnection.open(port)
            func ready() async throws -> [UInt8] {
                let path = "/inference.GRPCInferenceService/ServerReady"
                return try await GRPCClientCall(path: path, messages: [[]]).run(connection).messages.first ?? [9]
            }
            func get(_ path: String) async throws -> Answer? {
                let text = "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n"
                return splitAnswers(try await exchange(http, [Array(text.utf8)])).first
            }
            #expect(try await ready() == [8, 1])
            plane.beginDraining()
            #expect(try await ready() == [])
            let answer = try await get("/v2/health/ready")
            #expect(answer?.status == 503)
            #expect(answer?.text == #"{"ready":false}"#)
            #expect(try await get("/v2/health/live")?.status == 200)
            #expect(try await get("/ready")?.status == 503)
            await connection.close()
        }
    }

    @Test("Shutting down sends idle connections away at once, and lets a call that has begun finish")
    func goAway() async throws {
        var options = InferencePlane.Options()
        options.loops = 1
        let plane = InferencePlane(options: options)
        let model = SleepyModel(milliseconds: 300)
        plane.update(ServingTable(generation: 1, deployments: [deployment("slow", model)]))
        let server = try await GRPCServer.start(
            group: plane.group, services: [.inference(plane), .health(of: plane)], host: "127.0.0.1", port: 0)
        let idle = try await GRPCClientConnection.open(server.port)
        let busy = try await GRPCClientConnection.open(server.port)
        #expect(try await GRPCClientCall(
            path: "/grpc.health.v1.Health/Check", messages: [[]]).run(idle).messages == [[8, 1]])
        async let answer = GRPCClientCall(path: Self.infer, messages: [request("slow")]).run(busy)
        while model.calls.load(ordering: .relaxed) == 0 { try await Task.sleep(for: .milliseconds(1)) }
        let start = monotonicNanoseconds()
        await server.shutdown(within: 5)
        #expect(monotonicNanoseconds() - start < 4_000_000_000)
        #expect(try await answer.status == 0)
        await plane.shutdown()
    }
}

/// What a scrape of the plane would show, every slot as one deployment.
func exposition(_ plane: InferencePlane) -> String {
    let registry = MetricsRegistry()
    registry.describeSlots {
        $0 < 0 ? nil : SlotLabels(
            deployment: "d\($0)", predictor: "p", modelName: "m", modelVersion: "1", negativeLabel: "no",
            positiveLabel: "yes")
    }
    plane.metrics.forEach(registry.register)
    return registry.exposition()
}
