import AerieCore
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL
import RequestTracing

/// Spans by gRPC: OTLP/gRPC. One connection, which is made again once it has broken.
actor OTLPGRPCExporter: SpanExporter {
    private struct Connection {
        let channel: any Channel
        let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    }

    private static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    /// gRPC's codes that OTLP has tried again: cancelled, deadline exceeded, resource exhausted, aborted, out of range,
    /// unavailable, data loss.
    private static let passing: Set = [1, 4, 8, 10, 11, 14, 15]

    private let endpoint: OTLPEndpoint
    private let resource: [Span.Attribute]
    private let version: String
    /// `nil` without TLS.
    private let context: NIOSSLContext?
    private var connection: Connection?

    init(
        _ endpoint: OTLPEndpoint, _ trust: CollectorTrust?, resource: [Span.Attribute], version: String
    ) throws(AerieError) {
        context = try trust?.http2Context()
        self.endpoint = endpoint
        self.resource = resource
        self.version = version
    }

    func export(_ spans: [Span]) async throws(AerieError) {
        let message = TraceMessage.request(spans, resource: resource, scope: (instrumentation, version))
        let answer: GRPCAnswer
        do { answer = try await call(message) } catch {
            connection = nil
            throw AerieError(.unavailable, "the collector at \(endpoint.url) does not answer: \(error)", cause: error)
        }
        guard let status = answer.status else {
            connection = nil
            throw AerieError(.unavailable, "the collector at \(endpoint.url) ended the call without a status")
        }
        guard status == 0 else {
            throw AerieError(
                Self.passing.contains(status) ? .unavailable : .failedPrecondition,
                "the collector at \(endpoint.url) answered gRPC status \(status): \(answer.message.prefix(200))")
        }
        if let refusal = TraceMessage.refusal(in: answer.body) { throw refusal }
    }

    func close() async {
        try? await connection?.channel.close()
        connection = nil
    }

    private func call(_ message: [UInt8]) async throws -> GRPCAnswer {
        let connection = try await open()
        let done = connection.channel.eventLoop.makePromise(of: GRPCAnswer.self)
        let stream = try await connection.multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(GRPCAnswerReader(done))
            }
        }.get()
        var head = HPACKHeaders([
            (":method", "POST"), (":scheme", endpoint.isSecure ? "https" : "http"), (":path", Self.path),
            (":authority", "\(endpoint.host):\(endpoint.port)"), ("content-type", "application/grpc"),
            ("te", "trailers"), ("grpc-timeout", "\(exportSeconds)S"), ("user-agent", "aerie/\(version)"),
        ])
        for header in endpoint.headers { head.add(name: header.name, value: header.value) }
        stream.write(HTTP2Frame.FramePayload.headers(.init(headers: head)), promise: nil)
        var bytes = stream.allocator.buffer(capacity: message.count + 5)
        bytes.writeInteger(UInt8(0))
        bytes.writeInteger(UInt32(message.count))
        bytes.writeBytes(message)
        stream.writeAndFlush(
            HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(bytes), endStream: true)), promise: nil)
        let limit = stream.eventLoop.scheduleTask(in: .seconds(exportSeconds)) { stream.close(promise: nil) }
        defer { limit.cancel() }
        return try await done.futureResult.get()
    }

    private func open() async throws -> Connection {
        if let connection, connection.channel.isActive { return connection }
        let secured = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Void.self)
        if context == nil { secured.succeed() }
        let channel: any Channel
        do { channel = try await connect(secured) } catch {
            secured.fail(error)
            throw error
        }
        let limit = channel.eventLoop.scheduleTask(in: .seconds(exportSeconds / 2)) { channel.close(promise: nil) }
        defer { limit.cancel() }
        try await secured.futureResult.get()
        let multiplexer = try await channel.pipeline.handler(type: NIOHTTP2Handler.self)
            .flatMapThrowing { try $0.syncMultiplexer() }.get()
        let made = Connection(channel: channel, multiplexer: multiplexer)
        connection = made
        return made
    }

    /// - Parameter secured: is kept once TLS is agreed on, or has failed.
    private func connect(_ secured: EventLoopPromise<Void>) async throws -> any Channel {
        let (context, host) = (context, endpoint.host)
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(exportSeconds / 2))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context {
                        // An address has no name to be asked for; the certificate names it.
                        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
                        try pipeline.addHandler(
                            NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host))
                        try pipeline.addHandler(HandshakeWaiter(secured))
                    }
                    _ = try pipeline.configureHTTP2Pipeline(
                        mode: .client, connectionConfiguration: .init(), streamConfiguration: .init()
                    ) { $0.eventLoop.makeSucceededVoidFuture() }
                }
            }
            .connect(host: endpoint.host, port: endpoint.port).get()
    }
}

/// How a call ended.
struct GRPCAnswer: Sendable {
    /// `nil` if the stream ended without one.
    var status: Int?
    var message = ""
    var body: [UInt8] = []
}

/// Puts the answer to one call together.
private final class GRPCAnswerReader: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    private let done: EventLoopPromise<GRPCAnswer>
    private var answer = GRPCAnswer()
    private var pending = ByteBuffer()
    private static let answerLimit = 64 << 10

    init(_ done: EventLoopPromise<GRPCAnswer>) { self.done = done }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            if let status = frame.headers.first(name: "grpc-status") { answer.status = Int(status) }
            if let message = frame.headers.first(name: "grpc-message") { answer.message = message }
            if frame.endStream { done.succeed(finished()) }
        case .data(let frame):
            if case .byteBuffer(var bytes) = frame.data, pending.readableBytes < Self.answerLimit {
                pending.writeBuffer(&bytes)
            }
        default: break
        }
    }

    private func finished() -> GRPCAnswer {
        if pending.readableBytes > 5 {
            pending.moveReaderIndex(forwardBy: 5)
            answer.body = Array(buffer: pending)
        }
        return answer
    }

    func channelInactive(context: ChannelHandlerContext) {
        done.succeed(finished())
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
