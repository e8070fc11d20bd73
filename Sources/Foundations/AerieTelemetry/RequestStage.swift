import AerieCore

/// The parts of a request's time in the data plane, in their order.
public enum RequestStage: Int, Sendable, CaseIterable {
    /// From the last byte read until it is known who answers.
    case route
    /// The read of features that the deployment names.
    case featureFetch
    /// Reading the request's numbers and laying them out as the model takes them.
    case preprocess
    /// The wait for a thread or for other requests of the batch; only where there is one.
    case queue
    /// The model alone.
    case inference
    /// Counting, shadows, and the way back to the connection's loop.
    case postprocess
    /// Writing the answer.
    case serialize

    /// As the label `stage` tells it.
    public var label: String {
        switch self {
        case .route: "route"
        case .featureFetch: "feature_fetch"
        case .preprocess: "preprocess"
        case .queue: "queue"
        case .inference: "inference"
        case .postprocess: "postprocess"
        case .serialize: "serialize"
        }
    }

    /// Its share of the 5 ms in which a prediction is to be answered, in nanoseconds; `nil` for what has none.
    ///
    /// The founding document gives the router 0.3 ms, the feature fetch 0.8, preprocessing 0.5, inference 2.3,
    /// postprocessing 0.2 and the response 0.2; the rest, 0.7 ms, is the network before the server.
    public var budgetNanoseconds: UInt64? {
        switch self {
        case .route: 300_000
        case .featureFetch: 800_000
        case .preprocess: 500_000
        case .queue: nil
        case .inference: 2_300_000
        case .postprocess: 200_000
        case .serialize: 200_000
        }
    }

    /// What the stages have together of the 5 ms.
    public static let totalBudgetNanoseconds: UInt64 = 4_300_000
    /// What is left for a load balancer (0.2 ms) and the network (0.5 ms).
    public static let outsideNanoseconds: UInt64 = 700_000
}

/// The instants between which a request's stages lie, by the machine's monotonic clock in nanoseconds; 0 for what has
/// not come. A value without memory of its own: noting an instant is one clock read, and none for a request that is
/// not measured.
public struct RequestTimeline: Sendable, Hashable {
    public let isMeasured: Bool
    public let start: UInt64
    public private(set) var routed: UInt64 = 0
    public var fetchStart: UInt64 = 0
    public var fetchEnd: UInt64 = 0
    /// When the request was handed to a queue.
    public private(set) var queued: UInt64 = 0
    public private(set) var inferenceStart: UInt64 = 0
    public private(set) var inferenceEnd: UInt64 = 0
    public private(set) var serializeStart: UInt64 = 0
    public var end: UInt64 = 0

    public init(start: UInt64 = 0, isMeasured: Bool = false) {
        self.start = start
        self.isMeasured = isMeasured
    }

    @inline(__always)
    public mutating func markRouted() { if isMeasured { routed = monotonicNanoseconds() } }
    @inline(__always)
    public mutating func markSerialize() { if isMeasured { serializeStart = monotonicNanoseconds() } }

    /// The model ran from one instant to another, both read anyway.
    /// - Parameter queued: when the request was handed to a queue; 0 where there is none.
    @inline(__always)
    public mutating func setInference(queued: UInt64 = 0, _ start: UInt64, _ end: UInt64) {
        self.queued = queued
        inferenceStart = start
        inferenceEnd = end
    }

    /// How long a stage took; `nil` for one that the request did not come through.
    public func duration(_ stage: RequestStage) -> UInt64? {
        interval(stage).map { $0.upperBound - $0.lowerBound }
    }

    /// When a stage was. What is read of a request before its features is not part of `preprocess`' interval: see
    /// `decoding`.
    public func interval(_ stage: RequestStage) -> ClosedRange<UInt64>? {
        switch stage {
        case .route: Self.range(start, routed)
        case .featureFetch: Self.range(fetchStart, fetchEnd)
        case .preprocess: Self.range(fetchEnd > 0 ? fetchEnd : routed, queued > 0 ? queued : modelStart)
        case .queue: Self.range(queued, inferenceStart)
        case .inference: Self.range(inferenceStart, inferenceEnd)
        case .postprocess: Self.range(inferenceEnd > 0 ? inferenceEnd : routed, serializeStart)
        case .serialize: Self.range(serializeStart, end)
        }
    }

    /// Between routing and the read of features: the request is decoded.
    public var decoding: ClosedRange<UInt64>? { Self.range(routed, fetchStart) }

    /// Where a model ran, or else the answer was there: from the cache.
    private var modelStart: UInt64 { inferenceStart > 0 ? inferenceStart : serializeStart }

    private static func range(_ from: UInt64, _ to: UInt64) -> ClosedRange<UInt64>? {
        from > 0 && to >= from ? from...to : nil
    }
}
