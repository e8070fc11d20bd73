import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the monotonic clock is behind the time of day.
public enum EpochOffset {
    /// To be added (wrapping) to a reading of the monotonic clock for nanoseconds since 1970, as spans count them. Read
    /// anew each time, since the time of day is set now and then; about 60 ns.
    public static var nanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
        return now &- monotonicNanoseconds()
    }
}
