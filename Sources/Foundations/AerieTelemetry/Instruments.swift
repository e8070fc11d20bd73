import Synchronization

/// A whole number that only grows. Lock-free; any thread.
public final class Counter: Sendable {
    private let total = Atomic<Int>(0)
    public init() {}
    public func increment(by amount: Int = 1) { total.add(max(0, amount), ordering: .relaxed) }
    public var value: Int { total.load(ordering: .relaxed) }
}

/// A number that goes up and down. Lock-free; any thread.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)
    public init() {}
    public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Durations by bucket, for the control plane. Takes a lock for a few nanoseconds; any thread.
public final class Histogram: Sendable {
    private let state = Mutex(LatencyHistogram())
    public init() {}
    public func record(nanoseconds: UInt64) { state.withLock { $0.record(nanoseconds: nanoseconds) } }
    public var value: LatencyHistogram { state.withLock { $0 } }
}
