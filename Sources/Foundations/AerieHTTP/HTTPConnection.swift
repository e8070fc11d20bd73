public import AerieCore
public import NIOCore

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
        if loop.isFull {
            clearOut()
            let problem = "\(loop.timing.maximumConnections) connections are open; try again shortly"
            refuse(HTTPFailure(status: 503, message: problem))
            flush(context)
        }
        context.fireChannelActive()
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
        process()
    }

    public final func read(context: ChannelHandlerContext) {
        // A client that waits for its answer sends nothing: to pause for it were two calls into the kernel for naught.
        let isBehind = isBusy && pending.readableBytes > 0
        if isBehind || !context.channel.isWritable { holdsRead = true } else { context.read() }
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
        guard holdsRead, !isBusy, let context, context.channel.isWritable else { return }
        holdsRead = false
        context.read()
    }

    // MARK: Requests

    /// Answers every whole request that is there, and writes the answers with one call.
    private final func process() {
        guard let context, !isBusy, !isClosing, context.channel.isWritable else { return }
        clearOut()
        var hasMore = false
        loop: while !isBusy, !isClosing {
            // Answers may be much longer than their requests: they are handed out before they pile up.
            if loop.out.readableBytes > Self.batchBytes {
                hasMore = true
                break
            }
            switch parser.next(&pending) {
            case .needMore: break loop
            case .sendContinue: loop.out.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            case .request(let head, let body, let consumed):
                requestBegan = nil
                let request = pending
                let exchange = HTTPExchange(head: head, keepsAlive: head.keepsAlive && !loop.isDraining)
                let start = loop.out.writerIndex
                request.withUnsafeReadableBytes { answer(exchange, $0, body) }
                if !isBusy { finish(exchange, from: start) }
                pending.moveReaderIndex(forwardBy: consumed)
                if !exchange.keepsAlive, !isBusy { isClosing = true }
            case .failure(let failure): refuse(failure)
            }
        }
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        requestBegan = pending.readableBytes == 0 && !parser.isInsideBody ? nil : requestBegan ?? lastRead
        flush(context)
        // Where the socket does not take it all at once, its becoming writable goes on.
        if hasMore, context.channel.isWritable { context.eventLoop.execute { self.process() } }
    }

    private static let batchBytes = 1 << 20

    private final func refuse(_ failure: HTTPFailure) {
        answer(failure, HTTPExchange(head: HTTPHead(), keepsAlive: false))
        isClosing = true
    }

    private final func clearOut() {
        if loop.out.capacity > 1 << 20 { loop.out = ByteBuffer() }
        loop.out.clear(minimumCapacity: 4096)
    }

    private final func flush(_ context: ChannelHandlerContext) {
        if loop.out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(loop.out), promise: nil) }
        // What follows a refused request is read and dropped until the client closes or the sweep does.
        guard isClosing else { return }
        let ended = context.eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { [self] _ in outputEnded = outputEnded ?? .now() }
        context.close(mode: .output, promise: ended)
    }

    /// Ends an exchange whose answer was made elsewhere; nothing happens if the client has gone.
    public final func complete(_ exchange: HTTPExchange, _ write: () -> Void) {
        isBusy = false
        guard let context else { return }
        // Nothing was read meanwhile: the client is not to blame for that time.
        lastRead = .now()
        requestBegan = nil
        clearOut()
        write()
        // What was written may have been the beginning of more work.
        if !isBusy {
            finish(exchange, from: loop.out.readerIndex)
            if !exchange.keepsAlive || loop.isDraining { isClosing = true }
        }
        flush(context)
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
            guard context.channel.isWritable || now - began > limit * 10 else { return }
            let isLate = parser.isInsideBody ? now - lastRead > limit || now - began > limit * 10 : now - began > limit
            guard isLate else { return }
            if !context.channel.isWritable { return context.close(promise: nil) }
            clearOut()
            let seconds = options.requestTimeoutSeconds
            refuse(HTTPFailure(status: 408, message: "the request did not arrive in \(seconds) s"))
            flush(context)
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
    public let start = monotonicNanoseconds()
}
