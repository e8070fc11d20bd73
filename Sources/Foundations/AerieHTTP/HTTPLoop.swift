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
    /// Answers that have not been handed to their sockets, one behind the other. Written at its end only, from
    /// `writerIndex`: those of other connections stand before.
    public final var out = ByteBuffer()
    /// Whose they are, in the order in which they leave.
    private final var held: [(connection: HTTPConnection, answers: Range<Int>)] = []
    /// Who writes answers, and from where on they are not held yet; `nil` between connections.
    private final var writing: (connection: HTTPConnection, start: Int)?
    /// How many of the held ones have left, while they do.
    private final var sentCount = 0
    /// When the first of them was asked for.
    private final var heldSince = NIODeadline.uptimeNanoseconds(0)
    /// Made once, as it is scheduled for each turn.
    private final var sendTask: @Sendable () -> Void = {}
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
        out.reserveCapacity(Self.outBytes)
        sendTask = { [weak self] in self?.sendHeld() }
    }

    // MARK: Answers

    private static let outBytes = 64 << 10
    /// More are handed over at once.
    static let heldBytes = 1 << 20
    private static let heldCount = 32
    private static let heldTime = TimeAmount.microseconds(100)

    /// Takes a connection's answers, which `body` writes into `out`, and keeps them until the clients that are ready
    /// have been read from: they then leave one after the other, which wakes a client's process once for many, and
    /// keeps what reads and computes, and then what sends, in the processor's caches.
    ///
    /// Nothing waits long for others: more than a few answers, or 0.1 ms of them, leave before the turn is over. One
    /// connection may write within another's `body`, as when a store that fails ends the reads of all.
    /// - Parameter time: when the connection was read from.
    final func write(_ connection: HTTPConnection, at time: NIODeadline, _ body: () -> Void) {
        let outer = writing?.connection
        hold(at: time)
        writing = (connection, out.writerIndex)
        body()
        hold(at: time)
        writing = outer.map { ($0, out.writerIndex) }
        let isFull = held.count >= Self.heldCount || out.writerIndex > Self.heldBytes
        if isFull || time - heldSince > Self.heldTime { sendHeld() }
    }

    /// Where the answers that are being written begin: behind those that came in between.
    final var writingStart: Int { writing?.start ?? out.writerIndex }

    /// Keeps what has been written since `writingStart`.
    private final func hold(at time: NIODeadline) {
        guard let (connection, start) = writing, out.writerIndex > start else { return }
        if held.isEmpty {
            heldSince = time
            eventLoop.execute(sendTask)
        }
        held.append((connection, start..<out.writerIndex))
        connection.heldCount += 1
    }

    /// Hands over all answers that are held.
    public final func sendHeld() {
        guard writing == nil else { return }
        // Handing over may make a connection writable, whose answers to further requests are then held behind these.
        while sentCount < held.count {
            let (connection, answers) = held[sentCount]
            sentCount += 1
            connection.send(answers)
        }
        held.removeAll(keepingCapacity: true)
        sentCount = 0
        if out.capacity > Self.heldBytes { out = ByteBuffer() }
        out.clear(minimumCapacity: Self.outBytes)
    }

    // MARK: Connections

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
        sendHeld()
        for connection in connections.values { connection.drain() }
    }

    public final func closeAll() {
        sendHeld()
        for connection in connections.values { connection.closeNow() }
    }
}
