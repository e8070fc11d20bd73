import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// What a call gave.
struct GRPCResult: Sendable {
    var messages: [[UInt8]] = []
    /// `grpc-status`; `nil` if the stream ended without one.
    var status: Int?
    var message = ""
    var sawGoAway = false
}

/// A call as a client sees it: messages sent in frames of at most 16 KiB, within the server's windows.
struct GRPCClientCall {
    var path: String
    var messages: [[UInt8]] = []
    var headers: [(String, String)] = []
    /// The first byte of each message.
    var flag: UInt8 = 0
    /// Bytes of each message that are announced and not sent.
    var withheld = 0
    /// Half-closes after the messages.
    var endsInput = true
    /// Resets the stream after that time.
    var resetAfter: TimeAmount?

    func run(_ connection: GRPCClientConnection) async throws -> GRPCResult {
        let done = connection.channel.eventLoop.makePromise(of: GRPCResult.self)
        let stream = try await connection.multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(GRPCCollector(done))
            }
        }.get()
        var head = HPACKHeaders([
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ])
        for (name, value) in headers { head.add(name: name, value: value) }
        stream.write(HTTP2Frame.FramePayload.headers(.init(headers: head)), promise: nil)
        for message in messages {
            var bytes = stream.allocator.buffer(capacity: message.count + 5)
            bytes.writeInteger(flag)
            bytes.writeInteger(UInt32(message.count))
            bytes.writeBytes(message.dropLast(withheld))
            stream.write(HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(bytes))), promise: nil)
        }
        if endsInput {
            stream.write(
                HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)), promise: nil)
        }
        stream.flush()
        if let resetAfter {
            stream.eventLoop.scheduleTask(in: resetAfter) { stream.close(promise: nil) }
        }
        return try await done.futureResult.get()
    }
}

/// One HTTP/2 connection of a client.
struct GRPCClientConnection: Sendable {
    let channel: any Channel
    let multiplexer: NIOHTTP2Handler.StreamMultiplexer

    static func open(_ port: Int) async throws -> GRPCClientConnection {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                        mode: .client, connectionConfiguration: .init(), streamConfiguration: .init()
                    ) { $0.eventLoop.makeSucceededVoidFuture() }
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let multiplexer = try await channel.pipeline.handler(type: NIOHTTP2Handler.self)
            .flatMapThrowing { try $0.syncMultiplexer() }.get()
        return GRPCClientConnection(channel: channel, multiplexer: multiplexer)
    }

    func close() async { try? await channel.close() }
}

/// Puts a call's answer together.
private final class GRPCCollector: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    private let done: EventLoopPromise<GRPCResult>
    private var result = GRPCResult()
    private var pending = ByteBuffer()

    init(_ done: EventLoopPromise<GRPCResult>) { self.done = done }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            if let status = frame.headers.first(name: "grpc-status") { result.status = Int(status) }
            if let message = frame.headers.first(name: "grpc-message") { result.message = message }
            if frame.endStream { done.succeed(result) }
        case .data(let frame):
            if case .byteBuffer(var bytes) = frame.data { pending.writeBuffer(&bytes) }
            while let length = pending.getInteger(at: pending.readerIndex + 1, as: UInt32.self),
                pending.readableBytes >= Int(length) + 5
            {
                pending.moveReaderIndex(forwardBy: 5)
                result.messages.append(pending.readBytes(length: Int(length)) ?? [])
            }
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        done.succeed(result)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
