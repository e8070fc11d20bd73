public import AerieJSON

/// What a run measured.
public struct LoadResult: Sendable {
    /// The measured part's length in seconds.
    public var seconds: Double
    /// Latencies of the requests that were answered well.
    public var latency: LatencyRecord
    /// Answers by status: HTTP's, or gRPC's; `-1` for a connection that broke, `-2` for an answer that never came.
    public var statuses: [Int: Int]
    /// Requests that fell due in the measured part, with an open pace.
    public var due: Int
    /// The longest time that a request was sent after it had been due, in seconds, because no connection was free or
    /// the sender was busy. It is part of the latency.
    public var latest: Double
    public var rowsPerRequest: Int

    public init(rowsPerRequest: Int) {
        seconds = 0
        latency = LatencyRecord()
        statuses = [:]
        due = 0
        latest = 0
        self.rowsPerRequest = rowsPerRequest
    }

    public static let broken = -1
    public static let unanswered = -2

    public var succeeded: Int { latency.count }
    public var failed: Int { statuses.values.reduce(0, +) - succeeded }
    /// Requests answered well, a second.
    public var perSecond: Double { seconds > 0 ? Double(succeeded) / seconds : 0 }
    public var rowsPerSecond: Double { perSecond * Double(rowsPerRequest) }

    /// The results of threads that ran at the same time.
    public mutating func add(_ other: LoadResult) {
        seconds = max(seconds, other.seconds)
        latency.add(other.latency)
        statuses.merge(other.statuses, uniquingKeysWith: +)
        due += other.due
        latest = max(latest, other.latest)
    }

    public static let quantiles: [(name: String, q: Double)] = [
        ("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999),
    ]

    /// Times in milliseconds.
    public func json() -> JSONValue {
        var latencies: JSONObject = [:]
        for (name, q) in Self.quantiles { latencies[name] = Self.milliseconds(latency.quantile(q)) }
        latencies["mean"] = Self.milliseconds(latency.mean)
        latencies["max"] = Self.milliseconds(latency.maximum)
        var byStatus: JSONObject = [:]
        for (status, count) in statuses.sorted(by: { $0.key < $1.key }) {
            byStatus[Self.word(status)] = .int(Int64(count))
        }
        return [
            "seconds": .double(seconds), "succeeded": .int(Int64(succeeded)), "failed": .int(Int64(failed)),
            "requests_per_second": .double(perSecond), "rows_per_request": .int(Int64(rowsPerRequest)),
            "predictions_per_second": .double(rowsPerSecond), "latency_ms": .object(latencies),
            "statuses": .object(byStatus), "due": .int(Int64(due)), "latest_ms": Self.milliseconds(latest),
        ]
    }

    public static func word(_ status: Int) -> String {
        switch status {
        case broken: "connection broken"
        case unanswered: "no answer"
        default: String(status)
        }
    }

    private static func milliseconds(_ seconds: Double) -> JSONValue {
        seconds.isFinite ? .double((seconds * 1e6).rounded() / 1e3) : .null
    }
}
