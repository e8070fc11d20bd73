import AerieCore
import Testing

@testable import Features

@Suite("Schedules come when cron would have them come")
struct CronScheduleTests {
    /// From a moment on, the next three.
    private func next(_ text: String, after start: String) throws -> [String] {
        let schedule = try CronSchedule(text)
        var at = try #require(FeatureTime.parse(start)) / 1_000_000
        return try (0..<3).map { _ in
            at = try #require(schedule.next(after: at))
            return String(FeatureTime.text(at * 1_000_000).dropLast(4))
        }
    }

    @Test(arguments: [
        ("*/15 * * * *", "2026-11-26T10:07:30Z", ["2026-11-26T10:15", "2026-11-26T10:30", "2026-11-26T10:45"]),
        ("0 3 * * *", "2026-11-26T03:00:00Z", ["2026-11-27T03:00", "2026-11-28T03:00", "2026-11-29T03:00"]),
        ("@monthly", "2026-12-31T23:59:59Z", ["2027-01-01T00:00", "2027-02-01T00:00", "2027-03-01T00:00"]),
        ("30 6,18 * * mon-fri", "2026-11-27T07:00:00Z", ["2026-11-27T18:30", "2026-11-30T06:30", "2026-11-30T18:30"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        // Both day fields: either will do.
        ("0 0 13 * 5", "2026-11-01T00:00:00Z", ["2026-11-06T00:00", "2026-11-13T00:00", "2026-11-20T00:00"]),
        ("5-10/5 0 1 jan,7 *", "2026-02-01T00:00:00Z", ["2026-07-01T00:05", "2026-07-01T00:10", "2027-01-01T00:05"]),
        ("0 12 * * 7", "2026-11-26T00:00:00Z", ["2026-11-29T12:00", "2026-12-06T12:00", "2026-12-13T12:00"]),
    ] as [(String, String, [String])])
    func times(_ text: String, _ start: String, _ expected: [String]) throws {
        #expect(try next(text, after: start) == expected)
    }

    @Test(arguments: ["", "* * * *", "60 * * * *", "* 24 * * *", "0 0 30 2 *", "5-1 * * * *", "*/0 * * * *", "a * * * *"])
    func wrong(_ text: String) {
        #expect(throws: AerieError.self) { try CronSchedule(text) }
    }
}
