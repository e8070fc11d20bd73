public import AerieCore
public import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// One client's connection: cuts its bytes into requests, answers them in their order, and closes when it must.
///
/// One answer at a time: while something slow works for this connection, later requests wait in the buffer, and once
/// one does reading pauses. A protocol subclasses it and answers.
///
/// `@unchecked Sendable`: touched on its event loop only.
open class HTTPConnection: ChannelDuplexHandler, @unchecked Sendable {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    private final let loop: HTTPLoop
    private final var parser: HTTPRequestParser
    private final var pending = ByteBuffer()
    private final var context: ChannelHandlerContext?
    /// An answer is being made elsewhere, and `complete` will end it.
    public final var isBusy = false
    private final var isClosing = false
    private final var holdsRead = false
    /// The channel's socket while it is connected; `nil` where the channel has none.
    private final var socket: NIOBSDSocket.Handle?
    /// Stretches of answers that the loop holds for this connection.
    final var heldCount = 0
    /// Writes that the channel has not handed to the socket yet.
    private final var unsent = 0
    private final var lastRead = NIODeadline.now()
    private final var requestBegan: NIODeadline?
    /// When the last answer of a closing connection was handed to the socket whole.
    private final var outputEnded: NIODeadline?
    /// Ends with the connection, so that nothing is computed for a client that has gone.
    public final let interest = Interest()

    /// - Parameter names: the header fields whose values `answer` looks at.
    public init(loop: HTTPLoop, asking names: HTTPFieldNames = HTTPFieldNames()) {
        self.loop = loop
        parser = HTTPRequestParser(limits: loop.timing.limits, asking: names)
    }

    // MARK: A protocol's own

    /// Writes the answer to one request into the loop's `out`, or sets `isBusy` and calls `complete` later.
    /// - Parameters:
    ///   - request: all its bytes, valid for the call.
    ///   - body: the body's place in them.
    open func answer(_ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: Range<Int>) {
        fatalError("a connection's class answers its requests")
    }

    /// Refuses a request before its body has come, by writing the answer into the loop's `out`: its body is then read
    /// past. Asked for requests whose body does not come with their head.
    /// - Parameter head: the bytes of the head, valid for the call.
    open func refuses(_ exchange: HTTPExchange, _ head: UnsafeRawBufferPointer) -> Bool { false }

    /// Writes the answer to what cannot be read as a request.
    open func answer(_ failure: HTTPFailure, _ exchange: HTTPExchange) {
        fatalError("a connection's class answers its requests")
    }

    /// Called once the answer to a request is in the loop's `out` whole, behind `start`; it may still be changed.
    open func finish(_ exchange: HTTPExchange, from start: Int) {}

    // MARK: Channel

    public final func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        if loop.isDraining { closeNow() }
    }

    public final func channelActive(context: ChannelHandlerContext) {
        socket = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable { $0 }
        if loop.isFull {
            let problem = "\(loop.timing.maximumConnections) connections are open; try again shortly"
            loop.write(self, at: lastRead) { refuse(HTTPFailure(status: 503, message: problem)) }
        }
        context.fireChannelActive()
    }

    public final func channelInactive(context: ChannelHandlerContext) {
        socket = nil
        context.fireChannelInactive()
    }

    public final func handlerRemoved(context: ChannelHandlerContext) {
        loop.remove(self)
        interest.end()
        self.context = nil
    }

    public final func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After a refusal the rest is read and dropped, so that the client sees the answer and no reset.
        if isClosing { return }
        lastRead = .now()
        if pending.readableBytes == 0 {
            pending = unwrapInboundIn(data)
        } else {
            var more = unwrapInboundIn(data)
            pending.writeBuffer(&more)
        }
        process(readAt: lastRead)
    }

    public final func read(context: ChannelHandlerContext) {
        // A client that waits for its answer sends nothing: to pause for it were two calls into the kernel for naught.
        let isBehind = isBusy && pending.readableBytes > 0
        if isBehind || !isWritable(context) { holdsRead = true } else { context.read() }
    }

    public final func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            process()
            releaseRead()
        }
        context.fireChannelWritabilityChanged()
    }

    public final func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private final func releaseRead() {
        guard holdsRead, !isBusy, let context, isWritable(context) else { return }
        holdsRead = false
        context.read()
    }

    // MARK: Requests

    /// Answers every whole request that is there, and hands over the answers together.
    /// - Parameter readAt: when the first of them was read whole, if that was just now.
    private final func process(readAt: NIODeadline? = nil) {
        guard let context, !isBusy, !isClosing, isWritable(context) else { return }
        var hasMore = false
        loop.write(self, at: lastRead) { hasMore = answerRequests(readAt: readAt) }
        // Where the socket does not take it all at once, its becoming writable goes on.
        if hasMore, isWritable(context) { context.eventLoop.execute { self.process() } }
    }

    /// - Returns: whether it stopped before the last of them.
    private final func answerRequests(readAt: NIODeadline?) -> Bool {
        var start = readAt?.uptimeNanoseconds
        let first = loop.out.writerIndex
        var hasMore = false
        loop: while !isBusy, !isClosing {
            // Answers may be much longer than their requests: they are handed out before they pile up.
            if loop.out.writerIndex - first > HTTPLoop.heldBytes {
                hasMore = true
                break
            }
            switch parser.next(&pending) {
            case .needMore: break loop
            case .head(let head): meet(head)
            case .request(let head, let body, let consumed):
                requestBegan = nil
                let request = pending
                let exchange = HTTPExchange(
                    head: head, keepsAlive: head.keepsAlive && !loop.isDraining, start: start ?? monotonicNanoseconds())
                start = nil
                let written = loop.out.writerIndex
                request.withUnsafeReadableBytes { answer(exchange, $0, body) }
                if !isBusy { finish(exchange, from: max(written, loop.writingStart)) }
                pending.moveReaderIndex(forwardBy: consumed)
                if !exchange.keepsAlive, !isBusy { isClosing = true }
            case .failure(let failure): refuse(failure)
            }
        }
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        requestBegan = pending.readableBytes == 0 && !parser.isInsideBody ? nil : requestBegan ?? lastRead
        return hasMore
    }

    /// Refuses a request before its body has come, or lets that come.
    private final func meet(_ head: HTTPHead) {
        let request = pending
        // Who has been refused instead of told to go on sends no body: where the next request begins is not known then.
        let keepsAlive = head.keepsAlive && !loop.isDraining && !head.expectsContinue
        let exchange = HTTPExchange(head: head, keepsAlive: keepsAlive, start: monotonicNanoseconds())
        let start = loop.out.writerIndex
        let isRefused = request.withUnsafeReadableBytes {
            refuses(exchange, UnsafeRawBufferPointer(rebasing: $0[..<head.end]))
        }
        guard isRefused else {
            if head.expectsContinue { loop.out.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }
            return
        }
        finish(exchange, from: max(start, loop.writingStart))
        if keepsAlive { parser.discardBody() } else { isClosing = true }
    }

    private final func refuse(_ failure: HTTPFailure) {
        // What comes behind a refusal belongs to a request that has its answer.
        if parser.isDiscarding {
            isClosing = true
            context?.close(promise: nil)
            return
        }
        answer(failure, HTTPExchange(head: HTTPHead(), keepsAlive: false, start: monotonicNanoseconds()))
        isClosing = true
    }

    // MARK: Answers

    /// Nothing is in the channel's buffer, or not too much.
    private final func isWritable(_ context: ChannelHandlerContext) -> Bool {
        unsent == 0 || context.channel.isWritable
    }

    /// Hands over what the loop held, and ends the connection if that was the last of it.
    final func send(_ answers: Range<Int>) {
        heldCount -= 1
        guard let context else { return }
        send(answers, context)
        // What follows a refused request is read and dropped until the client closes or the sweep does.
        guard isClosing, heldCount == 0 else { return }
        let ended = context.eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { [self] _ in outputEnded = outputEnded ?? .now() }
        context.close(mode: .output, promise: ended)
    }

    /// To the socket itself, which takes answers whole as a rule; what it does not take goes through the channel, which
    /// waits for it. This handler is the only one of its channel.
    private final func send(_ answers: Range<Int>, _ context: ChannelHandlerContext) {
        var taken = 0
        if unsent == 0, let socket {
            taken = loop.out.withUnsafeReadableBytes { write($0, at: answers, to: socket) }
            if taken == answers.count { return }
        }
        let from = answers.lowerBound + taken
        guard let rest = loop.out.getSlice(at: from, length: answers.upperBound - from) else { return }
        unsent += 1
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.whenComplete { [self] _ in unsent -= 1 }
        context.writeAndFlush(wrapOutboundOut(rest), promise: sent)
    }

    /// - Returns: how many bytes the socket took; 0 also where it failed, as the channel then meets the same.
    private final func write(
        _ bytes: UnsafeRawBufferPointer, at range: Range<Int>, to socket: NIOBSDSocket.Handle
    ) -> Int {
        #if canImport(Glibc)
            let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
            return max(0, Glibc.send(socket, bytes.baseAddress! + range.lowerBound, range.count, flags))
        #else
            return max(0, Darwin.send(socket, bytes.baseAddress! + range.lowerBound, range.count, MSG_DONTWAIT))
        #endif
    }

    /// Ends an exchange whose answer was made elsewhere; nothing happens if the client has gone.
    public final func complete(_ exchange: HTTPExchange, _ write: () -> Void) {
        isBusy = false
        if context == nil { return }
        // Nothing was read meanwhile: the client is not to blame for that time.
        lastRead = .now()
        requestBegan = nil
        loop.write(self, at: lastRead) {
            write()
            // What was written may have been the beginning of more work.
            if !isBusy {
                finish(exchange, from: loop.writingStart)
                if !exchange.keepsAlive || loop.isDraining { isClosing = true }
            }
        }
        process()
        releaseRead()
    }

    // MARK: Time

    final func checkTime(_ now: NIODeadline) {
        guard let context, !isBusy else { return }
        let options = loop.timing
        if isClosing {
            // A slow client may take its time for the answer, within the limit for an idle connection.
            let patience = outputEnded.map { now - max($0, lastRead) > .seconds(2) }
            if patience ?? (now - lastRead > .seconds(Int64(options.idleTimeoutSeconds))) {
                context.close(promise: nil)
            }
            return
        }
        if let began = requestBegan {
            // What waits for the client to read its answers is not late.
            let limit = TimeAmount.seconds(Int64(options.requestTimeoutSeconds))
            guard isWritable(context) || now - began > limit * 10 else { return }
            let isLate = parser.isInsideBody ? now - lastRead > limit || now - began > limit * 10 : now - began > limit
            guard isLate else { return }
            if !isWritable(context) || parser.isDiscarding { return context.close(promise: nil) }
            let seconds = options.requestTimeoutSeconds
            let problem = "the request did not arrive in \(seconds) s"
            loop.write(self, at: now) { refuse(HTTPFailure(status: 408, message: problem)) }
        } else if now - lastRead > .seconds(Int64(options.idleTimeoutSeconds)) {
            context.close(promise: nil)
        }
    }

    final func drain() {
        guard let context, !isBusy, !isClosing, requestBegan == nil else { return }
        // Answers that a slow client has not taken yet still go out.
        isClosing = true
        let ended = context.eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { [self] _ in closeNow() }
        context.close(mode: .output, promise: ended)
    }

    final func closeNow() { context?.close(promise: nil) }
}

/// What is kept of a request while it is answered.
public struct HTTPExchange: Sendable {
    public var head: HTTPHead
    public var keepsAlive: Bool
    /// On the monotonic clock, in nanoseconds; by it the request is known.
    public let start: UInt64
}
