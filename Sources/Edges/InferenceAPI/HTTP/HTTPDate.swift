/// The header field `Date` with its line's end. A loop makes it anew once a second, not for each answer.
struct HTTPDate {
    private(set) var line: [UInt8] = []
    private var seconds = Int64.min

    /// - Parameter seconds: since 1970, UTC.
    init(seconds: Int64) { update(seconds: seconds) }

    mutating func update(seconds: Int64) {
        guard seconds != self.seconds else { return }
        self.seconds = seconds
        line = Array("Date: \(Self.text(seconds))\r\n".utf8)
    }

    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    static func text(_ seconds: Int64) -> String {
        let time = Int(max(0, min(seconds, 253_402_300_799)))
        let (days, rest) = (time / 86_400, time % 86_400)
        // Years are counted from March, so that the leap day is the last; 400 of them have 146,097 days.
        let shifted = days + 719_468
        let (era, day) = (shifted / 146_097, shifted % 146_097)
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let monthOfYear = month < 10 ? month + 2 : month - 10
        let fullYear = year + era * 400 + (monthOfYear < 2 ? 1 : 0)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let clock = "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
        return "\(weekdays[days % 7]), \(two(dayOfMonth)) \(months[monthOfYear]) \(fullYear) \(clock) GMT"
    }
}
