public import NIOCore

/// How a call ends badly: a status of gRPC's numbers, and words for the person who asked.
public struct GRPCFailure: Error, Sendable, Hashable {
    public var status: Int
    public var message: String

    public init(status: Int, message: String) {
        self.status = status
        self.message = message
    }
}

extension GRPCMethod {
    /// One message in, one out, by a task of its own: for the control plane, where an answer waits for a store.
    ///
    /// The task is cancelled when the client gives up or its deadline passes.
    /// - Parameter answer: is given the message and the number of the client's connection.
    public static func unary(
        _ answer: @escaping @Sendable (ByteBuffer, _ connection: Int) async throws(GRPCFailure) -> ByteBuffer
    ) -> GRPCMethod {
        GRPCMethod(.unary) { call, message in
            GRPCExchange(call).run(message) { exchange throws(GRPCFailure) in
                guard let message = await exchange.next() else { return }
                try await exchange.send(try await answer(message, call.connection))
            }
        }
    }

    /// Messages both ways, by a task of its own, which ends the call by returning or throwing.
    /// - Parameter kind: `serverStreaming` or `bidirectional`.
    public static func streaming(
        _ kind: Kind, _ answer: @escaping @Sendable (GRPCExchange) async throws(GRPCFailure) -> Void
    ) -> GRPCMethod {
        GRPCMethod(
            kind,
            inputEnded: { call in
                let exchange = call.state as? GRPCExchange ?? GRPCExchange(call)
                if call.state == nil { exchange.run(nil, answer) }
                exchange.endInput()
            }
        ) { call, message in
            if let exchange = call.state as? GRPCExchange { return exchange.receive(message) }
            let exchange = GRPCExchange(call)
            exchange.run(message, answer)
            if kind != .bidirectional { exchange.endInput() }
        }
    }
}

/// The messages of one call, for a task. One message is held at a time, and none is asked for before the last has been
/// taken; answers wait until the client takes them. One task at a time may wait for a message, and one to send.
///
/// `@unchecked Sendable`: everything that changes is touched on the call's event loop only.
public final class GRPCExchange: @unchecked Sendable {
    private let call: GRPCCall
    private let eventLoop: any EventLoop
    private var held: ByteBuffer?
    private var inputEnded = false
    private var hasEnded = false
    private var receiver: EventLoopPromise<ByteBuffer?>?
    private var sender: EventLoopPromise<Bool>?

    fileprivate init(_ call: GRPCCall) {
        self.call = call
        eventLoop = call.eventLoop
    }

    /// The next message; `nil` after the last, and once the client has given up.
    public func next() async -> ByteBuffer? {
        let taken = eventLoop.flatSubmit { [self] () -> EventLoopFuture<ByteBuffer?> in
            if let message = held {
                held = nil
                return eventLoop.makeSucceededFuture(message)
            }
            if inputEnded || hasEnded { return eventLoop.makeSucceededFuture(nil) }
            let promise = eventLoop.makePromise(of: ByteBuffer?.self)
            receiver = promise
            call.next()
            return promise.futureResult
        }
        return try? await taken.get()
    }

    /// Sends a message; returns when the next one may be sent.
    /// - Throws: status 1 if nobody waits for it any more.
    public func send(_ message: ByteBuffer) async throws(GRPCFailure) {
        let sent = eventLoop.flatSubmit { [self] () -> EventLoopFuture<Bool> in
            if hasEnded { return eventLoop.makeSucceededFuture(false) }
            call.send(message)
            call.flush()
            if call.isWritable { return eventLoop.makeSucceededFuture(true) }
            let promise = eventLoop.makePromise(of: Bool.self)
            sender = promise
            return promise.futureResult
        }
        guard (try? await sent.get()) == true else {
            throw GRPCFailure(status: 1, message: "the client has given up")
        }
    }

    // MARK: On the event loop

    fileprivate func run(
        _ first: ByteBuffer?, _ answer: @escaping @Sendable (GRPCExchange) async throws(GRPCFailure) -> Void
    ) {
        held = first
        call.state = self
        call.onWritable = { [unowned self] in resumeSender(true) }
        let task = Task { [self] in
            do throws(GRPCFailure) {
                try await answer(self)
                finish(nil)
            } catch { finish(error) }
        }
        call.onEarlyEnd = { [self] _ in
            end()
            task.cancel()
        }
    }

    fileprivate func receive(_ message: ByteBuffer) {
        guard let receiver else {
            held = message
            return
        }
        self.receiver = nil
        receiver.succeed(message)
    }

    fileprivate func endInput() {
        inputEnded = true
        if let receiver {
            self.receiver = nil
            receiver.succeed(nil)
        }
    }

    private func resumeSender(_ goesOn: Bool) {
        guard let sender else { return }
        self.sender = nil
        sender.succeed(goesOn)
    }

    private func end() {
        hasEnded = true
        call.onWritable = nil
        call.state = nil
        endInput()
        resumeSender(false)
    }

    private func finish(_ failure: GRPCFailure?) {
        eventLoop.execute { [self] in
            guard !hasEnded else { return }
            call.onEarlyEnd = nil
            end()
            if let failure {
                call.finish(status: failure.status, message: failure.message)
            } else {
                call.finish()
            }
        }
    }
}
