import AerieCore
import Load
import NIOCore

/// Sends requests when they are due and counts their answers, on one event loop.
///
/// With an open pace the n-th request is due at `begin + n / rate`: what has not been sent yet is known from two
/// numbers, so waiting requests cost no memory however far a server falls behind.
///
/// `@unchecked Sendable`: made on any thread, from then on touched on its event loop only.
final class LoadEngine: @unchecked Sendable {
    private let loop: any EventLoop
    private let plan: LoadPlan
    private let connect: (LoadEngine) -> EventLoopFuture<Void>
    private let payloadCount: Int
    /// Nanoseconds between two requests; `nil` for a closed pace.
    private let interval: Double?

    private var connections: [any LoadConnection] = []
    private var cursor = 0
    private var next = 0
    private var sent = 0
    private var begin: UInt64 = 0
    private var from: UInt64 = .max
    private var until: UInt64 = .max
    private var lastAnswer: UInt64 = 0
    private var isStopped = false
    private var timer: Scheduled<Void>?
    private var result: LoadResult
    private var problem: AerieError?
    private let done: EventLoopPromise<LoadResult>

    /// - Parameter connect: opens one more connection to the engine, which hears of it through `opened`.
    init(
        loop: any EventLoop, plan: LoadPlan, payload: LoadPayload,
        connect: @escaping (LoadEngine) -> EventLoopFuture<Void>
    ) {
        self.loop = loop
        self.plan = plan
        self.connect = connect
        payloadCount = payload.requests.count
        if case .open(let rate) = plan.pace { interval = 1e9 * Double(plan.threads) / rate } else { interval = nil }
        result = LoadResult(rowsPerRequest: payload.rows)
        done = loop.makePromise()
    }

    /// The result, once the run is over.
    var finished: EventLoopFuture<LoadResult> { done.futureResult }
    /// Why a connection was given up, if one was.
    var lastProblem: AerieError? { problem }

    // MARK: The run

    /// Begins to send. The connections are open.
    func start() {
        begin = monotonicNanoseconds()
        from = begin + UInt64(plan.warmup * 1e9)
        until = from + UInt64(plan.duration * 1e9)
        loop.scheduleTask(in: .nanoseconds(Int64(until - begin))) { self.endSending() }
        pump()
    }

    /// Stops early.
    func cancel() {
        guard !isStopped else { return }
        until = min(until, monotonicNanoseconds())
        endSending()
    }

    private func endSending() {
        guard !isStopped else { return }
        isStopped = true
        timer?.cancel()
        pump()
        let deadline = monotonicNanoseconds() + 2_000_000_000
        waitForAnswers(until: deadline)
    }

    private func waitForAnswers(until deadline: UInt64) {
        // What fell due before the end and found no room is sent all the same: it is late, and not without an answer.
        let isBehind = interval.map { begin + UInt64(Double(sent) * $0) < until } ?? false
        let waiting = connections.reduce(0) { $0 + $1.waiting }
        if waiting > 0 || isBehind, monotonicNanoseconds() < deadline {
            loop.scheduleTask(in: .milliseconds(5)) { self.waitForAnswers(until: deadline) }
            return
        }
        finish()
    }

    private func finish() {
        result.seconds = from < until ? Double(until - from) / 1e9 : 0
        if let interval {
            let upTo = { (moment: UInt64) in Int((Double(moment &- self.begin) / interval).rounded(.up)) }
            result.due = from < until ? max(0, upTo(until) - upTo(from)) : 0
            let counted = result.statuses.values.reduce(0, +)
            if result.due > counted { result.statuses[LoadResult.unanswered, default: 0] += result.due - counted }
            // What was answered late took longer than the part that is measured.
            if lastAnswer > until { result.seconds = Double(lastAnswer - from) / 1e9 }
        }
        let open = connections
        connections = []
        open.forEach { $0.close() }
        done.succeed(result)
    }

    // MARK: From the connections

    func opened(_ connection: any LoadConnection) {
        guard !isStopped else { return connection.close() }
        connections.append(connection)
        if begin > 0 { pump() }
    }

    func closed(_ connection: any LoadConnection) {
        connections.removeAll { $0 === connection }
        guard !isStopped else { return }
        // Not at once: a server that refuses would be asked without end.
        loop.scheduleTask(in: .milliseconds(50)) { self.reconnect() }
    }

    private func reconnect() {
        guard !isStopped, connections.count < plan.connections / plan.threads + 1 else { return }
        connect(self).whenFailure { [self] _ in
            guard !isStopped else { return }
            loop.scheduleTask(in: .milliseconds(200)) { self.reconnect() }
        }
    }

    func note(_ error: AerieError) { problem = error }

    func answered(due: UInt64, status: Int) {
        let now = monotonicNanoseconds()
        // An open pace counts what fell due in the measured part, a closed one what was answered in it.
        let moment = interval == nil ? now : due
        guard moment >= from, moment < until else { return }
        result.statuses[status, default: 0] += 1
        lastAnswer = max(lastAnswer, now)
        if plan.isSuccess(status) { result.latency.record(nanoseconds: now &- due) }
    }

    // MARK: Sending

    /// Sends what is due and finds room.
    func pump() {
        guard begin > 0, !isStopped || interval != nil else { return }
        let now = monotonicNanoseconds()
        if let interval { pumpOpen(now, interval) } else { while sendOne(due: now) {} }
        for connection in connections { connection.flush() }
    }

    private func pumpOpen(_ now: UInt64, _ interval: Double) {
        var hasRoom = true
        while hasRoom {
            let due = begin + UInt64(Double(sent) * interval)
            guard due <= now, due < until else { break }
            hasRoom = sendOne(due: due)
            guard hasRoom else { break }
            sent += 1
            if due >= from { result.latest = max(result.latest, Double(now - due) / 1e9) }
        }
        // Without room, the next answer pumps.
        guard hasRoom, timer == nil, !isStopped else { return }
        let due = begin + UInt64(Double(sent) * interval)
        let wait = Int64(due > now ? due - now : 0)
        timer = loop.scheduleTask(in: .nanoseconds(max(wait, 10_000))) {
            self.timer = nil
            self.pump()
        }
    }

    /// - Returns: false if no connection has room.
    private func sendOne(due: UInt64) -> Bool {
        for _ in 0..<connections.count {
            cursor = cursor + 1 >= connections.count ? 0 : cursor + 1
            guard connections[cursor].room > 0 else { continue }
            connections[cursor].send(next, due: due)
            next = next + 1 == payloadCount ? 0 : next + 1
            return true
        }
        return false
    }

    // MARK: Progress

    /// What has been measured so far.
    var snapshot: LoadResult { result }
    var isWarmingUp: Bool { monotonicNanoseconds() < from }
    var fraction: Double {
        guard begin > 0, until > begin else { return 0 }
        return min(1, Double(monotonicNanoseconds() &- begin) / Double(until - begin))
    }
}

extension LoadPlan {
    /// HTTP's 2xx; gRPC's OK.
    func isSuccess(_ status: Int) -> Bool {
        transport == .http ? (200..<300).contains(status) : status == 0
    }
}
