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

        public init() {}
    }

    public final let eventLoop: any EventLoop
    final let timing: Options
    /// Answers of the present read batch.
    public final var out = ByteBuffer()
    public private(set) final var isDraining = false
    /// The present second, and as it stands in the head of every answer.
    public private(set) final var second = Int(SystemClock().now().milliseconds / 1000)
    public private(set) final var date = HTTPDate(seconds: SystemClock().now().milliseconds / 1000)
    private final var connections: [ObjectIdentifier: HTTPConnection] = [:]

    public init(eventLoop: any EventLoop, options: Options) {
        self.eventLoop = eventLoop
        timing = options
    }

    final func add(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = connection }
    final func remove(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = nil }

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
