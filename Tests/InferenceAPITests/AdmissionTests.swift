import AerieCore
import AerieGRPC
import AerieHTTP
#if canImport(Glibc)
    import Glibc
#endif
import NIOCore
import NIOPosix
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

/// Clients that mean no good, or do not know better; beside each of them another one is answered as always.
@Suite("Admission", .timeLimit(.minutes(1)))
struct AdmissionTests {
    private func infer(_ port: Int) async throws -> Int {
        try await ask(port, post("/v2/models/fraud/infer", inferBody())).status
    }

    private func inferGRPC(_ port: Int) async throws -> Int? {
        let connection = try await GRPCClientConnection.open(port)
        let call = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message("fraud")])
        let result = try await call.run(connection)
        await connection.close()
        return result.status
    }

    private func message(_ model: String, columns: Int = 3) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, model.utf8)
        writer.message(5) { input in
            input.text(1, (columns == 3 ? "input" : "x").utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [1, columns])
        }
        [Float](repeating: 1, count: columns).withUnsafeBytes { writer.bytes(7, $0) }
        return Array(writer.buffer.readableBytesView)
    }

    /// Connections that send a beginning and then nothing.
    private func hold(_ count: Int, _ port: Int, sending text: String) async throws -> [any Channel] {
        var channels: [any Channel] = []
        for _ in 0..<count {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port).get()
            if !text.isEmpty { try await channel.writeAndFlush(ByteBuffer(string: text)) }
            channels.append(channel)
        }
        return channels
    }

    /// Ends only because the server closes.
    private func sendUntilClosed(_ bytes: [UInt8], _ port: Int) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        try await channel.closeFuture.get()
    }

    private func close(_ channels: [any Channel]) async { for channel in channels { try? await channel.close() } }

    @Test("hundreds of requests that never end hold nobody up, and are told so and closed")
    func slowClients() async throws {
        let models = [deployment("fraud", SumModel())]
        try await withPlane(models, options: { $0.http.requestTimeoutSeconds = 1 }) { http, grpc, _ in
            let heads = try await hold(150, http, sending: "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nX")
            let bodies = try await hold(
                150, http, sending: "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
            let prefaces = try await hold(50, grpc, sending: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0")
            for _ in 0..<20 {
                #expect(try await infer(http) == 200)
                #expect(try await inferGRPC(grpc) == 0)
            }
            for channel in heads + bodies { try await channel.closeFuture.get() }
            await close(prefaces)
        }
    }

    @Test("a body past the limit is refused before it comes, by its length or by its chunks")
    func hugeBodies() async throws {
        let models = [deployment("fraud", SumModel())]
        try await withPlane(models, options: { $0.http.limits.bodyBytes = 1 << 20 }) { http, _, _ in
            let head = "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\n"
            let length = Array("\(head)Content-Length: 99999999999\r\n\r\n".utf8)
            let refused = try await exchange(http, [length])
            #expect(splitAnswers(refused).map(\.status) == [413])
            let chunk = "40000\r\n" + String(repeating: "1", count: 0x40000) + "\r\n"
            let chunks = "\(head)Transfer-Encoding: chunked\r\n\r\n" + String(repeating: chunk, count: 5)
            #expect(try await splitAnswers(exchange(http, [Array(chunks.utf8)])).map(\.status) == [413])
            #expect(try await infer(http) == 200)
        }
    }

    @Test("a flood of header fields ends at its limit")
    func headerFlood() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { http, grpc, _ in
            let fields = (0..<4000).map { "X-\($0): \($0)\r\n" }.joined()
            let flood = Array("GET /v2 HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)
            #expect(try await splitAnswers(exchange(http, [flood])).map(\.status) == [431])
            #expect(try await infer(http) == 200)
            // In HTTP/2: one block of headers in frames without end.
            var frames = Self.preface + Self.frame(1, flags: 0, stream: 1, [0x83, 0x86])
            let field = [0x00, 0x01, 0x61, 0x7f, 0x00] + [UInt8](repeating: 0x62, count: 127)
            for _ in 0..<2000 { frames += Self.frame(9, flags: 0, stream: 1, field) }
            try await sendUntilClosed(frames, grpc)
            #expect(try await inferGRPC(grpc) == 0)
        }
    }

    @Test("streams that are opened and reset by the thousand end with their connection, and no other")
    func rapidReset() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { _, grpc, _ in
            let path = Array("/inference.GRPCInferenceService/ModelInfer".utf8)
            let type = Array("application/grpc".utf8)
            // :method POST, :scheme http, :path and content-type written out.
            var block: [UInt8] = [0x83, 0x86, 0x04, UInt8(path.count)]
            block += path
            block += [0x0f, 0x10, UInt8(type.count)]
            block += type
            var frames = Self.preface
            for index in 0..<5000 {
                let stream = UInt32(2 * index + 1)
                frames += Self.frame(1, flags: 4, stream: stream, block)
                frames += Self.frame(3, flags: 0, stream: stream, [0, 0, 0, 8])
            }
            async let others = (0..<20).asyncMap { _ in try await inferGRPC(grpc) }
            try await sendUntilClosed(frames, grpc)
            #expect(try await others.allSatisfy { $0 == 0 })
            #expect(try await inferGRPC(grpc) == 0)
        }
    }

    @Test("more connections than may be open are told so; one that closes makes room")
    func connectionLimit() async throws {
        let models = [deployment("fraud", SumModel())]
        try await withPlane(models, options: { $0.http.maximumConnections = 3 }) { http, _, plane in
            let open = try await hold(3, http, sending: "")
            while try await plane.states[0].eventLoop.submit({ plane.states[0].connectionCount }).get() < 3 {
                try await Task.sleep(for: .milliseconds(1))
            }
            let refused = try #require(splitAnswers(try await exchange(http, [], answers: 1)).first)
            #expect(refused.status == 503 && refused.head.contains("Retry-After: 1\r\n"))
            await close([open[0]])
            while try await plane.states[0].eventLoop.submit({ plane.states[0].connectionCount }).get() > 2 {
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(try await infer(http) == 200)
            await close(Array(open.dropFirst()))
        }
    }

    @Test("one gRPC connection has its share of the pool, and another its own")
    func connectionShare() async throws {
        let model = GatedModel()
        try await withPlane([deployment("m", model)], options: { $0.poolCapacityPerConnection = 2 }) { _, grpc, plane in
            let greedy = try await GRPCClientConnection.open(grpc)
            let modest = try await GRPCClientConnection.open(grpc)
            let call = GRPCClientCall(path: InferenceGRPCTests.infer, messages: [message("m", columns: 2)])
            let statistics = plane.statistics.ledger.statistics(slot: 0)
            try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<2 { group.addTask { try await call.run(greedy).status } }
                while statistics.now.pending < 2 { try await Task.sleep(for: .milliseconds(1)) }
                let third = try await call.run(greedy)
                #expect(third.status == 8 && third.message.contains("this"))
                group.addTask { try await call.run(modest).status }
                while statistics.now.pending < 3 { try await Task.sleep(for: .milliseconds(1)) }
                model.open()
                for try await status in group { #expect(status == 0) }
            }
            #expect(try await call.run(greedy).status == 0, "its calls have left")
            await greedy.close()
            await modest.close()
        }
    }

    @Test("work whose time was up before a thread was free is not done")
    func deadlines() async throws {
        let model = GatedModel()
        try await withPlane([deployment("m", model)], options: { $0.poolThreads = 1 }) { http, _, plane in
            let body = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]%}"#
            let parameter = body.split(separator: "%").joined(separator: #","parameters":{"timeout":1000}"#)
            let plain = body.split(separator: "%").joined()
            let statistics = plane.statistics.ledger.statistics(slot: 0)
            try await withThrowingTaskGroup(of: Int.self) { group in
                group.addTask { try await ask(http, post("/v2/models/m/infer", plain)).status }
                while model.calls.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(1)) }
                group.addTask { try await ask(http, post("/v2/models/m/infer", parameter)).status }
                let header = "X-Envoy-Expected-Rq-Timeout-Ms: 1\r\n"
                group.addTask { try await ask(http, post("/v2/models/m/infer", plain, headers: header)).status }
                while statistics.now.pending < 3 { try await Task.sleep(for: .milliseconds(1)) }
                // Both have a millisecond, which passes on the same clock.
                let past = monotonicNanoseconds() + 2_000_000
                while monotonicNanoseconds() < past { try await Task.sleep(for: .milliseconds(1)) }
                model.open()
                let statuses = try await group.reduce(into: []) { $0.append($1) }
                #expect(statuses.sorted() == [200, 504, 504])
            }
            #expect(model.calls.withLock { $0.count } == 1)
            let wrong = "X-Envoy-Expected-Rq-Timeout-Ms: soon\r\n"
            #expect(try await ask(http, post("/v2/models/m/infer", plain, headers: wrong)).status == 400)
        }
    }

    #if os(Linux)
        @Test("the threads of slow models give way to the event loops")
        func threadsGiveWay() async throws {
            let process = __priority_which_t(PRIO_PROCESS.rawValue)
            let usual = getpriority(process, 0)
            let pool = InferencePool(threads: 3, capacity: 8, niceness: 5)
            var found: [Int32] = []
            for _ in 0..<8 {
                found.append(
                    try await withCheckedThrowingContinuation { continuation in
                        do {
                            try pool.submit { continuation.resume(returning: getpriority(process, 0)) }
                        } catch { continuation.resume(throwing: error) }
                    })
            }
            await pool.shutdown()
            #expect(found == Array(repeating: min(19, usual + 5), count: 8))
        }
    #endif

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, flags: 0, stream: 0, [])

    private static func frame(_ type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        let head = [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags]
        return head + withUnsafeBytes(of: stream.bigEndian) { Array($0) } + payload
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
