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
        } catch { throw address.unreachable(error) }
        let greeting = greeting(address)
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

    /// What a connection begins with.
    static func greeting(_ address: RedisAddress) -> [RedisCommand] {
        var greeting: [RedisCommand] = []
        if let password = address.password {
            greeting.append(
                address.user.isEmpty ? RedisCommand("AUTH", password) : RedisCommand("AUTH", address.user, password))
        }
        if address.database > 0 { greeting.append(RedisCommand("SELECT", "\(address.database)")) }
        return greeting
    }

    /// Connects on one event loop.
    static func bootstrap(
        on eventLoop: any EventLoop, _ address: RedisAddress,
        handler: @escaping @Sendable () -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(2))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler())
                }
            }
            .connect(host: address.host, port: address.port)
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
        do { return try await promise.futureResult.get() } catch { throw address.unreachable(error) }
    }

    /// Sends commands that are written already, and gives back the bytes of that many replies.
    /// - Throws: as `send`.
    func exchange(_ bytes: ByteBuffer, replies: Int) async throws(AerieError) -> ByteBuffer {
        let (handler, timeout) = (handler, timeout)
        let promise = channel.eventLoop.makePromise(of: ByteBuffer.self)
        channel.eventLoop.execute {
            handler.value.send(bytes, replies: replies, promise: promise, timeout: timeout)
        }
        do { return try await promise.futureResult.get() } catch { throw address.unreachable(error) }
    }

    func close() { channel.close(promise: nil) }
}

/// Matches replies to those who wait for them. Confined to its event loop.
private final class RedisHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Broken: Error, CustomStringConvertible { var description: String }

    private struct Waiting {
        enum Answer {
            case values(EventLoopPromise<[RESPValue]>)
            case bytes(EventLoopPromise<ByteBuffer>)
        }

        var count: Int
        var replies: [RESPValue] = []
        /// Of replies that are wanted as bytes: those seen, and their length.
        var seen = 0
        var length = 0
        let answer: Answer
        let timer: Scheduled<Void>

        func fail(_ error: any Error) {
            switch answer {
            case .values(let promise): promise.fail(error)
            case .bytes(let promise): promise.fail(error)
            }
        }
    }

    private var context: ChannelHandlerContext?
    private var waiting = Deque<Waiting>()
    private var received = ByteBuffer()
    private var problem = "the connection was closed"

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func send(_ bytes: ByteBuffer, count: Int, promise: EventLoopPromise<[RESPValue]>, timeout: TimeAmount) {
        send(bytes, count, .values(promise), timeout)
    }

    func send(_ bytes: ByteBuffer, replies: Int, promise: EventLoopPromise<ByteBuffer>, timeout: TimeAmount) {
        send(bytes, replies, .bytes(promise), timeout)
    }

    private func send(_ bytes: ByteBuffer, _ count: Int, _ answer: Waiting.Answer, _ timeout: TimeAmount) {
        guard let context, context.channel.isActive else {
            switch answer {
            case .values(let promise): promise.fail(Broken(description: problem))
            case .bytes(let promise): promise.fail(Broken(description: problem))
            }
            return
        }
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        let timer = context.eventLoop.scheduleTask(in: timeout) {
            handler.value.fail("it did not answer within \(timeout.nanoseconds / 1_000_000) ms")
        }
        waiting.append(Waiting(count: count, answer: answer, timer: timer))
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = piece } else { received.writeBuffer(&piece) }
        do {
            while !waiting.isEmpty, try takeReplies() {
                let done = waiting.removeFirst()
                done.timer.cancel()
                switch done.answer {
                case .values(let promise): promise.succeed(done.replies)
                case .bytes(let promise): promise.succeed(received.readSlice(length: done.length) ?? ByteBuffer())
                }
            }
            if received.readableBytes == 0 { received = ByteBuffer() } else { received.discardReadBytes() }
        } catch { fail("what it sends is not Redis's protocol") }
    }

    /// True once the first who waits has all replies.
    private func takeReplies() throws -> Bool {
        guard case .bytes = waiting[0].answer else {
            while waiting[0].replies.count < waiting[0].count, let reply = try RESPReader.next(&received) {
                waiting[0].replies.append(reply)
            }
            return waiting[0].replies.count == waiting[0].count
        }
        let (count, seen, length) = (waiting[0].count, waiting[0].seen, waiting[0].length)
        let now = try received.withUnsafeReadableBytes { bytes -> (seen: Int, length: Int) in
            var replies = RedisReplies(bytes, at: length)
            var seen = seen
            while seen < count, try replies.skip() { seen += 1 }
            return (seen: seen, length: replies.at)
        }
        (waiting[0].seen, waiting[0].length) = (now.seen, now.length)
        return now.seen == count
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
        // First, so that who is told of it and tries again finds the connection closed.
        context?.close(promise: nil)
        end()
    }

    private func end() {
        while let one = waiting.popFirst() {
            one.timer.cancel()
            one.fail(Broken(description: problem))
        }
    }
}
