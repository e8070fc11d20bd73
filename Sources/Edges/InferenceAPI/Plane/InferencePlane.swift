public import AerieCore
public import AerieHTTP
public import AerieTelemetry
public import CloudEvents
public import NIOCore
import NIOPosix
public import Serving
import Synchronization
public import RequestTracing

/// The event loops that answer inference requests, and what they share: nothing but an immutable plan and a pool for
/// slow models. The HTTP and the gRPC server run on the same plane.
public final class InferencePlane: Sendable {
    public struct Options: Sendable {
        /// Event loops; 0 means one for each core.
        public var loops = 0
        /// Limits of requests and connections over HTTP.
        public var http = HTTPLoop.Options()
        /// Calls of one gRPC connection that may wait for or run on the pool, so that one client leaves room for
        /// others.
        public var poolCapacityPerConnection = 128
        /// Requests estimated above this run on the pool. In nanoseconds.
        public var inlineNanoseconds = 200_000.0
        public var poolThreads = 2
        /// Requests that may wait for or run on the pool; more are refused with 429 or RESOURCE_EXHAUSTED.
        public var poolCapacity = 256
        /// Nanoseconds that they may wait while more come than can be answered, where a deployment says nothing else.
        public var queueDelayTarget: UInt64 = 5_000_000
        /// The same for explanations, which take up to seconds each.
        public var explainThreads = 1
        public var explainCapacity = 64
        /// Where the loops' random numbers begin; `nil` for a random place.
        public var seed: UInt64?
        /// Whose pages may ask from a browser; `nil` for nobody's.
        public var allowedOrigins: AllowedOrigins?
        /// Packs and unpacks bodies; `nil` to refuse those that are packed.
        public var coder: (any ContentCoder)?
        /// Loads and unloads models when requests ask for it; `nil` where the table is all there is.
        public var repository: (any ModelRepository)?
        /// Seconds that a request may wait for a model that is loaded when it is asked for.
        public var loadTimeoutSeconds = 30
        /// By swift-log's names, told by `/v2/logging`.
        public var logLevel = "info"
        /// Answers of models that keep theirs; `nil` for none.
        public var responseCache: ResponseCache?
        /// Takes what people say of answers; `nil` where nobody does.
        public var feedback: FeedbackService?
        /// Asks shadows; `nil` where nobody does.
        public var shadows: ShadowQueue?
        /// A second level behind it that servers share; `nil` for none.
        public var sharedResponses: (any SharedResponses)?
        /// The text of `/metrics`, if the data plane is to serve it. Called on the pool.
        public var metricsText: (@Sendable () -> String)?
        /// Takes copies of requests and answers of deployments that ask for it; `nil` where none are made.
        public var events: CloudEventQueue?
        /// Takes the traces of requests; `nil` where none are traced.
        public var tracer: Tracer?
        /// A loop's way to features; `nil` where every read goes by way of their lookups.
        public var featureLanes: (@Sendable (any EventLoop) -> (any FeatureLanes)?)?
        /// Who keeps the predictions of deployments that ask for it.
        public var predictionSink: (any PredictionSink)?
        /// The version told by the server's metadata.
        public var version = "1"

        public init() {}
    }

    public let group: any EventLoopGroup
    /// The counters of each loop, to be registered with the registry that is scraped.
    public let metrics: [LoopMetrics]
    let options: Options
    /// What packs and unpacks, for the servers of the plane.
    public var coder: (any ContentCoder)? { options.coder }
    let states: [LoopState]
    let pool: InferencePool
    let explanations: InferencePool
    let statistics: PlaneStatistics
    private let newest = Mutex(ServingPlan(.empty))
    private let threads: MultiThreadedEventLoopGroup
    private let readiness = Readiness()

    /// Starts the threads.
    public init(options: Options = Options()) {
        threads = MultiThreadedEventLoopGroup(numberOfThreads: options.loops > 0 ? options.loops : System.coreCount)
        group = threads
        let pool = InferencePool(
            threads: options.poolThreads, capacity: options.poolCapacity, target: options.queueDelayTarget, niceness: 5)
        self.pool = pool
        let explanations = InferencePool(
            threads: options.explainThreads, capacity: options.explainCapacity, niceness: 10, purpose: "explanations")
        self.explanations = explanations
        let loops = threads.makeIterator().map { $0 }
        var own = options
        own.repository = own.repository.map { SettledRepository(repository: $0, loops: loops) }
        self.options = own
        let statistics = PlaneStatistics(loops: loops.map { _ in LoopMetrics() })
        self.statistics = statistics
        metrics = statistics.loops
        states = zip(loops, statistics.loops).map { [readiness, own] in
            LoopState(
                eventLoop: $0, metrics: $1, pool: pool, explanations: explanations, options: own,
                readiness: readiness, statistics: statistics)
        }
        for state in states {
            state.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in state.sweep() }
        }
    }

    /// Takes a new table; requests that begin from now on see it. Callable from any thread, in the tables' order.
    public func update(_ table: ServingTable) {
        let plan = newest.withLock { newest in
            let plan = ServingPlan(table, previous: newest, ledger: statistics.ledger)
            if table.generation >= newest.table.generation { newest = plan }
            return plan
        }
        for state in states {
            state.eventLoop.execute {
                if plan.table.generation >= state.plan.table.generation { state.plan = plan }
            }
        }
    }

    /// Whether probes are told that requests are welcome.
    public var isReady: Bool { readiness.isReady }

    /// Tells probes over HTTP and gRPC that the plane is not ready any more; requests are answered all the same. A
    /// server's shutdown begins with it, and a load balancer sees it earlier if it is called a moment before.
    public func beginDraining() { readiness.end() }

    /// Stops the threads. The servers must have been shut down before.
    public func shutdown() async {
        // The pool first: what it is at ends on the loops.
        await pool.shutdown()
        await explanations.shutdown()
        for state in states { try? await state.eventLoop.submit { state.recorder?.flush() }.get() }
        try? await threads.shutdownGracefully()
    }

    func state(for eventLoop: any EventLoop) -> LoopState {
        for state in states where state.eventLoop === eventLoop { return state }
        preconditionFailure("the channel runs on a loop that is not the plane's")
    }
}
