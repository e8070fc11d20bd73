import AerieCore
import Features
import NIOCore

/// Reads rows of one server over one link that belongs to one event loop; values are handed over where they lie in the
/// received bytes.
final class RedisReader: OnlineReader {
    private let link: RedisReadLink
    private var commands = CommandCache()

    init(on eventLoop: any EventLoop, address: RedisAddress, timeout: TimeAmount) {
        link = RedisReadLink(on: eventLoop, address: address, timeout: timeout)
    }

    func read(_ lookups: OnlineLookups) {
        guard let layout = lookups.layout, !lookups.rows.isEmpty else { return lookups.finished(nil) }
        if let problem = link.problem { return lookups.finished(problem) }
        let parts = commands.find(layout)
        for row in lookups.rows.indices {
            lookups.withKey(row) { link.write(parts[lookups.rows[row].part], $0) }
        }
        link.expect(lookups.rows.count, for: lookups)
    }
}

extension OnlineLookups: RedisReplyTaker {
    func take(_ replies: UnsafeRawBufferPointer, from link: RedisReadLink) {
        var replies = RedisReplies(replies)
        var failure: AerieError?
        do throws(AerieError) {
            for row in rows.indices { try take(row, from: &replies) }
        } catch { failure = error }
        // Only now: the places are valid until the answer is written.
        finished(failure)
    }

    func fail(_ error: AerieError, from link: RedisReadLink) { finished(error) }

    /// One reply's values are a row's.
    func take(_ row: Int, from replies: inout RedisReplies) throws(AerieError) {
        guard let layout else { return }
        found(row, time: 0)
        let time = try replies.row(layout.parts[rows[row].part].fields.count) { field, value throws(AerieError) in
            place(row, field, value)
        }
        if let time { date(row, time) } else { missed(row) }
    }
}
