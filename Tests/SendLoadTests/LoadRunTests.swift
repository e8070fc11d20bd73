import AerieCore
import Load
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import SendLoad

/// A server that answers each request (its end is an empty line; they have no body) as it is told.
private final class ScriptedServer: Sendable {
    let channel: any Channel
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init(_ answer: @escaping @Sendable (Int) -> (text: String, delay: Int64)?) async throws {
        let counter = Counter()
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(counter, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.counter = counter
    }

    private let counter: Counter
    var requests: Int { counter.value.load(ordering: .relaxed) }
    var port: Int { channel.localAddress?.port ?? 0 }

    func stop() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }

    private final class Counter: Sendable { let value = Atomic<Int>(0) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let counter: Counter
        let answer: @Sendable (Int) -> (text: String, delay: Int64)?
        var newlines = 0

        init(_ counter: Counter, _ answer: @escaping @Sendable (Int) -> (text: String, delay: Int64)?) {
            self.counter = counter
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            for byte in unwrapInboundIn(data).readableBytesView {
                if byte == 0x0a { newlines += 1 } else if byte != 0x0d { newlines = 0 }
                guard newlines == 2 else { continue }
                newlines = 0
                let number = counter.value.add(1, ordering: .relaxed).newValue
                guard let (text, delay) = answer(number) else { return context.close(promise: nil) }
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                let out = wrapOutboundOut(ByteBuffer(string: text))
                if delay == 0 {
                    context.writeAndFlush(out, promise: nil)
                } else {
                    let buffer = ByteBuffer(string: text)
                    context.eventLoop.scheduleTask(in: .milliseconds(delay)) {
                        bound.value.writeAndFlush(NIOAny(buffer), promise: nil)
                    }
                }
            }
        }
    }
}

@Suite struct LoadRunTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    private let payload = LoadPayload(requests: [Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)], rows: 3)

    @Test("a closed pace asks again as soon as it is answered, on every connection and pipelined")
    func closed() async throws {
        let server = try await ScriptedServer { _ in (Self.ok, 0) }
        let plan = LoadPlan(
            host: "127.0.0.1", port: server.port, transport: .http, connections: 3, inFlight: 4, warmup: 0.05,
            duration: 0.3)
        let result = try await NIOLoadDriver().run(plan, payload) { _ in }
        #expect(result.succeeded > 12)
        #expect(result.failed == 0)
        #expect(result.statuses == [200: result.succeeded])
        #expect(server.requests >= result.succeeded)
        #expect(result.rowsPerSecond == result.perSecond * 3)
        try await server.stop()
    }

    @Test("with an open pace as many requests fall due as the rate says, and each is accounted for")
    func open() async throws {
        let server = try await ScriptedServer { number in
            (number.isMultiple(of: 4) ? "HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n" : Self.ok, 0)
        }
        let plan = LoadPlan(
            host: "127.0.0.1", port: server.port, transport: .http, connections: 2, pace: .open(perSecond: 1000),
            warmup: 0.1, duration: 0.5)
        let result = try await NIOLoadDriver().run(plan, payload) { _ in }
        #expect((499...501).contains(result.due))
        #expect(result.statuses.values.reduce(0, +) == result.due)
        #expect((124...127).contains(result.statuses[429] ?? 0))
        try await server.stop()
    }

    @Test("a wait behind a slow answer is part of the latencies of all that fell due meanwhile")
    func coordinatedOmission() async throws {
        // One answer of 200 ms on the only connection: of the 400 requests that fall due in 0.4 s, half wait.
        let server = try await ScriptedServer { number in (Self.ok, number == 1 ? 200 : 0) }
        let plan = LoadPlan(
            host: "127.0.0.1", port: server.port, transport: .http, connections: 1, pace: .open(perSecond: 1000),
            warmup: 0, duration: 0.4)
        let result = try await NIOLoadDriver().run(plan, payload) { _ in }
        #expect(result.succeeded + result.failed == result.due)
        #expect(result.latency.maximum >= 0.19)
        #expect(result.latency.quantile(0.75) > 0.05)
        try await server.stop()
    }

    @Test("connections that break are counted and made anew")
    func broken() async throws {
        let server = try await ScriptedServer { number in number.isMultiple(of: 10) ? nil : (Self.ok, 0) }
        let plan = LoadPlan(
            host: "127.0.0.1", port: server.port, transport: .http, connections: 2, warmup: 0, duration: 0.6)
        let result = try await NIOLoadDriver().run(plan, payload) { _ in }
        #expect((result.statuses[LoadResult.broken] ?? 0) >= 2)
        #expect(result.succeeded > 18)
        try await server.stop()
    }

    @Test("a server that is not there is told at once")
    func absent() async {
        let plan = LoadPlan(host: "127.0.0.1", port: 1, transport: .http, connections: 1, duration: 1)
        await #expect(throws: AerieError.self) { try await NIOLoadDriver().run(plan, payload) { _ in } }
    }

    @Test("a run that is cancelled ends with what it has")
    func cancelled() async throws {
        let server = try await ScriptedServer { _ in (Self.ok, 0) }
        let plan = LoadPlan(host: "127.0.0.1", port: server.port, transport: .http, connections: 1, duration: 600)
        let task = Task { try await NIOLoadDriver().run(plan, payload) { _ in } }
        while server.requests < 10 { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        _ = try? await task.value
        try await server.stop()
    }
}
