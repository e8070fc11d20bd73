public import AerieCore

/// How a server is loaded: over what, by how many at once, at which pace, for how long.
public struct LoadPlan: Sendable {
    public enum Transport: String, Sendable, CaseIterable {
        /// HTTP/1.1 on connections that are kept; more than one request in flight means pipelining.
        case http
        /// A call of `ModelInfer` for each request, on HTTP/2 without TLS.
        case grpc
        /// One `ModelStreamInfer` for each connection, a message for each request.
        case grpcStream = "grpc-stream"
    }

    public enum Pace: Sendable, Equatable {
        /// The next request goes out when one has been answered: finds the most that a server answers. Its latencies
        /// say little, since a slow server is asked less.
        case closed
        /// Requests fall due at a constant rate, whatever the server does. A latency counts from when its request was
        /// due, so that what had to wait behind a slow answer is not left out (coordinated omission).
        case open(perSecond: Double)
    }

    public var host: String
    public var port: Int
    public var transport: Transport
    public var connections: Int
    /// Requests that wait for an answer on one connection.
    public var inFlight: Int
    public var pace: Pace
    /// Seconds whose requests are sent and not counted.
    public var warmup: Double
    /// Seconds that are measured.
    public var duration: Double
    /// Event loops that send. One leaves the most of a machine to the server on it.
    public var threads: Int

    public init(
        host: String, port: Int, transport: Transport, connections: Int = 32, inFlight: Int = 1, pace: Pace = .closed,
        warmup: Double = 1, duration: Double = 10, threads: Int = 1
    ) {
        self.host = host
        self.port = port
        self.transport = transport
        self.connections = connections
        self.inFlight = inFlight
        self.pace = pace
        self.warmup = warmup
        self.duration = duration
        self.threads = threads
    }

    /// Longest run in seconds: a load that nobody watches ends by itself.
    public static let longest = 7200.0

    /// - Throws: `invalidArgument` with every setting that is out of its range.
    public func validate() throws(AerieError) {
        var problems: [AerieError.Detail] = []
        func check(_ fits: Bool, _ field: String, _ problem: String) {
            if !fits { problems.append(.init(field: field, problem: problem)) }
        }
        check((1...65_535).contains(port), "target", "\(port) is no port")
        check((1...10_000).contains(connections), "--connections", "\(connections) is not from 1 to 10000")
        check((1...4096).contains(inFlight), "--in-flight", "\(inFlight) is not from 1 to 4096")
        check((1...64).contains(threads), "--threads", "\(threads) is not from 1 to 64")
        check(threads <= connections, "--threads", "\(threads) is more than the \(connections) connections")
        check(duration > 0 && duration <= Self.longest, "--duration", "\(duration) s is not above 0 and at most 7200 s")
        check(warmup >= 0 && warmup <= 600, "--warmup", "\(warmup) s is not from 0 to 600 s")
        if case .open(let rate) = pace {
            check(rate > 0 && rate <= 10_000_000, "--rate", "\(rate) is not above 0 and at most 10000000 a second")
        }
        if let error = AerieError.invalid("the load cannot be sent", problems: problems) { throw error }
    }
}

/// What is sent, ready as bytes: requests that are taken in turn.
public struct LoadPayload: Sendable {
    /// HTTP: whole requests, head and body. gRPC: messages without their prefix.
    public var requests: [[UInt8]]
    /// gRPC's method, such as `/inference.GRPCInferenceService/ModelInfer`.
    public var method: String
    /// Predictions that one request asks for.
    public var rows: Int

    /// - Precondition: `requests` is not empty.
    public init(requests: [[UInt8]], method: String = "", rows: Int = 1) {
        precondition(!requests.isEmpty, "a load needs a request")
        self.requests = requests
        self.method = method
        self.rows = rows
    }
}

/// Sends requests as a plan says. One run at a time on a driver's threads.
public protocol LoadDriver: Sendable {
    /// Connects, warms up, measures, and waits up to two seconds for the last answers. Takes as long as the plan says.
    ///
    /// Answers that are errors do not end it: they are counted by their status. A connection that breaks is made anew.
    /// - Parameter progress: called about four times a second.
    /// - Throws: `unavailable` if the first connection cannot be made; `cancelled` if the task is.
    func run(
        _ plan: LoadPlan, _ payload: LoadPayload, progress: @escaping @Sendable (LoadProgress) -> Void
    ) async throws(AerieError) -> LoadResult
}

/// How far a run has come.
public struct LoadProgress: Sendable {
    public var isWarmingUp: Bool
    /// Of the whole run, 0 to 1.
    public var fraction: Double
    /// Answered in the measured part so far.
    public var answered: Int
    public var failed: Int
    /// In the last quarter of a second.
    public var perSecond: Double
    /// In seconds, of all that was measured so far.
    public var p50: Double
    public var p99: Double

    public init(
        isWarmingUp: Bool, fraction: Double, answered: Int, failed: Int, perSecond: Double, p50: Double, p99: Double
    ) {
        self.isWarmingUp = isWarmingUp
        self.fraction = fraction
        self.answered = answered
        self.failed = failed
        self.perSecond = perSecond
        self.p50 = p50
        self.p99 = p99
    }
}
