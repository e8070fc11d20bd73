import AerieCore
import DequeModule
import Features
import NIOCore
import NIOPosix

/// Reads rows over one pipelined connection that belongs to one event loop: commands of all requests of a turn of the
/// loop go out together, and values are handed over where they lie in the received bytes.
///
/// While the server cannot be reached every read fails at once, and the connection is tried again five times a second.
/// `@unchecked Sendable`: touched on its event loop only.
final class RedisReader: OnlineReader, @unchecked Sendable {
    private enum Link {
        case idle, connecting, away
        case open(any Channel)
    }

    fileprivate struct Waiting {
        let lookups: OnlineLookups
        let rows: Int
        let deadline: NIODeadline
    }

    private let eventLoop: any EventLoop
    private let address: RedisAddress
    private let timeout: TimeAmount
    private var link = Link.idle
    private var problem = ""
    private var outgoing = ByteBuffer()
    private var isFlushing = false
    private var isWatching = false
    fileprivate var waiting = Deque<Waiting>()
    private var commands = CommandCache()

    /// Reads that may be under way at once.
    private static let limit = 100_000

    init(on eventLoop: any EventLoop, address: RedisAddress, timeout: TimeAmount) {
        self.eventLoop = eventLoop
        self.address = address
        self.timeout = timeout
    }

    func read(_ lookups: OnlineLookups) {
        guard let layout = lookups.layout, !lookups.rows.isEmpty else { return lookups.finished(nil) }
        if case .away = link { return lookups.finished(address.unreachable(problem, cause: nil)) }
        guard waiting.count < Self.limit else {
            return lookups.finished(AerieError(.resourceExhausted, "too many reads wait for Redis at \(address)"))
        }
        let parts = commands.find(layout)
        for row in lookups.rows.indices {
            do throws(AerieError) {
                try lookups.withKey(row) { key throws(AerieError) in
                    parts[lookups.rows[row].part].write(key, into: &outgoing)
                }
            } catch { return lookups.finished(error) }
        }
        waiting.append(Waiting(lookups: lookups, rows: lookups.rows.count, deadline: .now() + timeout))
        watch()
        if case .idle = link { return connect() }
        guard !isFlushing else { return }
        isFlushing = true
        eventLoop.execute { self.flush() }
    }

    private func flush() {
        isFlushing = false
        guard case .open(let channel) = link, outgoing.readableBytes > 0 else { return }
        channel.writeAndFlush(outgoing, promise: nil)
        outgoing = channel.allocator.buffer(capacity: min(outgoing.readableBytes, 1 << 16))
    }

    // MARK: The connection

    private func connect() {
        link = .connecting
        RedisConnection.bootstrap(on: eventLoop, address) { RedisReplyHandler(reader: self) }.whenComplete { result in
            switch result {
            case .success(let channel):
                self.begin(channel)
                self.flush()
            case .failure(let error): self.fail("\(error)")
            }
        }
    }

    private func begin(_ channel: any Channel) {
        link = .open(channel)
        var greeting = channel.allocator.buffer(capacity: 128)
        for command in RedisConnection.greeting(address) { command.write(into: &greeting) }
        if greeting.readableBytes > 0 { channel.writeAndFlush(greeting, promise: nil) }
    }

    /// Everybody who waits is told, and the connection is made anew by and by.
    fileprivate func fail(_ words: String) {
        if case .away = link { return }
        if case .open(let channel) = link { channel.close(promise: nil) }
        link = .away
        problem = words
        outgoing.clear()
        let told = waiting
        waiting.removeAll()
        for one in told { one.lookups.finished(address.unreachable(words, cause: nil)) }
        eventLoop.scheduleTask(in: .milliseconds(200)) { self.retry() }
    }

    private func retry() {
        guard case .away = link else { return }
        // Until it succeeds, reads go on to fail at once.
        RedisConnection.bootstrap(on: eventLoop, address) { RedisReplyHandler(reader: self) }.whenComplete { result in
            guard case .away = self.link else { return }
            switch result {
            case .success(let channel): self.begin(channel)
            case .failure:
                self.eventLoop.scheduleTask(in: .milliseconds(200)) { self.retry() }
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

/// Cuts what the server sends into the replies of each read. Confined to its event loop.
private final class RedisReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let reader: RedisReader
    private var received = ByteBuffer()
    /// Replies to the greeting that are still to come.
    private var greetings: Int
    /// Of the first read that waits: whole replies seen, and their bytes.
    private var rows = 0
    private var scanned = 0

    init(reader: RedisReader) {
        self.reader = reader
        greetings = reader.greetingCount
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var piece = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = piece } else { received.writeBuffer(&piece) }
        do {
            while greetings > 0, try greet() {}
            while greetings == 0, let first = reader.waiting.first, try scan(first) {
                reader.waiting.removeFirst()
                let failure = received.withUnsafeReadableBytes { Self.place($0, first.lookups) }
                // Only now: the places are valid until the answer is written.
                first.lookups.finished(failure)
                received.moveReaderIndex(forwardBy: scanned)
                (rows, scanned) = (0, 0)
            }
            if received.readableBytes == 0 { received = ByteBuffer() } else { received.discardReadBytes() }
        } catch let error as AerieError { reader.fail(error.message) } catch {
            reader.fail("what it sends is not Redis's protocol")
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        reader.fail("the connection was closed")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { reader.fail("\(error)") }

    private func greet() throws -> Bool {
        let (isWhole, end, isError) = try received.withUnsafeReadableBytes { bytes in
            var replies = RedisReplies(bytes)
            return (try replies.skip(), replies.at, bytes.first == UInt8(ascii: "-"))
        }
        guard isWhole else { return false }
        if isError {
            let words = received.getString(at: received.readerIndex, length: end) ?? ""
            throw AerieError(.unavailable, "it refuses the connection: \(words)")
        }
        received.moveReaderIndex(forwardBy: end)
        greetings -= 1
        return true
    }

    /// True once all replies of the read are there.
    private func scan(_ first: RedisReader.Waiting) throws -> Bool {
        try received.withUnsafeReadableBytes { bytes in
            var replies = RedisReplies(bytes, at: scanned)
            while rows < first.rows, try replies.skip() { rows += 1 }
            scanned = replies.at
        }
        return rows == first.rows
    }

    private static func place(_ bytes: UnsafeRawBufferPointer, _ lookups: OnlineLookups) -> AerieError? {
        guard let layout = lookups.layout else { return nil }
        var replies = RedisReplies(bytes)
        do throws(AerieError) {
            for row in lookups.rows.indices {
                let fields = layout.parts[lookups.rows[row].part].fields.count
                lookups.found(row, time: 0)
                let time = try replies.row(fields) { field, value throws(AerieError) in
                    lookups.place(row, field, value)
                }
                if let time { lookups.date(row, time) } else { lookups.missed(row) }
            }
            return nil
        } catch { return error }
    }
}

extension RedisReader {
    fileprivate var greetingCount: Int { RedisConnection.greeting(address).count }
}

/// The parts of an HMGET that do not change from entity to entity.
struct ReadCommand {
    /// Up to the length of the key, and from behind the key.
    let head: [UInt8]
    let project: [UInt8]
    let tail: [UInt8]

    init(_ view: OnlineView, fields: [UInt32]) {
        head = Array("*\(fields.count + 3)\r\n$5\r\nHMGET\r\n$".utf8)
        project = Array(view.project.utf8)
        var tail = Array("\r\n".utf8)
        for word in fields.map(RedisOnlineStore.field) + [RedisOnlineStore.timeField(view)] {
            tail += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8)
        }
        self.tail = tail
    }

    func write(_ key: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        out.writeBytes(head)
        var length = key.count + project.count
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var at = 20
            repeat {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(length % 10)
                length /= 10
            } while length > 0
            out.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[at...]))
        }
        out.writeStaticString("\r\n")
        out.writeBytes(key)
        out.writeBytes(project)
        out.writeBytes(tail)
    }
}

/// The commands of the layouts that were used last.
private struct CommandCache {
    private var places: [(layout: OnlineLayout, commands: [ReadCommand])?] = Array(repeating: nil, count: 256)

    mutating func find(_ layout: OnlineLayout) -> [ReadCommand] {
        let place = (UInt(bitPattern: ObjectIdentifier(layout)) >> 5) & 255
        if let known = places[Int(place)], known.layout === layout { return known.commands }
        let commands = layout.parts.map { ReadCommand($0.view, fields: $0.fields) }
        places[Int(place)] = (layout, commands)
        return commands
    }
}
