public import AerieCore
public import NIOCore
import NIOHPACK

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
    let meet: (@Sendable (GRPCCall, _ beginning: ByteBuffer, _ length: Int) -> Void)?
    let inputEnded: (@Sendable (GRPCCall) -> Void)?

    /// - Parameters:
    ///   - meet: called once a call, if its first message does not come at once, with what has come of it and the bytes
    ///     that it will have; it may finish the call, and the rest is then dropped. Not for messages that are packed.
    ///   - inputEnded: called once all messages of a bidirectional call are answered and the client sends no more; it
    ///     ends by calling `finish`, at once or later. Without it the call then ends well by itself.
    ///   - answer: called on the connection's event loop with one message; must not block. It ends by calling one of
    ///     the call's `finish` (unary) or `next` (streams), at once or later on the same loop.
    public init(
        _ kind: Kind, meet: (@Sendable (GRPCCall, _ beginning: ByteBuffer, _ length: Int) -> Void)? = nil,
        inputEnded: (@Sendable (GRPCCall) -> Void)? = nil, _ answer: @escaping @Sendable (GRPCCall, ByteBuffer) -> Void
    ) {
        self.kind = kind
        self.meet = meet
        self.answer = answer
        self.inputEnded = inputEnded
    }
}

/// One call in progress. Its methods are called on its event loop only, hence `@unchecked Sendable`.
public final class GRPCCall: @unchecked Sendable {
    private let headers: HPACKHeaders
    public let eventLoop: any EventLoop
    /// The client's connection: numbers grow in the order in which connections came, and none is used twice.
    public let connection: Int
    private weak var stream: GRPCStream?
    /// Ends with the call: when its client has given up, or its deadline has passed.
    public let interest = Interest()
    /// The instant by which its client wants the answer, on the monotonic clock in nanoseconds; 0 for none.
    public internal(set) var deadline: UInt64 = 0
    /// Called if the call ends before its work: with the status, 1 (cancelled) or 4 (deadline exceeded).
    public var onEarlyEnd: ((Int) -> Void)?
    /// Called when answers can be sent again, after `isWritable` was false.
    public var onWritable: (() -> Void)?
    /// What a method that takes several messages keeps between them.
    public var state: AnyObject?

    init(eventLoop: any EventLoop, connection: Int, stream: GRPCStream, headers: HPACKHeaders) {
        self.headers = headers
        self.eventLoop = eventLoop
        self.connection = connection
        self.stream = stream
    }

    func endEarly(status: Int) {
        interest.end()
        let told = onEarlyEnd
        onEarlyEnd = nil
        told?(status)
    }

    /// A value of the call's metadata; the name is in lower case.
    public func header(_ name: String) -> String? { headers.first(name: name) }

    /// Adds metadata that the client gets with the first answer, or with a failure before it; none after those.
    public func tell(_ name: String, _ value: String) { stream?.tell(name, value) }

    /// False while the client does not take the answers that were sent.
    public var isWritable: Bool { stream?.isWritable ?? false }

    /// Sends a message, which leaves at the next `next`, `flush` or `finish`.
    public func send(_ message: ByteBuffer) { stream?.send(message) }
    public func flush() { stream?.flush() }
    /// The message is answered; the next may come.
    public func next() { stream?.next() }

    /// Ends the call well.
    public func finish() { stream?.finish(status: 0, message: "") }

    /// Sends the message and ends the call well.
    public func finish(_ message: ByteBuffer) {
        stream?.send(message)
        stream?.finish(status: 0, message: "")
    }

    /// Ends the call with a status of gRPC's numbers.
    public func finish(status: Int, message: String) { stream?.finish(status: status, message: message) }
}
