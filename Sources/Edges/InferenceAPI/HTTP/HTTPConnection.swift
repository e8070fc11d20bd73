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
        loop: while !isBusy, !isClosing {
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
    }

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
        if isClosing { context.close(mode: .output, promise: nil) }
    }

    /// Ends an exchange whose answer was made on the pool.
    func complete(_ exchange: HTTPExchange, _ write: () -> Void) {
        isBusy = false
        guard let context else { return }
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
            if now - lastRead > .seconds(2) { context.close(promise: nil) }
            return
        }
        if let began = requestBegan {
            let since = parser.isInsideBody ? lastRead : began
            guard now - since > .seconds(Int64(options.requestTimeoutSeconds)) else { return }
            clearOut()
            let limit = options.requestTimeoutSeconds
            refuse(HTTPFailure(status: 408, message: "the request did not arrive in \(limit) s"))
            flush(context)
        } else if now - lastRead > .seconds(Int64(options.idleTimeoutSeconds)) {
            context.close(promise: nil)
        }
    }

    func drain() {
        if !isBusy, requestBegan == nil { closeNow() }
    }

    func closeNow() { context?.close(promise: nil) }
}

/// What is kept of a request while it is answered.
struct HTTPExchange: Sendable {
    var head: HTTPHead
    var keepsAlive: Bool
    let start = monotonicNanoseconds()
}
