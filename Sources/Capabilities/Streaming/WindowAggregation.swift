/// What is made of a column's values in a window.
public enum AggregateFunction: String, Sendable, Hashable, CaseIterable {
    /// Events, or without null those of a column.
    case count
    case sum, mean
    case minimum = "min"
    case maximum = "max"
    /// The sample standard deviation; null for fewer than two values.
    case deviation = "stddev"
    /// The value of the latest event time that is not null; of equal times the one that arrived last.
    case last
    case distinctCount = "distinct_count"

    public var needsColumn: Bool { self != .count }
}

/// A feature that is computed over the events of a span of time.
///
/// The window of length `window` that slides by `slide` at the instant `t` holds the events with a time of at least
/// `floor(t / slide) * slide + slide - window` and at most `t`: whole tiles of `slide`, the last of them as far as it
/// has come. It never holds an event that is `window` old or older.
public struct WindowAggregation: Sendable, Hashable {
    public var name: String
    public var function: AggregateFunction
    /// `nil` for a count of events.
    public var column: String?
    /// Microseconds; a multiple of `slide`.
    public var window: Int64
    /// Microseconds; the length of a tile.
    public var slide: Int64

    /// - Parameter slide: `nil` for `defaultSlide`.
    public init(name: String, function: AggregateFunction, column: String?, window: Int64, slide: Int64? = nil) {
        self.name = name
        self.function = function
        self.column = column
        self.window = window
        self.slide = slide ?? Self.defaultSlide(window: window)
    }

    /// Tiles of one window. An entity's state has at most so many of one length.
    public static let tileLimit: Int64 = 2000

    private static let second: Int64 = 1_000_000
    private static let slides: [Int64] = [1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400].map { $0 * second }

    /// The longest usual length that divides the window into 48 tiles or more, such as a minute for an hour, a quarter
    /// of an hour for a day, an hour for a week and six for thirty days.
    public static func defaultSlide(window: Int64) -> Int64 {
        slides.last { window % $0 == 0 && window / $0 >= 48 } ?? min(window, second)
    }

    /// What is wrong with the lengths; `nil` if nothing is.
    public var problem: String? {
        if window <= 0 { return "the window must be longer than nothing" }
        if slide <= 0 || window % slide != 0 { return "the window must be a multiple of the slide" }
        if window / slide > Self.tileLimit {
            return
                "the window has \(window / slide) tiles of the slide's length; the limit is \(Self.tileLimit), so slide "
                + "by more"
        }
        if function.needsColumn, column == nil { return "\(function.rawValue) needs a column" }
        return nil
    }
}
