/// Which requests' traces are kept: decided at the end, when it is known how a request went.
public struct SamplingPolicy: Sendable, Hashable {
    public enum Reason: String, Sendable {
        /// The caller keeps the trace, or the ratio took it.
        case ratio
        case slow
        case failed
    }

    /// The share of the traces that begin here and are kept whatever happens, 0 to 1.
    public var ratio: Double { didSet { threshold = Self.threshold(ratio) } }
    /// Requests that take as long or longer are kept; `nil` to keep none for that. In nanoseconds.
    public var slowNanoseconds: UInt64?
    /// Whether requests are kept that the server could not answer.
    public var keepsFailures: Bool
    /// Of the 56 random bits of a trace's identifier those from here on are taken.
    private var threshold: UInt64

    public init(ratio: Double = 0, slowNanoseconds: UInt64? = 5_000_000, keepsFailures: Bool = true) {
        self.ratio = ratio
        self.slowNanoseconds = slowNanoseconds
        self.keepsFailures = keepsFailures
        threshold = Self.threshold(ratio)
    }

    /// By the identifier alone, so that every server of one ratio takes the same traces: OpenTelemetry's consistent
    /// probability sampling, over the last 56 bits.
    public func samples(traceLow: UInt64) -> Bool { traceLow & 0x00ff_ffff_ffff_ffff >= threshold }

    /// Why a request's trace is kept; `nil` for one that is not.
    public func reason(_ context: TraceContext, nanoseconds: UInt64, failed: Bool) -> Reason? {
        if failed, keepsFailures { return .failed }
        if let slowNanoseconds, nanoseconds >= slowNanoseconds { return .slow }
        return context.isSampled ? .ratio : nil
    }

    private static func threshold(_ ratio: Double) -> UInt64 {
        UInt64(((1 - min(max(ratio, 0), 1)) * 72_057_594_037_927_936).rounded())
    }
}
