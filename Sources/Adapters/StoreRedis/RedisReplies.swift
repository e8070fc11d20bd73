import AerieCore
import Features

/// Replies to HMGET where they lie in a connection's buffer (RESP 2): nothing is built of them.
struct RedisReplies {
    struct Malformed: Error {}

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
            case UInt8(ascii: "*") where number > 0: left += number
            default: break
            }
        }
        return true
    }

    /// A line: its kind, and its number where it has one. `nil` if it is not all there.
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
        case UInt8(ascii: "$"), UInt8(ascii: "*"), UInt8(ascii: ":"): break
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
        let start = at
        do {
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
