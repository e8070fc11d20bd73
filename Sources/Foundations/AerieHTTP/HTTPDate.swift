import AerieCore
import NIOCore

/// The header field `Date` with its line's end, and what else of answers' heads is the same for a second. A loop makes
/// it anew once a second, not for each answer.
public struct HTTPDate: Sendable {
    public private(set) var line: [UInt8] = []
    /// The whole head of the usual answer: 200, JSON, of a connection that stays open.
    private(set) var usualHead: [UInt8] = []
    private var seconds = Int64.min

    /// - Parameter seconds: since 1970, UTC.
    public init(seconds: Int64) { update(seconds: seconds) }

    public mutating func update(seconds: Int64) {
        guard seconds != self.seconds else { return }
        self.seconds = seconds
        line = Array("Date: \(Self.text(seconds))\r\n".utf8)
        var head = ByteBuffer()
        _ = HTTPAnswer(200, .json, keepsAlive: true, isHTTP10: false, date: self, into: &head) { _ in }
        usualHead = Array(head.readableBytesView)
    }

    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    static func text(_ seconds: Int64) -> String {
        let time = Int(max(0, min(seconds, 253_402_300_799)))
        let (days, rest) = (time / 86_400, time % 86_400)
        let date = CivilDate(daysSince1970: Int64(days))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let clock = "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
        let day = "\(two(Int(date.day))) \(months[Int(date.month) - 1]) \(date.year)"
        return "\(weekdays[days % 7]), \(day) \(clock) GMT"
    }
}
