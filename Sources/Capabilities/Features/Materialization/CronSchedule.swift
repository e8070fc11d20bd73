public import AerieCore

/// Moments that come again and again, as cron has them: `minute hour day-of-month month day-of-week`, in UTC.
///
/// Each field is `*`, a number, a range `a-b`, a list of these with commas, or any with a step `/n`; months and days of
/// the week may be called by their first three letters, and 7 is Sunday too. If neither of the two day fields is `*`, a
/// day that fits one of them is taken, as POSIX says. `@hourly`, `@daily`, `@weekly` and `@monthly` are short for what
/// they say.
public struct CronSchedule: Sendable, Hashable {
    private var minutes: Set<Int>
    private var hours: Set<Int>
    private var days: Set<Int>
    private var months: Set<Int>
    private var weekdays: Set<Int>
    private var anyDay: Bool
    private var anyWeekday: Bool

    private static let short = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// - Throws: `invalidArgument` naming the field that is wrong.
    public init(_ text: String) throws(AerieError) {
        let fields = (Self.short[text] ?? text).split(separator: " ").map { $0.lowercased() }
        guard fields.count == 5 else {
            throw .invalid("", "\"\(text.prefix(60))\" is no schedule; write minute hour day month weekday, as 0 3 * * *")
        }
        minutes = try Self.values(fields[0], 0...59, "minute", [])
        hours = try Self.values(fields[1], 0...23, "hour", [])
        days = try Self.values(fields[2], 1...31, "day of the month", [])
        months = try Self.values(fields[3], 1...12, "month", Self.monthNames, first: 1)
        weekdays = Set(try Self.values(fields[4], 0...7, "day of the week", Self.dayNames).map { $0 % 7 })
        anyDay = fields[2].hasPrefix("*")
        anyWeekday = fields[4].hasPrefix("*")
        guard next(after: 0) != nil else { throw .invalid("", "\"\(text.prefix(60))\" never comes") }
    }

    private static func values(
        _ field: String, _ range: ClosedRange<Int>, _ name: String, _ names: [String], first: Int = 0
    ) throws(AerieError) -> Set<Int> {
        func wrong() -> AerieError {
            .invalid("", "\"\(field.prefix(40))\" is no \(name); it is \(range.lowerBound) to \(range.upperBound)")
        }
        func number(_ word: Substring) throws(AerieError) -> Int {
            if let place = names.firstIndex(of: String(word)) { return place + first }
            guard let value = Int(word), range.contains(value) else { throw wrong() }
            return value
        }
        var values: Set<Int> = []
        for item in field.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= 2, let body = parts.first, !body.isEmpty else { throw wrong() }
            var step = 1
            if parts.count == 2 {
                guard let value = Int(parts[1]), value > 0 else { throw wrong() }
                step = value
            }
            let ends = body.split(separator: "-", omittingEmptySubsequences: false)
            let (low, high): (Int, Int)
            if body == "*" {
                (low, high) = (range.lowerBound, range.upperBound)
            } else {
                let first = try number(ends[0])
                let last = ends.count == 2 ? try number(ends[1]) : parts.count == 2 ? range.upperBound : first
                (low, high) = (first, last)
            }
            guard ends.count <= 2, low <= high else { throw wrong() }
            values.formUnion(stride(from: low, through: high, by: step))
        }
        return values
    }

    /// The first moment after another. Both in seconds since 1970.
    /// - Returns: `nil` if none comes within 30 years.
    public func next(after seconds: Int64) -> Int64? {
        var minute = seconds / 60 + 1
        if seconds < 0, seconds % 60 != 0 { minute -= 1 }
        var day = minute / 1440
        var from = Int(minute % 1440)
        for _ in 0..<(30 * 366) {
            if fits(day) {
                for time in from..<1440 where minutes.contains(time % 60) && hours.contains(time / 60) {
                    return (day * 1440 + Int64(time)) * 60
                }
            }
            day += 1
            from = 0
        }
        return nil
    }

    private func fits(_ day: Int64) -> Bool {
        let date = CivilDate(daysSince1970: day)
        guard months.contains(Int(date.month)) else { return false }
        // The first of January 1970 was a Thursday.
        let (isDay, isWeekday) = (days.contains(Int(date.day)), weekdays.contains(Int((day + 4) % 7)))
        return anyDay || anyWeekday ? isDay && isWeekday : isDay || isWeekday
    }
}
