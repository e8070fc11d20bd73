/// The boundaries of every latency histogram: those of Seldon's executor from 5 ms up, so that its dashboards find
/// their `le` values, and finer ones below, because a tree model answers long before 5 ms.
public enum LatencyBuckets {
    /// Upper bounds in nanoseconds, inclusive, ascending. One bucket more than these counts what is slower.
    public static let nanoseconds: [UInt64] = [
        50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 750_000,
        1_000_000, 1_500_000, 2_000_000, 3_000_000, 4_000_000,
        5_000_000, 10_000_000, 25_000_000, 50_000_000, 75_000_000, 100_000_000, 250_000_000, 500_000_000, 750_000_000,
        1_000_000_000, 2_500_000_000, 5_000_000_000, 7_500_000_000, 10_000_000_000,
    ]

    /// The same bounds in seconds, as `le` writes them.
    public static let labels: [String] = [
        "5e-05", "7.5e-05", "0.0001", "0.00015", "0.0002", "0.0003", "0.0004", "0.0005", "0.00075",
        "0.001", "0.0015", "0.002", "0.003", "0.004",
        "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75",
        "1", "2.5", "5", "7.5", "10", "+Inf",
    ]

    /// Buckets with the last, unbounded one.
    public static let count = 29
}
