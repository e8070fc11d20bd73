import AerieCore
public import NIOCore

/// What the connections of one server share on one event loop: the buffer that answers are written into, the present
/// second, and who is connected. A protocol adds its own by a subclass.
///
/// `@unchecked Sendable`: made on one thread, from then on touched on its event loop only.
open class HTTPLoop: @unchecked Sendable {
    public struct Options: Sendable {
        public var limits = HTTPRequestParser.Limits()
        /// Seconds that a request may take to arrive (without any progress, for its body).
        public var requestTimeoutSeconds = 30
        /// Seconds that a connection may stay open without a request.
        public var idleTimeoutSeconds = 120
        /// Connections that may be open at once on all loops together; more are answered 503 and closed.
        public var maximumConnections = 10_000

        public init() {}
    }

    public final let eventLoop: any EventLoop
    final let timing: Options
    private final let connectionShare: Int
    /// Answers of the present read batch.
    public final var out = ByteBuffer()
    public private(set) final var isDraining = false
    /// The present second, and as it stands in the head of every answer.
    public private(set) final var second = Int(SystemClock().now().milliseconds / 1000)
    public private(set) final var date = HTTPDate(seconds: SystemClock().now().milliseconds / 1000)
    private final var connections: [ObjectIdentifier: HTTPConnection] = [:]

    /// - Parameter loopCount: how many loops share the connections that may be open.
    public init(eventLoop: any EventLoop, options: Options, loopCount: Int = 1) {
        self.eventLoop = eventLoop
        connectionShare = max(1, options.maximumConnections / max(1, loopCount))
        timing = options
    }

    final func add(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = connection }
    final func remove(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// Whether this loop has more than its share of the connections that may be open.
    final var isFull: Bool { connections.count > connectionShare }

    /// How many clients are connected.
    public final var connectionCount: Int { connections.count }

    /// Closes what is idle or too slow. To be called once a second.
    open func sweep() {
        second = Int(SystemClock().now().milliseconds / 1000)
        date.update(seconds: Int64(second))
        let now = NIODeadline.now()
        for connection in connections.values { connection.checkTime(now) }
    }

    /// From now on each connection closes after the answer it is at; idle ones close at once.
    public final func drain() {
        isDraining = true
        for connection in connections.values { connection.drain() }
    }

    public final func closeAll() {
        for connection in connections.values { connection.closeNow() }
    }
}
