import AerieCore
import DequeModule
import NIOCore
import NIOPosix

/// Asks for rows over links, and takes the replies.
protocol RedisReplyTaker: AnyObject {
    /// The replies to all that was asked for over a link, in the order of the commands; valid for the call.
    func take(_ replies: UnsafeRawBufferPointer, from link: RedisReadLink)
    /// They will not come.
    func fail(_ error: AerieError, from link: RedisReadLink)
}

/// Is told by a link of what has changed on the server since it was read over the link, by whomever.
protocol RedisKeyObserver: AnyObject {
    /// This key has; valid for the call. May be told again.
    func changed(_ key: UnsafeRawBufferPointer)
    /// Any key may have: the server is emptied, or the link is broken and it is told of nothing any more.
    func changedAll()
}

/// One pipelined connection of one event loop to one server, for reads: commands of all requests of a turn of the loop
/// go out together, or sooner where the server would have nothing to do meanwhile; replies are handed over where they
/// lie in the received bytes.
///
/// While the server cannot be reached every read fails at once, and the connection is tried again five times a second.
/// For an observer the server is asked to tell which of the keys that were read have changed (`CLIENT TRACKING`,
/// redis.io, "Client-side caching reference"); what it says stands in order between the replies. A server that has
/// nothing to answer is asked whether it is there, twice a second: one that hangs tells no changes either. `@unchecked
/// Sendable`: touched on its event loop only.
final class RedisReadLink: @unchecked Sendable {
    private enum State {
        case idle, connecting, away, closed
        case open(any Channel)
    }

    fileprivate struct Waiting {
        let taker: any RedisReplyTaker
        let replies: Int
        let deadline: NIODeadline
    }

    let address: RedisAddress
    private let eventLoop: any EventLoop
    private let timeout: TimeAmount
    private var state = State.idle
    private var words = ""
    private var outgoing = ByteBuffer()
    private var isFlushing = false
    private var isWatching = false
    /// Set before the first read.
    weak var observer: (any RedisKeyObserver)?
    /// Whether the observer is told of changes: of every key that is read from now on.
    private(set) var isTracking = false
    private var listening: RepeatedTask?
    fileprivate var waiting = Deque<Waiting>()

    /// Reads that may be under way at once.
    private static let limit = 100_000
    /// Bytes of commands that do not wait for more: as many as cost the server more than a call into the kernel.
    private static let flushBytes = 2000
    private static let beat = TimeAmount.milliseconds(500)

    init(on eventLoop: any EventLoop, address: RedisAddress, timeout: TimeAmount) {
        self.eventLoop = eventLoop
        self.address = address
        self.timeout = timeout
    }

    /// Why nothing can be asked for now.
    var problem: AerieError? {
        switch state {
        case .away, .closed: return address.unreachable(words, cause: nil)
        case .idle, .connecting, .open: break
        }
        guard waiting.count < Self.limit else {
            return AerieError(.resourceExhausted, "too many reads wait for Redis at \(address)")
        }
        return nil
    }

    /// Puts a command among those that go out next; `expect` says who takes the replies. Only while there is no
    /// `problem`.
    func write(_ command: ReadCommand, _ key: UnsafeRawBufferPointer) { command.write(key, into: &outgoing) }

    /// The replies to the last commands that were written are for this taker.
    func expect(_ replies: Int, for taker: any RedisReplyTaker) {
        waiting.append(Waiting(taker: taker, replies: replies, deadline: .now() + timeout))
        watch()
        if case .idle = state { return connect() }
        // The server works on these while the loop reads the requests that are next.
        if waiting.count == 1 || outgoing.readableBytes >= Self.flushBytes { return flush() }
        guard !isFlushing else { return }
        isFlushing = true
        eventLoop.execute {
            self.isFlushing = false
            self.flush()
        }
    }

    /// Whoever waits is told, and no connection is made again.
    func close() {
        fail("the cluster has no such master any more")
        state = .closed
    }

    private func flush() {
        guard case .open(let channel) = state, outgoing.readableBytes > 0 else { return }
        channel.writeAndFlush(outgoing, promise: nil)
        if outgoing.capacity > 1 << 20 { outgoing = ByteBuffer() }
        outgoing.clear(minimumCapacity: 4096)
    }

    // MARK: The connection

    private func connect() {
        state = .connecting
        RedisConnection.bootstrap(on: eventLoop, address) { RedisReplyHandler(link: self) }.whenComplete { result in
            switch result {
            case .success(let channel): self.begin(channel)
            case .failure(let error): self.fail("\(error)")
            }
        }
    }

    private func begin(_ channel: any Channel) {
        switch state {
        case .connecting, .away: state = .open(channel)
        case .idle, .open, .closed: return channel.close(promise: nil)
        }
        var greeting = channel.allocator.buffer(capacity: 128)
        for command in RedisConnection.greeting(address) { command.write(into: &greeting) }
        if observer != nil { for command in Self.tracking { command.write(into: &greeting) } }
        if greeting.readableBytes > 0 { channel.writeAndFlush(greeting, promise: nil) }
        flush()
    }

    /// Asks for changes. A server that is older than Redis 6, or a user that may not, refuses; reads go on.
    fileprivate static let tracking = [RedisCommand("HELLO", "3"), RedisCommand("CLIENT", "TRACKING", "ON")]

    fileprivate func beginTracking() {
        isTracking = true
        listening = eventLoop.scheduleRepeatedTask(initialDelay: Self.beat, delay: Self.beat) { _ in self.listen() }
    }

    /// Asks whether the server is there; if not, the time limit of reads ends the connection.
    private func listen() {
        guard waiting.isEmpty, case .open = state else { return }
        RedisCommand("PING").write(into: &outgoing)
        expect(1, for: RedisPing())
    }

    private func endTracking() {
        isTracking = false
        listening?.cancel()
        listening = nil
        observer?.changedAll()
    }

    /// Everybody who waits is told, and the connection is made anew by and by.
    fileprivate func fail(_ words: String) {
        switch state {
        case .away, .closed: return
        case .open(let channel): channel.close(promise: nil)
        case .idle, .connecting: break
        }
        state = .away
        self.words = words
        outgoing.clear()
        endTracking()
        let told = waiting
        waiting.removeAll()
        for one in told { one.taker.fail(address.unreachable(words, cause: nil), from: self) }
        eventLoop.scheduleTask(in: .milliseconds(200)) { self.retry() }
    }

    private func retry() {
        guard case .away = state else { return }
        // Until it succeeds, reads go on to fail at once.
        RedisConnection.bootstrap(on: eventLoop, address) { RedisReplyHandler(link: self) }.whenComplete { result in
            switch result {
            case .success(let channel): self.begin(channel)
            case .failure: self.eventLoop.scheduleTask(in: .milliseconds(200)) { self.retry() }
            }
        }
    }

    /// Looks for reads that wait too long, as long as any wait.
    private func watch() {
        guard !isWatching else { return }
        isWatching = true
        eventLoop.scheduleTask(in: .milliseconds(50)) { self.check() }
    }

    private func check() {
        isWatching = false
        guard let first = waiting.first else { return }
        if first.deadline < .now() { return fail("it did not answer within \(timeout.nanoseconds / 1_000_000) ms") }
        watch()
    }
}

/// The reply to a question that nobody asked for.
private final class RedisPing: RedisReplyTaker {
    func take(_ replies: UnsafeRawBufferPointer, from link: RedisReadLink) {}
    func fail(_ error: AerieError, from link: RedisReadLink) {}
}

/// Cuts what the server sends into the replies of each read, and tells of changes. Confined to its event loop.
private final class RedisReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: RedisReadLink
    private var received = ByteBuffer()
    /// Replies to the greeting that are still to come: first those without which nothing can be read.
    private var greetings: Int
    private let extras: Int
    private var isTracked = true
    /// Of the first read that waits: whole replies seen, and the bytes of these and of the messages between them.
    private var seen = 0
    private var scanned = 0
    /// Where messages are that came between these replies.
    private var messages: [Int] = []

    init(link: RedisReadLink) {
        self.link = link
        extras = link.observer == nil ? 0 : RedisReadLink.tracking.count
        greetings = RedisConnection.greeting(link.address).count + extras
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = piece } else { received.writeBuffer(&piece) }
        do {
            while greetings > 0, try greet() {}
            while greetings == 0, try scan(link.waiting.first?.replies ?? 0) { take() }
            if link.waiting.isEmpty { pass() }
            if received.readableBytes == 0 { received = ByteBuffer() } else { received.discardReadBytes() }
        } catch let error as AerieError { link.fail(error.message) } catch {
            link.fail("what it sends is not Redis's protocol")
        }
    }

    /// Hands the first read its replies.
    private func take() {
        let first = link.waiting.removeFirst()
        received.withUnsafeReadableBytes { bytes in
            first.taker.take(UnsafeRawBufferPointer(rebasing: bytes[..<scanned]), from: link)
            // What came before such a message was not kept when it was told.
            for place in messages {
                var replies = RedisReplies(bytes, at: place)
                _ = try? replies.message(tell)
            }
        }
        messages.removeAll(keepingCapacity: true)
        pass()
    }

    /// Is done with the bytes that were looked at.
    private func pass() {
        received.moveReaderIndex(forwardBy: scanned)
        (seen, scanned) = (0, 0)
    }

    private func tell(_ key: UnsafeRawBufferPointer?) {
        if let key { link.observer?.changed(key) } else { link.observer?.changedAll() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        link.fail("the connection was closed")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { link.fail("\(error)") }

    private func greet() throws -> Bool {
        let (isWhole, end, isError) = try received.withUnsafeReadableBytes { bytes in
            var replies = RedisReplies(bytes)
            return (try replies.skip(), replies.at, bytes.first == UInt8(ascii: "-"))
        }
        guard isWhole else { return false }
        if isError, greetings > extras {
            let words = received.getString(at: received.readerIndex, length: end) ?? ""
            throw AerieError(.unavailable, "it refuses the connection: \(words)")
        }
        if isError { isTracked = false }
        received.moveReaderIndex(forwardBy: end)
        greetings -= 1
        if greetings == 0, extras > 0, isTracked { link.beginTracking() }
        return true
    }

    /// True once so many replies are there, and never for none: then there are only messages to tell.
    private func scan(_ wanted: Int) throws -> Bool {
        try received.withUnsafeReadableBytes { bytes in
            var replies = RedisReplies(bytes, at: scanned)
            defer { scanned = replies.at }
            while wanted == 0 || seen < wanted {
                if replies.isAtMessage {
                    let place = replies.at
                    guard try replies.message(tell) else { return false }
                    if seen > 0 { messages.append(place) }
                } else {
                    guard wanted > 0, try replies.skip() else { return false }
                    seen += 1
                }
            }
            return true
        }
    }
}
