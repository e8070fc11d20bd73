import AerieCore
import NIOCore

/// One client's connection: cuts its bytes into requests, answers them in their order, and closes when it must.
///
/// One answer at a time: while a slow model works for this connection, later requests wait in the buffer and reading
/// pauses. `@unchecked Sendable`: touched on its event loop only.
final class HTTPConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let state: LoopState
    private var parser: HTTPRequestParser
    private var pending = ByteBuffer()
    private var context: ChannelHandlerContext?
    /// An answer is being made on the pool.
    var isBusy = false
    private var isClosing = false
    private var holdsRead = false
    private var lastRead = NIODeadline.now()
    private var requestBegan: NIODeadline?
    /// When the last answer of a closing connection was handed to the socket whole.
    private var outputEnded: NIODeadline?
    /// Ends with the connection, so that nothing is computed for a client that has gone.
    let interest = Interest()

    init(state: LoopState) {
        self.state = state
        parser = HTTPRequestParser(
            limits: .init(headBytes: state.options.maximumHeadBytes, bodyBytes: state.options.maximumBodyBytes))
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        state.add(self)
        if state.isDraining { closeNow() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        state.remove(self)
        interest.end()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
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

    func read(context: ChannelHandlerContext) {
        if isBusy || !context.channel.isWritable { holdsRead = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            process()
            releaseRead()
        }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func releaseRead() {
        guard holdsRead, !isBusy, let context, context.channel.isWritable else { return }
        holdsRead = false
        context.read()
    }

    // MARK: Requests

    /// Answers every whole request that is there, and writes the answers with one call.
    private func process() {
        guard let context, !isBusy, !isClosing, context.channel.isWritable else { return }
        clearOut()
        var hasMore = false
        loop: while !isBusy, !isClosing {
            // Answers may be much longer than their requests: they are handed out before they pile up.
            if state.out.readableBytes > Self.batchBytes {
                hasMore = true
                break
            }
            switch parser.next(&pending) {
            case .needMore: break loop
            case .sendContinue: state.out.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            case .request(let head, let body, let consumed):
                requestBegan = nil
                let request = pending
                let exchange = HTTPExchange(head: head, keepsAlive: head.keepsAlive && !state.isDraining)
                request.withUnsafeReadableBytes { answer(exchange, $0, body) }
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

    private func refuse(_ failure: HTTPFailure) {
        writeError(failure.status, failure.message, HTTPExchange(head: HTTPHead(), keepsAlive: false))
        isClosing = true
    }

    private func clearOut() {
        if state.out.capacity > 1 << 20 { state.out = ByteBuffer() }
        state.out.clear(minimumCapacity: 4096)
    }

    private func flush(_ context: ChannelHandlerContext) {
        if state.out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(state.out), promise: nil) }
        // What follows a refused request is read and dropped until the client closes or the sweep does.
        guard isClosing else { return }
        let ended = context.eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { [self] _ in outputEnded = outputEnded ?? .now() }
        context.close(mode: .output, promise: ended)
    }

    /// Ends an exchange whose answer was made on the pool.
    func complete(_ exchange: HTTPExchange, _ write: () -> Void) {
        isBusy = false
        guard let context else { return }
        // Nothing was read meanwhile: the client is not to blame for that time.
        lastRead = .now()
        requestBegan = nil
        clearOut()
        write()
        if !exchange.keepsAlive || state.isDraining { isClosing = true }
        flush(context)
        process()
        releaseRead()
    }

    // MARK: Time

    func checkTime(_ now: NIODeadline) {
        guard let context, !isBusy else { return }
        let options = state.options
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

    func drain() {
        guard let context, !isBusy, !isClosing, requestBegan == nil else { return }
        // Answers that a slow client has not taken yet still go out.
        isClosing = true
        let ended = context.eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { [self] _ in closeNow() }
        context.close(mode: .output, promise: ended)
    }

    func closeNow() { context?.close(promise: nil) }
}

/// What is kept of a request while it is answered.
struct HTTPExchange: Sendable {
    var head: HTTPHead
    var keepsAlive: Bool
    let start = monotonicNanoseconds()
}
