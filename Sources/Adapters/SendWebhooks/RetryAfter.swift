import AerieCore

/// The header by which a receiver says when to come again (RFC 9110, section 10.2.3): seconds, or a moment as HTTP
/// writes it, such as `Sun, 06 Nov 1994 08:49:37 GMT`. The two older forms of dates are not read.
enum RetryAfter {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Milliseconds from `now`, 0 if that is past; `nil` for what is neither form.
    static func milliseconds(_ text: String, now: Timestamp) -> Int64? {
        let text = text.drop { $0 == " " }
        if let seconds = number(text) { return min(seconds, 1_000_000_000) * 1000 }
        return moment(text).map { max(0, $0.milliseconds - now.milliseconds) }
    }

    private static func moment(_ text: Substring) -> Timestamp? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[0].hasSuffix(","), words[5] == "GMT", let day = number(words[1]),
            let month = months.firstIndex(of: String(words[2])), let year = number(words[3]),
            (1...31).contains(day), (1970...9999).contains(year)
        else { return nil }
        let clock = words[4].split(separator: ":").map { number($0) }
        guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2], hour < 24,
            minute < 60, second < 61
        else { return nil }
        let days = CivilDate(year: year, month: Int64(month) + 1, day: day).daysSince1970
        return Timestamp(milliseconds: (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
    }

    private static func number(_ text: Substring) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Int64(text)
    }
}
