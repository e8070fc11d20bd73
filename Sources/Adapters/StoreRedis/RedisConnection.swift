import AerieCore
import DequeModule
import NIOCore
import NIOPosix

/// One connection, on which any number of callers have their commands under way at once.
///
/// Replies come in the order of the commands. If one does not come in time, the connection is closed, as the order of
/// all that follow would be in doubt.
final class RedisConnection: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<RedisHandler>
    let address: RedisAddress
    private let timeout: TimeAmount

    var isOpen: Bool { channel.isActive }

    private init(
        _ channel: any Channel, _ handler: NIOLoopBound<RedisHandler>, _ address: RedisAddress, _ timeout: TimeAmount
    ) {
        self.channel = channel
        self.handler = handler
        self.address = address
        self.timeout = timeout
    }

    /// Connects, and says who it is if the address has a password.
    static func open(_ address: RedisAddress, timeout: TimeAmount) async throws(AerieError) -> RedisConnection {
        let connection: RedisConnection
        do {
            connection = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(2))
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: address.host, port: address.port)
                .flatMapThrowing { channel in
                    let handler = RedisHandler()
                    try channel.pipeline.syncOperations.addHandler(handler)
                    return RedisConnection(
                        channel, NIOLoopBound(handler, eventLoop: channel.eventLoop), address, timeout)
                }.get()
        } catch { throw address.unreachable("\(error)", cause: error) }
        var greeting: [RedisCommand] = []
        if let password = address.password {
            greeting.append(
                address.user.isEmpty ? RedisCommand("AUTH", password) : RedisCommand("AUTH", address.user, password))
        }
        if address.database > 0 { greeting.append(RedisCommand("SELECT", "\(address.database)")) }
        if !greeting.isEmpty {
            for reply in try await connection.send(greeting) {
                if let words = reply.error {
                    connection.close()
                    throw AerieError(.unavailable, "Redis at \(address) refuses the connection: \(words)")
                }
            }
        }
        return connection
    }

    /// Sends all, and waits for the reply of each.
    /// - Throws: `unavailable` if the connection breaks or a reply does not come in time; some of the commands may have
    ///   been carried out.
    func send(_ commands: [RedisCommand]) async throws(AerieError) -> [RESPValue] {
        if commands.isEmpty { return [] }
        var buffer = channel.allocator.buffer(capacity: 256 * commands.count)
        for command in commands { command.write(into: &buffer) }
        let (bytes, handler, timeout) = (buffer, handler, timeout)
        let promise = channel.eventLoop.makePromise(of: [RESPValue].self)
        channel.eventLoop.execute {
            handler.value.send(bytes, count: commands.count, promise: promise, timeout: timeout)
        }
        do { return try await promise.futureResult.get() } catch { throw address.unreachable("\(error)", cause: error) }
    }

    func close() { channel.close(promise: nil) }
}

/// Matches replies to those who wait for them. Confined to its event loop.
private final class RedisHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Broken: Error, CustomStringConvertible { var description: String }

    private struct Waiting {
        var count: Int
        var replies: [RESPValue] = []
        let promise: EventLoopPromise<[RESPValue]>
        let timer: Scheduled<Void>
    }

    private var context: ChannelHandlerContext?
    private var waiting = Deque<Waiting>()
    private var received = ByteBuffer()
    private var problem = "the connection was closed"

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func send(_ bytes: ByteBuffer, count: Int, promise: EventLoopPromise<[RESPValue]>, timeout: TimeAmount) {
        guard let context, context.channel.isActive else {
            promise.fail(Broken(description: problem))
            return
        }
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        let timer = context.eventLoop.scheduleTask(in: timeout) {
            handler.value.fail("it did not answer within \(timeout.nanoseconds / 1_000_000) ms")
        }
        waiting.append(Waiting(count: count, promise: promise, timer: timer))
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = piece } else { received.writeBuffer(&piece) }
        do {
            while !waiting.isEmpty, let reply = try RESPReader.next(&received) {
                waiting[0].replies.append(reply)
                guard waiting[0].replies.count == waiting[0].count else { continue }
                let done = waiting.removeFirst()
                done.timer.cancel()
                done.promise.succeed(done.replies)
            }
            received.discardReadBytes()
        } catch { fail("what it sends is not Redis's protocol") }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail("\(error)") }

    private func fail(_ words: String) {
        problem = words
        end()
        context?.close(promise: nil)
    }

    private func end() {
        while let one = waiting.popFirst() {
            one.timer.cancel()
            one.promise.fail(Broken(description: problem))
        }
    }
}
