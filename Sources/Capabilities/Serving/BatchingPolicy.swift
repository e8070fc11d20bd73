/// How requests for one model are put together into larger calls of it: Triton's dynamic batcher, by the names and the
/// meanings of its configuration.
public struct BatchingPolicy: Hashable, Sendable {
    /// What may wait, and how long.
    public struct Queue: Hashable, Sendable {
        public enum TimeoutAction: String, Hashable, Sendable {
            /// A request whose time is up is refused.
            case reject = "REJECT"
            /// It waits until those of its level, and of the levels before, whose time is not up have run.
            case delay = "DELAY"
        }

        public var timeoutAction = TimeoutAction.reject
        /// Nanoseconds; 0 for no limit.
        public var timeout: UInt64 = 0
        /// Whether a request may shorten the time for itself. It can never lengthen it.
        public var allowsTimeoutOverride = false
        /// Requests that may wait; 0 for no limit but the server's own.
        public var maximumSize = 0

        public init() {}
    }

    /// Rows of one call.
    public var maximumBatchSize: Int
    /// Rows of the calls that the model is quickest at; ascending, empty where it does not matter.
    public var preferredBatchSizes: [Int] = []
    /// Nanoseconds that the oldest request may wait for others though the model is free.
    public var maximumQueueDelay: UInt64 = 0
    /// Whether answers leave in the order in which their requests came, whatever ran first.
    public var preservesOrdering = false
    /// 1 is the most urgent level.
    public var priorityLevels = 1
    public var defaultPriorityLevel = 1
    public var defaultQueue = Queue()
    /// By level, where it differs from the default.
    public var queues: [Int: Queue] = [:]
    /// Calls of the model that may run at once.
    public var instances = 1

    public static let usualBatchSize = 64

    public init(maximumBatchSize: Int = usualBatchSize) { self.maximumBatchSize = maximumBatchSize }

    func queue(of level: Int) -> Queue { queues[level] ?? defaultQueue }
}
