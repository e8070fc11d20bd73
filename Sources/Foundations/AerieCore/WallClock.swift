#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import Synchronization

/// A moment, in milliseconds since 1970-01-01T00:00:00Z, as every protocol that Aerie speaks counts it.
public struct Timestamp: Hashable, Comparable, Sendable, Codable {
    public var milliseconds: Int64
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    public init(from decoder: any Decoder) throws {
        self.init(milliseconds: try decoder.singleValueContainer().decode(Int64.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }

    /// `2026-03-01T12:34:56Z`, in UTC, whole seconds.
    public var iso8601: String {
        var seconds = time_t(milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}

extension Timestamp {
    /// `2026-03-01T12:34:56.789Z`.
    public var iso8601Milliseconds: String {
        let rest = ((milliseconds % 1000) + 1000) % 1000
        return iso8601.dropLast() + "." + (rest < 100 ? "0" : "") + (rest < 10 ? "0" : "") + "\(rest)Z"
    }
}

extension Duration {
    /// Whole milliseconds; far beyond any limit of Aerie's own they stay at the largest number.
    public var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? .max : product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000).partialValue
    }
}

/// What time it is. Injected wherever a time is recorded, so that tests decide it.
public protocol WallClock: Sendable {
    func now() -> Timestamp
}

/// The machine's clock. One system call without a context switch, about 30 ns.
public struct SystemClock: WallClock {
    public init() {}
    public func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

/// A clock that stands still until it is told to move.
public final class ManualClock: WallClock {
    private let time: Mutex<Timestamp>
    public init(_ start: Timestamp = Timestamp(milliseconds: 1_700_000_000_000)) { time = Mutex(start) }
    public func now() -> Timestamp { time.withLock { $0 } }
    public func advance(milliseconds: Int64) { time.withLock { $0.milliseconds += milliseconds } }
    public func set(milliseconds: Int64) { time.withLock { $0.milliseconds = milliseconds } }
}

/// Nanoseconds on a clock that never goes back; only differences mean anything.
public func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
