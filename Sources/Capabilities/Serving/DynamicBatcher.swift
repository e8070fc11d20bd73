public import AerieCore

/// Decides which waiting requests run together, and when: a state machine without clock, threads or tensors.
///
/// The caller adds requests, asks for the next step whenever something may have changed (a request came, a call ended,
/// the time that the last step named has come), and carries the step out. Requests run in the order in which they
/// came, urgent levels first; those of different shapes never run together; sizes are counted in rows. All times are
/// nanoseconds of one clock that never goes back.
public struct DynamicBatcher: Sendable {
    /// The caller's name for a request.
    public typealias Ticket = UInt64

    public struct Request: Sendable {
        public var ticket: Ticket
        public var rows: Int
        /// Equal for requests that may run in one call.
        public var shape: BatchShape
        /// 0 for the policy's default.
        public var priority: Int
        /// Nanoseconds after which the request itself says that its time is up; 0 if it says nothing.
        public var timeout: UInt64

        public init(ticket: Ticket, rows: Int, shape: BatchShape, priority: Int = 0, timeout: UInt64 = 0) {
            self.ticket = ticket
            self.rows = rows
            self.shape = shape
            self.priority = priority
            self.timeout = timeout
        }
    }

    /// Requests for one call of the model.
    public struct Batch: Equatable, Sendable {
        public var number: UInt64
        public var tickets: [Ticket]
        public var rows: Int
    }

    public struct Step: Equatable, Sendable {
        /// To be refused: their time is up.
        public var expired: [Ticket] = []
        /// To be run now; tell `finish` once it has.
        public var batch: Batch?
        /// When to ask again at the latest, if nothing else happens.
        public var wakeAt: UInt64?
    }

    private struct Waiting {
        var request: Request
        var arrived: UInt64
        var deadline: UInt64
    }

    private struct Level {
        var policy: BatchingPolicy.Queue
        var waiting: [Waiting] = []
        var delayed: [Waiting] = []
        var count: Int { waiting.count + delayed.count }

        /// Takes out those whose time is up; the ones that may be late go behind the others of the level.
        mutating func expire(_ now: UInt64) -> [Ticket] {
            guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
            let late = waiting.filter { $0.deadline <= now }
            waiting.removeAll { $0.deadline <= now }
            guard policy.timeoutAction == .reject else {
                delayed += late
                return []
            }
            return late.map(\.request.ticket)
        }
    }

    public let policy: BatchingPolicy
    private var levels: [Level]
    private var nextNumber: UInt64 = 0
    private var running = 0
    /// With `preservesOrdering`: calls that ended while an earlier one still ran, and the next whose answers may leave.
    private var ended: Set<UInt64> = []
    private var nextToLeave: UInt64 = 0

    public init(_ policy: BatchingPolicy) {
        self.policy = policy
        levels = (1...max(1, policy.priorityLevels)).map { Level(policy: policy.queue(of: $0)) }
    }

    /// Requests that wait.
    public var count: Int { levels.reduce(0) { $0 + $1.count } }

    /// - Throws: `invalidArgument` for more rows than one call takes or a level that there is not; `unavailable` if the
    ///   level's queue is full.
    public mutating func add(_ request: Request, now: UInt64) throws(AerieError) {
        guard request.rows <= policy.maximumBatchSize else {
            throw .invalid("inputs", "\(request.rows) rows are more than the model's batch of \(policy.maximumBatchSize)")
        }
        let level = request.priority == 0 ? policy.defaultPriorityLevel : request.priority
        guard (1...levels.count).contains(level) else {
            throw .invalid("parameters.priority", "\(level) is no level; the model has 1 to \(levels.count)")
        }
        let queue = levels[level - 1].policy
        if queue.maximumSize > 0, levels[level - 1].count >= queue.maximumSize {
            throw AerieError(
                .unavailable, "the model's queue is full (\(queue.maximumSize) requests); try again shortly",
                reason: "serving.queueFull")
        }
        var timeout = queue.timeout
        if queue.allowsTimeoutOverride, request.timeout > 0 {
            timeout = timeout == 0 ? request.timeout : min(timeout, request.timeout)
        }
        let deadline = timeout == 0 ? UInt64.max : now &+ min(timeout, .max - now)
        levels[level - 1].waiting.append(Waiting(request: request, arrived: now, deadline: deadline))
    }

    /// Forgets a request that nobody waits for any more. True if it had not begun.
    public mutating func cancel(_ ticket: Ticket) -> Bool {
        for index in levels.indices {
            let before = levels[index].count
            levels[index].waiting.removeAll { $0.request.ticket == ticket }
            levels[index].delayed.removeAll { $0.request.ticket == ticket }
            if levels[index].count < before { return true }
        }
        return false
    }

    /// What is to be done now. Ask again, with the same time, until there is no batch.
    public mutating func next(now: UInt64) -> Step {
        var step = Step()
        for index in levels.indices { step.expired += levels[index].expire(now) }
        var earliest = UInt64.max
        for level in levels {
            for waiting in level.waiting { earliest = min(earliest, waiting.deadline) }
        }
        if running < policy.instances {
            switch form(now) {
            case .nothing: break
            case .later(let time): earliest = min(earliest, time)
            case .run(let count, let rows):
                step.batch = Batch(number: nextNumber, tickets: take(count), rows: rows)
                nextNumber += 1
                running += 1
            }
        }
        if earliest < .max { step.wakeAt = earliest }
        return step
    }

    /// A call has ended.
    /// - Returns: the calls whose answers may leave now, in this order.
    public mutating func finish(_ number: UInt64) -> [UInt64] {
        running -= 1
        guard policy.preservesOrdering else { return [number] }
        ended.insert(number)
        var leaving: [UInt64] = []
        while ended.remove(nextToLeave) != nil {
            leaving.append(nextToLeave)
            nextToLeave += 1
        }
        return leaving
    }

    // MARK: Forming a batch

    private enum Formed {
        case nothing
        case later(UInt64)
        case run(count: Int, rows: Int)
    }

    private func form(_ now: UInt64) -> Formed {
        var count = 0
        var rows = 0
        var preferred: (count: Int, rows: Int)?
        var oldest = UInt64.max
        var shape: BatchShape?
        var isClosed = false
        scan: for level in levels {
            for waiting in [level.waiting, level.delayed].joined() {
                let request = waiting.request
                // The next one cannot join: nothing is gained by waiting.
                if shape.map({ $0 != request.shape }) ?? false || rows + request.rows > policy.maximumBatchSize {
                    isClosed = true
                    break scan
                }
                shape = request.shape
                count += 1
                rows += request.rows
                oldest = min(oldest, waiting.arrived)
                if policy.preferredBatchSizes.contains(rows) { preferred = (count, rows) }
            }
        }
        guard count > 0 else { return .nothing }
        if rows == policy.maximumBatchSize { return .run(count: count, rows: rows) }
        if let preferred { return .run(count: preferred.count, rows: preferred.rows) }
        let due = oldest &+ min(policy.maximumQueueDelay, .max - oldest)
        return isClosed || now >= due ? .run(count: count, rows: rows) : .later(due)
    }

    private mutating func take(_ count: Int) -> [Ticket] {
        var tickets: [Ticket] = []
        for index in levels.indices where tickets.count < count {
            let first = min(count - tickets.count, levels[index].waiting.count)
            tickets += levels[index].waiting.prefix(first).map(\.request.ticket)
            levels[index].waiting.removeFirst(first)
            let second = min(count - tickets.count, levels[index].delayed.count)
            tickets += levels[index].delayed.prefix(second).map(\.request.ticket)
            levels[index].delayed.removeFirst(second)
        }
        return tickets
    }
}
