import AerieCore
import Features
import NIOCore

/// Reads rows of a cluster over one link to each master that belongs to one event loop.
///
/// Where a row is, is known from the slots that the client has learnt last. Whatever a link cannot answer, as a slot
/// moves, a master is gone or nothing has been learnt yet, the client answers, which follows and tries again; the slots
/// are taken from it anew then. `@unchecked Sendable`: touched on its event loop only.
final class RedisClusterReader: OnlineReader, @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let client: RedisClient
    private let timeout: TimeAmount
    private var links: [RedisAddress: RedisReadLink] = [:]
    /// By slot; empty until they have been learnt.
    private var slots: [RedisReadLink?] = []
    private var isLearning = false
    private var commands = CommandCache()
    /// Reads that are over, to be used again.
    private var spare: [RedisClusterRead] = []
    private var name: [UInt8] = []

    init(on eventLoop: any EventLoop, client: RedisClient, timeout: TimeAmount) {
        self.eventLoop = eventLoop
        self.client = client
        self.timeout = timeout
    }

    func read(_ lookups: OnlineLookups) {
        guard let layout = lookups.layout, !lookups.rows.isEmpty else { return lookups.finished(nil) }
        let commands = commands.find(layout)
        let read = spare.popLast() ?? RedisClusterRead(self)
        read.begin(lookups)
        guard locate(read, commands) else { return readGenerally(read) }
        for piece in 0..<read.count {
            let link = read.pieces[piece].link
            for row in read.pieces[piece].rows {
                lookups.withKey(row) { link.write(commands[lookups.rows[row].part], $0) }
            }
        }
        read.open = read.count
        for piece in 0..<read.count { read.pieces[piece].link.expect(read.pieces[piece].rows.count, for: read) }
    }

    /// Deals the rows to the links that have them.
    /// - Returns: false if one of them has no link now.
    private func locate(_ read: RedisClusterRead, _ commands: [ReadCommand]) -> Bool {
        guard !slots.isEmpty, let lookups = read.lookups else { return false }
        for row in lookups.rows.indices {
            name.removeAll(keepingCapacity: true)
            lookups.withKey(row) { name.append(contentsOf: $0) }
            name.append(contentsOf: commands[lookups.rows[row].part].project)
            guard let link = slots[Int(RedisClient.slot(name))], link.problem == nil else { return false }
            read.add(row, link)
        }
        return true
    }

    /// A read is over: its places are not looked at any more.
    fileprivate func end(_ read: RedisClusterRead, _ failure: AerieError?) {
        read.lookups?.finished(failure)
        read.lookups = nil
        if spare.count < Self.spareLimit { spare.append(read) }
    }

    private static let spareLimit = 256

    // MARK: By way of the client

    fileprivate func readGenerally(_ read: RedisClusterRead) {
        guard let lookups = read.lookups, let layout = lookups.layout else { return }
        let parts = commands.find(layout)
        var asked: [(key: [UInt8], command: RedisCommand)] = []
        asked.reserveCapacity(lookups.rows.count)
        for row in lookups.rows.indices {
            let part = parts[lookups.rows[row].part]
            lookups.withKey(row) { asked.append((Array($0) + part.project, RedisCommand(part, $0))) }
        }
        let (commands, client) = (asked, client)
        let learns = !isLearning
        isLearning = true
        Task {
            let result: Result<[RESPValue], AerieError>
            do throws(AerieError) { result = .success(try await client.send(commands)) } catch {
                result = .failure(error)
            }
            let slots = learns ? try? await client.slots() : nil
            eventLoop.execute {
                if learns { self.isLearning = false }
                if let slots { self.use(slots) }
                self.end(read, read.take(result))
            }
        }
    }

    private func use(_ masters: [RedisAddress?]) {
        var known: [RedisAddress: RedisReadLink] = [:]
        slots = masters.map { address in
            guard let address else { return nil }
            if let link = known[address] { return link }
            let link = links[address] ?? RedisReadLink(on: eventLoop, address: address, timeout: timeout)
            known[address] = link
            return link
        }
        let gone = links.values.filter { known[$0.address] == nil }
        links = known
        for link in gone { link.close() }
    }
}

/// One answer's rows, from the nodes that have them. Used again for the next; touched on its event loop only.
final class RedisClusterRead: RedisReplyTaker, @unchecked Sendable {
    struct Piece {
        var link: RedisReadLink
        var rows: [Int] = []
        /// The replies, where others are still to come.
        var kept = ByteBuffer()
    }

    private unowned let reader: RedisClusterReader
    fileprivate(set) var lookups: OnlineLookups?
    /// The first `count` are this read's.
    fileprivate(set) var pieces: [Piece] = []
    fileprivate(set) var count = 0
    /// Pieces that are still to come.
    fileprivate var open = 0
    private var isWhole = true
    /// Of the general way: values as they came.
    private var kept = ByteBuffer()

    init(_ reader: RedisClusterReader) { self.reader = reader }

    fileprivate func begin(_ lookups: OnlineLookups) {
        self.lookups = lookups
        (count, open, isWhole) = (0, 0, true)
    }

    fileprivate func add(_ row: Int, _ link: RedisReadLink) {
        var place = 0
        while place < count, pieces[place].link !== link { place += 1 }
        if place == count {
            if count == pieces.count { pieces.append(Piece(link: link)) }
            pieces[count].link = link
            pieces[count].rows.removeAll(keepingCapacity: true)
            count += 1
        }
        pieces[place].rows.append(row)
    }

    func take(_ replies: UnsafeRawBufferPointer, from link: RedisReadLink) {
        guard let piece = pieces[..<count].firstIndex(where: { $0.link === link }) else { return }
        if open == 1 { return close(place(replies, pieces[piece].rows)) }
        // The link's bytes are gone when the last piece comes.
        pieces[piece].kept.clear()
        pieces[piece].kept.writeBytes(replies)
        close(pieces[piece].kept.withUnsafeReadableBytes { place($0, pieces[piece].rows) })
    }

    func fail(_ error: AerieError, from link: RedisReadLink) { close(false) }

    private func close(_ isPlaced: Bool) {
        open -= 1
        if !isPlaced { isWhole = false }
        guard open == 0 else { return }
        if isWhole { reader.end(self, nil) } else { reader.readGenerally(self) }
    }

    /// - Returns: false if a reply is no row.
    private func place(_ bytes: UnsafeRawBufferPointer, _ rows: [Int]) -> Bool {
        guard let lookups else { return false }
        var replies = RedisReplies(bytes)
        do throws(AerieError) {
            for row in rows { try lookups.take(row, from: &replies) }
            return true
        } catch { return false }
    }

    /// Takes what the client has read, a reply for each row.
    /// - Returns: why the rows are not there.
    fileprivate func take(_ result: Result<[RESPValue], AerieError>) -> AerieError? {
        guard let lookups else { return nil }
        do throws(AerieError) {
            let replies = try result.get()
            kept.clear()
            for reply in replies { reply.write(into: &kept) }
            let failure = kept.withUnsafeReadableBytes { bytes -> AerieError? in
                var replies = RedisReplies(bytes)
                do throws(AerieError) {
                    for row in lookups.rows.indices { try lookups.take(row, from: &replies) }
                    return nil
                } catch { return error }
            }
            return failure
        } catch { return error }
    }
}
