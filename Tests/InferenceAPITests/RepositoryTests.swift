import AerieCore
import AerieGRPC
import AerieHTTP
import AerieJSON
import CompressZlib
import NIOCore
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

/// A repository that puts sleeping models on the plane's table when they are asked for.
private final class FakeRepository: ModelRepository {
    private let plane = Mutex<InferencePlane?>(nil)
    let asked = Mutex<[String]>([])
    let isOpen = Atomic<Bool>(true)

    func attach(_ plane: InferencePlane) { self.plane.withLock { $0 = plane } }

    func index() -> [DeploymentState] {
        [
            DeploymentState(
                namespace: "default", name: "asleep", state: .unavailable, reason: "loaded when it is asked for",
                changed: Timestamp(milliseconds: 0))
        ]
    }

    func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError) {
        if name == "broken" { throw AerieError(.failedPrecondition, "failed to load broken: byte 7") }
        let names = files.keys.sorted().joined(separator: " ")
        asked.withLock { $0.append("load \(name) \(policy?.batching?.maximumBatchSize ?? 0) \(names)") }
    }

    func unload(_ name: String) async throws(AerieError) { asked.withLock { $0.append("unload \(name)") } }

    func wake(_ name: String) async throws(AerieError) {
        asked.withLock { $0.append("wake \(name)") }
        if name == "broken" { throw AerieError(.failedPrecondition, "failed to load broken: byte 7") }
        while !isOpen.load(ordering: .relaxed) { try? await Task.sleep(for: .milliseconds(1)) }
        plane.withLock { $0 }?.update(
            ServingTable(generation: 2, deployments: [deployment("asleep", SumModel())], sleeping: ["broken"]))
    }
}

@Suite("What is asked about models")
struct RepositoryTests {
    private func get(_ port: Int, _ path: String, headers: String = "") async throws -> Answer {
        try await ask(port, "GET \(path) HTTP/1.1\r\nHost: a\r\n\(headers)\r\n")
    }

    private func withRepository(
        _ deployments: [ServedDeployment] = [], sleeping: Set<String> = ["asleep", "broken"], loadTimeout: Int = 30,
        limits: RequestLimits = RequestLimits(),
        _ body: (_ http: Int, _ grpc: Int, _ repository: FakeRepository) async throws -> Void
    ) async throws {
        let repository = FakeRepository()
        let coder = try ZlibCoder()
        try await withPlane(deployments) {
            $0.repository = repository
            $0.coder = coder
            $0.loadTimeoutSeconds = loadTimeout
        } _: { http, grpc, plane in
            repository.attach(plane)
            plane.update(
                ServingTable(
                    generation: 1, deployments: deployments, sleeping: sleeping, sleepingLimits: ["asleep": limits]))
            try await body(http, grpc, repository)
        }
    }

    @Test("the first request wakes a sleeping model and is answered by it, over HTTP and gRPC, like all that follow")
    func waking() async throws {
        try await withRepository { http, grpc, repository in
            let pipelined = post("/v2/models/asleep/infer", inferBody()) + post("/v2/models/asleep/infer", inferBody())
            let answers = splitAnswers(try await exchange(http, [Array(pipelined.utf8)], answers: 2))
            #expect(answers.map(\.status) == [200, 200] && answers[1].text.contains("[17.0]"))
            #expect(repository.asked.withLock { $0 } == ["wake asleep"])
        }
        try await withRepository { http, grpc, repository in
            let connection = try await GRPCClientConnection.open(grpc)
            var message = ProtobufWriter()
            message.text(1, "asleep".utf8)
            let ready = try await GRPCClientCall(
                path: "/inference.GRPCInferenceService/ModelReady",
                messages: [Array(message.buffer.readableBytesView)]).run(connection)
            #expect(ready.status == 0 && ready.messages == [[8, 1]])
            await connection.close()
            #expect(try await get(http, "/v2/models/asleep/ready").status == 200)
            #expect(try await get(http, "/v2/models/asleep/config").status == 200)
        }
    }

    @Test("a model that does not load says why; one that takes too long is answered 503 with Retry-After")
    func failing() async throws {
        try await withRepository(loadTimeout: 0) { http, _, repository in
            let broken = try await ask(http, post("/v2/models/broken/infer", inferBody()))
            #expect([412, 503].contains(broken.status))
            repository.isOpen.store(false, ordering: .relaxed)
            let late = try await ask(http, post("/v2/models/asleep/infer", inferBody()))
            #expect(late.status == 503 && late.head.contains("Retry-After: 1\r\n"), "\(late.text)")
            repository.isOpen.store(true, ordering: .relaxed)
        }
    }

    @Test("a request that waits for a model is answered at its own deadline, not at the model's")
    func waitingToTheDeadline() async throws {
        var limits = RequestLimits()
        limits.restTimeout = 30_000_000
        limits.grpcTimeout = 30_000_000
        for (limits, header) in [(limits, ""), (RequestLimits(), "X-Envoy-Expected-Rq-Timeout-Ms: 30\r\n")] {
            try await withRepository(limits: limits) { http, grpc, repository in
                repository.isOpen.store(false, ordering: .relaxed)
                let asked = inferBody()
                let late = try await ask(
                    http, "POST /v2/models/asleep/infer HTTP/1.1\r\nHost: a\r\n\(header)"
                        + "Content-Length: \(asked.utf8.count)\r\n\r\n\(asked)")
                #expect(late.status == 504 && late.text.contains("time was up"), "\(late.text)")
                var message = ProtobufWriter()
                message.text(1, "asleep".utf8)
                message.message(5) { input in
                    input.text(1, "input".utf8)
                    input.text(2, "FP32".utf8)
                    input.packed(3, [1, 3])
                }
                [Float](repeating: 1, count: 3).withUnsafeBytes { message.bytes(7, $0) }
                let connection = try await GRPCClientConnection.open(grpc)
                let call = try await GRPCClientCall(
                    path: InferenceGRPCTests.infer, messages: [Array(message.buffer.readableBytesView)],
                    headers: header.isEmpty ? [] : [("grpc-timeout", "30m")]).run(connection)
                #expect(call.status == 4)
                await connection.close()
                repository.isOpen.store(true, ordering: .relaxed)
                #expect(try await ask(http, post("/v2/models/asleep/infer", inferBody())).status == 200)
            }
        }
    }

    @Test("load and unload reach the repository with their configuration and files")
    func changes() async throws {
        try await withRepository { http, _, repository in
            let path = "/v2/repository/models"
            let config = #"{\"max_batch_size\": 8, \"dynamic_batching\": {}}"#
            let body = #"{"parameters":{"config":"\#(config)","file:1/model.onnx":"AAEC"}}"#
            #expect(try await ask(http, post("\(path)/new/load", body)).status == 200)
            #expect(try await ask(http, post("\(path)/new/load", "")).status == 200)
            let dependents = #"{"parameters":{"unload_dependents":true}}"#
            #expect(try await ask(http, post("\(path)/new/unload", dependents)).status == 200)
            #expect(repository.asked.withLock { $0 } == ["load new 8 1/model.onnx", "load new 0 ", "unload new"])
            let broken = try await ask(http, post("\(path)/broken/load", ""))
            #expect(broken.status == 412 && broken.text.contains("byte 7"))
            for (body, says) in [
                (#"{"parameters":{"file:1/m.onnx":"AAEC"}}"#, "come with the model's configuration"),
                (#"{"parameters":{"config":"{"}}"#, "config"), (#"{"parameters":{"config":7}}"#, "a text was expected"),
                (#"{"parameters":{"config":"{\"max_batch_siz\": 1}"}}"#, "max_batch_size"),
                (#"{"parameters":{"config":"{}","file:1/m":"~"}}"#, "Base64"), (#"{"parameters":{"x":1}}"#, "no such"),
            ] {
                let answer = try await ask(http, post("\(path)/new/load", body))
                #expect(answer.status == 400 && answer.text.contains(says), "\(answer.text)")
            }
            #expect(try await get(http, "\(path)/new/load").status == 405)
        }
    }

    @Test("index, statistics, configuration, settings")
    func descriptions() async throws {
        try await withRepository([deployment("fraud", SumModel())]) { http, _, _ in
            let two = post("/v2/models/fraud/infer", inferBody("[1,2,3,4,5,6]", shape: "[2,3]"))
            for _ in 0..<3 { _ = try await ask(http, two) }
            _ = try await ask(http, post("/v2/models/fraud/infer", "{}"))
            let index = try JSONValue.parse(try await ask(http, post("/v2/repository/index", "")).text)
            #expect(index.array?.map { $0["name"]?.string } == ["asleep", "fraud"])
            #expect(index[0]?["state"]?.string == "UNAVAILABLE" && index[1]?["state"]?.string == "READY")
            let ready = try JSONValue.parse(try await ask(http, post("/v2/repository/index", #"{"ready":true}"#)).text)
            #expect(ready.array?.count == 1)
            for path in ["/v2/models/stats", "/v2/models/fraud/stats", "/v2/models/fraud/versions/3/stats"] {
                let stats = try JSONValue.parse(try await get(http, path).text)["model_stats"]?[0]
                #expect(stats?["name"]?.string == "fraud" && stats?["version"]?.string == "3")
                #expect(stats?["inference_count"]?.int == 6 && stats?["execution_count"]?.int == 3)
                #expect(stats?["inference_stats"]?["success"]?["count"]?.int == 3)
                #expect(stats?["inference_stats"]?["fail"]?["count"]?.int == 1)
                #expect((stats?["inference_stats"]?["success"]?["ns"]?.int ?? 0) > 0)
                #expect((stats?["last_inference"]?.int ?? 0) > 1_700_000_000_000)
            }
            #expect(try await get(http, "/v2/models/fraud/versions/9/stats").status == 404)
            let config = try JSONValue.parse(try await get(http, "/v2/models/fraud/config").text)
            #expect(config["name"]?.string == "fraud" && config["max_batch_size"]?.int == 0)
            #expect(config["input"]?[0]?["data_type"]?.string == "TYPE_FP32")
            #expect(config["input"]?[0]?["dims"]?.array?.map(\.int) == [-1, 3])
            let logging = try JSONValue.parse(try await get(http, "/v2/logging").text)
            #expect(logging["log_info"]?.bool == true && logging["log_verbose_level"]?.int == 0)
            #expect(try await ask(http, post("/v2/logging", #"{"log_info":false}"#)).status == 501)
            #expect(try await get(http, "/v2/trace/setting").text.contains("\"trace_level\":[\"OFF\"]"))
            #expect(try await get(http, "/v2/models/fraud/trace/setting").status == 200)
            for path in ["/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/status"] {
                let answer = try await get(http, path)
                #expect(answer.status == 501 && answer.text.contains("shared memory is not carried out"))
            }
        }
    }

    @Test("a model in batches is configured without the dimension of its rows")
    func batchedConfig() async throws {
        let policy = try ServingPolicy(
            modelConfig: [
                "max_batch_size": 8,
                "dynamic_batching": ["priority_levels": 2, "default_queue_policy": ["max_queue_size": 5]],
            ])
        try await withRepository([deployment("m", GatedModel(isOpen: true), policy: policy)]) { http, _, _ in
            let config = try JSONValue.parse(try await get(http, "/v2/models/m/config").text)
            #expect(config["max_batch_size"]?.int == 8 && config["input"]?[0]?["dims"]?.array?.map(\.int) == [2])
            #expect(config["dynamic_batching"]?["priority_levels"]?.int == 2)
            #expect(config["dynamic_batching"]?["default_queue_policy"]?["max_queue_size"]?.int == 5)
            let again = try ServingPolicy(modelConfig: config)
            #expect(again.batching == policy.batching, "what is told can be given back")
        }
    }
}

@Suite("Compressed bodies over HTTP")
struct CodingTests {
    private func pack(_ text: String, _ coding: ContentCoding) throws -> [UInt8] {
        try Array(text.utf8).withUnsafeBytes { bytes throws(AerieError) in try ZlibCoder().pack(bytes, coding) }
    }

    private func request(_ body: [UInt8], _ headers: String) -> [UInt8] {
        let head = "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\n\(headers)Content-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    private func withCoder(
        limit: Int = 64 << 20, _ body: (_ http: Int) async throws -> Void
    ) async throws {
        let coder = try ZlibCoder()
        try await withPlane([deployment("fraud", SumModel())]) {
            $0.coder = coder
            $0.http.limits.bodyBytes = limit
        } _: { http, _, _ in try await body(http) }
    }

    @Test("requests in gzip and deflate are read", arguments: ContentCoding.allCases)
    func requests(_ coding: ContentCoding) async throws {
        try await withCoder { port in
            let body = try pack(inferBody(), coding)
            let pieces = request(body, "Content-Encoding: \(coding.rawValue)\r\n")
            let answer = try #require(splitAnswers(try await exchange(port, [pieces])).first)
            #expect(answer.status == 200 && answer.text.contains("[17.0]"))
            let broken = request(Array(body.dropLast(3)), "Content-Encoding: \(coding.rawValue)\r\n")
            #expect(try await splitAnswers(exchange(port, [broken])).first?.status == 400)
            let unknown = try await ask(
                port, post("/v2/models/fraud/infer", inferBody(), headers: "Content-Encoding: br\r\n"))
            #expect(unknown.status == 415)
        }
    }

    @Test("a large body is unpacked on the pool, and a bomb is stopped at the limit")
    func large() async throws {
        let rows = 150_000
        let numbers = (0..<rows).map { "[\($0 % 10),0,0]" }.joined(separator: ",")
        let body = try pack(inferBody("[\(numbers)]", shape: "[\(rows),3]"), .gzip)
        try await withCoder { port in
            let pieces = request(body, "Content-Encoding: gzip\r\n")
            let answer = try #require(splitAnswers(try await exchange(port, [pieces])).first)
            #expect(answer.status == 200 && answer.text.contains("\"shape\":[150000]"), "\(answer.text.prefix(200))")
        }
        try await withCoder(limit: 256 << 10) { port in
            let pieces = request(body, "Content-Encoding: gzip\r\n")
            let answer = try #require(splitAnswers(try await exchange(port, [pieces])).first)
            #expect(answer.status == 413)
        }
    }

    @Test("long answers are packed for those who take that, and the next one is in its place")
    func answers() async throws {
        try await withCoder { port in
            let numbers = (0..<400).map { "[\($0),1,2]" }.joined(separator: ",")
            let long = inferBody("[\(numbers)]", shape: "[400,3]")
            let plain = try await ask(port, post("/v2/models/fraud/infer", long))
            for (header, coding) in [
                ("gzip, deflate", ContentCoding.gzip), ("deflate", .deflate), ("gzip;q=0, deflate;q=0.5", .deflate),
                ("x-gzip;q=0.0 , *;level=1; Q=0, DEFLATE", .deflate),
                ("br, *", .gzip),
            ] {
                let two = post("/v2/models/fraud/infer", long, headers: "Accept-Encoding: \(header)\r\n")
                    + post("/v2/models/fraud/infer", inferBody(), headers: "Accept-Encoding: \(header)\r\n")
                let answers = splitAnswers(try await exchange(port, [Array(two.utf8)], answers: 2))
                #expect(answers.count == 2 && answers[1].text.contains("[17.0]"))
                let first = try #require(answers.first)
                #expect(first.head.contains("Content-Encoding: \(coding.rawValue)\r\n"))
                let bytes = try first.body.withUnsafeBytes { bytes throws(AerieError) in
                    try ZlibCoder().unpack(bytes, coding, limit: 1 << 20)
                }
                #expect(bytes == plain.body && first.body.count < plain.body.count)
            }
            for header in ["identity", "br", "gzip;q=0"] {
                let answer = try await ask(
                    port, post("/v2/models/fraud/infer", long, headers: "Accept-Encoding: \(header)\r\n"))
                #expect(answer.body == plain.body && !answer.head.contains("Content-Encoding"))
            }
        }
    }
}

@Suite("Compressed messages over gRPC")
struct MessageCodingTests {
    @Test("are read, and answered alike", arguments: ContentCoding.allCases)
    func messages(_ coding: ContentCoding) async throws {
        let coder = try ZlibCoder()
        let plane = InferencePlane(options: .init())
        plane.update(ServingTable(generation: 1, deployments: [deployment("fraud", SumModel())]))
        let server = try await GRPCServer.start(
            group: plane.group, services: .inferencePort(plane), host: "127.0.0.1", port: 0, coder: coder)
        let connection = try await GRPCClientConnection.open(server.port)
        var writer = ProtobufWriter()
        writer.text(1, "fraud".utf8)
        writer.message(5) { input in
            input.text(1, "input".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [200, 3])
        }
        [Float](repeating: 1, count: 600).withUnsafeBytes { writer.bytes(7, $0) }
        let plain = Array(writer.buffer.readableBytesView)
        let packed = try plain.withUnsafeBytes { bytes throws(AerieError) in try coder.pack(bytes, coding) }
        let call = GRPCClientCall(
            path: InferenceGRPCTests.infer, messages: [packed], headers: [("grpc-encoding", coding.rawValue)], flag: 1)
        let result = try await call.run(connection)
        let answer = try #require(result.messages.first)
        #expect(result.status == 0 && answer.count < 800)
        let unpacked = try answer.withUnsafeBytes { bytes throws(AerieError) in
            try coder.unpack(bytes, coding, limit: 1 << 20)
        }
        #expect(unpacked.suffix(4) == [Float(7)].withUnsafeBytes { Array($0) })
        let same = try await GRPCClientCall(
            path: InferenceGRPCTests.infer, messages: [plain], headers: [("grpc-encoding", coding.rawValue)]
        ).run(connection)
        #expect(same.messages == [unpacked], "a client that does not pack is not answered so")
        for (headers, flag, status) in [
            ([("grpc-encoding", "snappy")], UInt8(1), 12), ([], 1, 13), ([("grpc-encoding", coding.rawValue)], 2, 13),
        ] {
            let refused = try await GRPCClientCall(
                path: InferenceGRPCTests.infer, messages: [packed], headers: headers, flag: flag).run(connection)
            #expect(refused.status == status)
        }
        let broken = try await GRPCClientCall(
            path: InferenceGRPCTests.infer, messages: [Array(packed.dropLast(4))],
            headers: [("grpc-encoding", coding.rawValue)], flag: 1).run(connection)
        #expect(broken.status == 13)
        await connection.close()
        await server.shutdown(within: 0)
        await plane.shutdown()
    }
}

@Suite("Server reflection")
struct ReflectionTests {
    private func ask(_ port: Int, _ field: Int, _ text: String, version: String = "v1") async throws -> [UInt8] {
        var writer = ProtobufWriter()
        Array(text.utf8).withUnsafeBytes { writer.bytes(field, $0) }
        let connection = try await GRPCClientConnection.open(port)
        let result = try await GRPCClientCall(
            path: "/grpc.reflection.\(version).ServerReflection/ServerReflectionInfo",
            messages: [Array(writer.buffer.readableBytesView)]).run(connection)
        await connection.close()
        #expect(result.status == 0)
        return try #require(result.messages.first)
    }

    @Test("lists the services, and describes them by symbol and by file", arguments: ["v1", "v1alpha"])
    func describing(_ version: String) async throws {
        let plane = InferencePlane(options: .init())
        let server = try await GRPCServer.start(
            group: plane.group, services: .inferencePort(plane), host: "127.0.0.1", port: 0)
        let list = String(decoding: try await ask(server.port, 7, "*", version: version), as: UTF8.self)
        for name in [
            "inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ] { #expect(list.contains(name)) }
        for (field, name) in [
            (4, "inference.GRPCInferenceService"), (4, "inference.ModelInferRequest.InferInputTensor"),
            (3, "inference.proto"),
        ] {
            let file = String(decoding: try await ask(server.port, field, name, version: version), as: UTF8.self)
            #expect(file.contains("raw_input_contents") && file.contains("proto3"), "\(name)")
        }
        let missing = String(decoding: try await ask(server.port, 4, "no.Such", version: version), as: UTF8.self)
        #expect(missing.contains("there is no symbol no.Such"))
        await server.shutdown(within: 0)
        await plane.shutdown()
    }
}
