import AerieCore
import Features

/// Replies to HMGET where they lie in a connection's buffer (RESP 2, or RESP 3 with its messages between replies):
/// nothing is built of them.
struct RedisReplies {
    struct Malformed: Error {}

    private static let invalidate = Array("invalidate".utf8)

    let bytes: UnsafeRawBufferPointer
    /// The next byte.
    var at = 0

    init(_ bytes: UnsafeRawBufferPointer, at: Int = 0) {
        self.bytes = bytes
        self.at = at
    }

    /// Passes over one whole reply.
    /// - Returns: false, with nothing passed over, if it is not all there.
    mutating func skip() throws(Malformed) -> Bool {
        let start = at
        var left = 1
        while left > 0 {
            guard let (kind, number) = try header() else {
                at = start
                return false
            }
            left -= 1
            switch kind {
            case UInt8(ascii: "$") where number >= 0:
                guard number <= bytes.count - at - 2 else {
                    at = start
                    return false
                }
                at += number + 2
            case UInt8(ascii: "*") where number > 0, UInt8(ascii: ">") where number > 0: left += number
            case UInt8(ascii: "%") where number > 0: left += 2 * number
            default: break
            }
        }
        return true
    }

    /// Whether a message is next, which answers no command.
    var isAtMessage: Bool { at < bytes.count && bytes[at] == UInt8(ascii: ">") }

    /// Reads one whole message.
    /// - Parameter changed: takes each key that the server says has changed; `nil` for all of them.
    /// - Returns: false, with nothing read, if it is not all there.
    mutating func message(_ changed: (UnsafeRawBufferPointer?) -> Void) throws(Malformed) -> Bool {
        var behind = self
        guard try behind.skip() else { return false }
        defer { at = behind.at }
        guard let (_, count) = try header(), count == 2, let subject = try word(),
            subject.elementsEqual(Self.invalidate), let (kind, number) = try header()
        else { return true }
        guard kind == UInt8(ascii: "*"), number >= 0 else {
            changed(nil)
            return true
        }
        for _ in 0..<number {
            guard let key = try word() else { throw Malformed() }
            changed(key)
        }
        return true
    }

    /// The bytes of a text; `nil` for another kind of reply.
    private mutating func word() throws(Malformed) -> UnsafeRawBufferPointer? {
        guard let (kind, length) = try header(), kind == UInt8(ascii: "$"), length >= 0, length <= bytes.count - at - 2
        else { return nil }
        let word = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)])
        at += length + 2
        return word
    }

    /// A line: its kind, and its number where it has one; a null of RESP 3 as RESP 2 has it. `nil` if it is not all
    /// there.
    private mutating func header() throws(Malformed) -> (UInt8, Int)? {
        guard at < bytes.count else { return nil }
        let kind = bytes[at]
        switch kind {
        case UInt8(ascii: "+"), UInt8(ascii: "-"):
            var end = at + 1
            while end < bytes.count, bytes[end] != 0x0a { end += 1 }
            guard end < bytes.count else { return nil }
            at = end + 1
            return (kind, 0)
        case UInt8(ascii: "_"):
            guard at + 2 < bytes.count else { return nil }
            at += 3
            return (UInt8(ascii: "$"), -1)
        case UInt8(ascii: "$"), UInt8(ascii: "*"), UInt8(ascii: ":"), UInt8(ascii: "%"), UInt8(ascii: ">"): break
        default: throw Malformed()
        }
        var end = at + 1
        var value = 0
        var isNegative = false
        if end < bytes.count, bytes[end] == UInt8(ascii: "-") {
            isNegative = true
            end += 1
        }
        while end < bytes.count, bytes[end] != 0x0d {
            let digit = bytes[end] &- 0x30
            guard digit < 10, value < 1 << 58 else { throw Malformed() }
            value = value * 10 + Int(digit)
            end += 1
        }
        guard end + 1 < bytes.count else { return nil }
        at = end + 2
        return (kind, isNegative ? -value : value)
    }

    /// Reads one whole reply to an HMGET of a row's fields and its time.
    /// - Parameter place: takes each field's value; not called for what is null.
    /// - Returns: the time; `nil` for an entity that is not known.
    mutating func row(
        _ count: Int, _ place: (Int, UnsafeRawBufferPointer) throws(AerieError) -> Void
    ) throws(AerieError) -> Int64? {
        do {
            // Messages that came before the reply have been told.
            while isAtMessage { guard try skip() else { throw Malformed() } }
            let start = at
            guard let (kind, number) = try header() else { throw Malformed() }
            if kind == UInt8(ascii: "-") {
                let words = UnsafeRawBufferPointer(rebasing: bytes[(start + 1)..<(at - 2)])
                throw RedisOnlineStore.refused(String(decoding: words, as: UTF8.self))
            }
            guard kind == UInt8(ascii: "*"), number == count + 1 else { throw Malformed() }
            var time: Int64?
            for index in 0...count {
                guard let (kind, length) = try header(), kind == UInt8(ascii: "$") else { throw Malformed() }
                if length < 0 { continue }
                guard length <= bytes.count - at - 2 else { throw Malformed() }
                let value = UnsafeRawBufferPointer(rebasing: bytes[at..<(at + length)])
                at += length + 2
                if index < count {
                    try place(index, value)
                    time = time ?? 0
                } else {
                    time = try RowScript.time(value)
                }
            }
            return time
        } catch let error as AerieError { throw error } catch {
            throw AerieError(.dataLoss, "Redis answers a read with something else")
        }
    }
}
