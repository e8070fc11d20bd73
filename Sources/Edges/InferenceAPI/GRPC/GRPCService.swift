import AerieCore
import ErrorMapping
public import NIOCore

/// A gRPC service: its full name, such as `grpc.health.v1.Health`, and its methods.
public struct GRPCService: Sendable {
    public let name: String
    public let methods: [String: GRPCMethod]

    public init(name: String, methods: [String: GRPCMethod]) {
        self.name = name
        self.methods = methods
    }
}

/// What answers a method's messages.
public struct GRPCMethod: Sendable {
    public enum Kind: Sendable {
        /// One message in, one out.
        case unary
        /// One message in; the call stays open until the client ends it.
        case serverStreaming
        /// Messages in, each answered before the next is looked at.
        case bidirectional
    }

    public let kind: Kind
    let answer: @Sendable (GRPCCall, ByteBuffer) -> Void

    /// - Parameter answer: called on the connection's event loop with one message; must not block. It ends by calling
    ///   one of the call's `finish` (unary) or `next` (streams), at once or later on the same loop.
    public init(_ kind: Kind, _ answer: @escaping @Sendable (GRPCCall, ByteBuffer) -> Void) {
        self.kind = kind
        self.answer = answer
    }
}

/// One call in progress. Its methods are called on its event loop only, hence `@unchecked Sendable`.
public final class GRPCCall: @unchecked Sendable {
    public let eventLoop: any EventLoop
    private weak var stream: GRPCStream?
    /// Ends with the call: when its client has given up, or its deadline has passed.
    let interest = Interest()
    /// Called if the call ends before its work: with the status, 1 (cancelled) or 4 (deadline exceeded).
    var onEarlyEnd: ((Int) -> Void)?

    init(eventLoop: any EventLoop, stream: GRPCStream) {
        self.eventLoop = eventLoop
        self.stream = stream
    }

    func endEarly(status: Int) {
        interest.end()
        let told = onEarlyEnd
        onEarlyEnd = nil
        told?(status)
    }

    /// Sends a message.
    public func send(_ message: ByteBuffer) { stream?.send(message) }
    /// The message is answered; the next may come.
    public func next() { stream?.next() }

    /// Sends the message and ends the call well.
    public func finish(_ message: ByteBuffer) {
        stream?.send(message)
        stream?.finish(status: 0, message: "")
    }

    /// Ends the call with a status of gRPC's numbers.
    public func finish(status: Int, message: String) { stream?.finish(status: status, message: message) }
}

extension GRPCCall {
    func finish(_ error: AerieError) { finish(status: error.code.grpcStatus, message: error.message) }
}
