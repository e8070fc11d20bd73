import AerieCore
import AerieHTTP
import NIOCore
import Serving

/// The instant by which a request is to be answered, on the monotonic clock in nanoseconds; the earliest of what its
/// deployment, its client and the proxies between allow.
struct RequestDeadline: Sendable, Equatable {
    /// 0 for none.
    private(set) var instant: UInt64 = 0

    mutating func shorten(to other: UInt64) {
        if other > 0, instant == 0 || other < instant { instant = other }
    }

    /// - Parameter nanoseconds: 0 for no limit.
    mutating func shorten(to nanoseconds: UInt64, after start: UInt64) {
        if nanoseconds > 0 { shorten(to: start &+ nanoseconds) }
    }

    /// What is told of a request that is late.
    static let passed = AerieError(
        .deadlineExceeded, "the request's time was up before its answer was there", reason: "serving.timeout")
}

extension InferenceConnection {
    /// - Throws: `invalidArgument` for a header field that is no number.
    func deadline(
        _ limits: RequestLimits, _ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer
    ) throws(AerieError) -> RequestDeadline {
        var deadline = RequestDeadline()
        deadline.shorten(to: limits.restTimeout, after: exchange.start)
        let told = exchange.head.expectedTimeout
        guard !told.isEmpty else { return deadline }
        guard let milliseconds = decimalNumber(UnsafeRawBufferPointer(rebasing: request[told])),
            milliseconds < 1 << 40
        else { throw .invalid("X-Envoy-Expected-Rq-Timeout-Ms", "is no number of milliseconds") }
        deadline.shorten(to: UInt64(milliseconds) * 1_000_000, after: exchange.start)
        return deadline
    }
}

extension RequestLimits {
    /// Of a call over gRPC.
    func deadline(of call: UInt64, start: UInt64) -> RequestDeadline {
        var deadline = RequestDeadline()
        deadline.shorten(to: call)
        deadline.shorten(to: grpcTimeout, after: start)
        return deadline
    }
}

extension PredictorPlan {
    /// Of a call over gRPC.
    func deadline(of call: UInt64, start: UInt64) -> RequestDeadline { served.limits.deadline(of: call, start: start) }

    /// - Throws: `resourceExhausted` for a message over gRPC that is longer than the deployment allows.
    func checkMessage(_ bytes: Int, _ what: StaticString) throws(AerieError) {
        let limit = served.limits.grpcMessageBytes
        guard limit > 0, bytes > limit else { return }
        throw AerieError(
            .resourceExhausted,
            "the \(what) of \(bytes) bytes is longer than the \(limit) that \(deploymentName) allows; raise "
                + "seldon.io/grpc-max-message-size", reason: "serving.messageSize")
    }
}

extension LoopState {
    /// Begins work for a request. Where it has a deadline and the answer is not there by then, `completion` is told so,
    /// on this loop; what has not begun is left out, and the answer of what has is dropped.
    /// - Parameter begin: gets the interest and the completion that the work is to be begun with.
    func within<Value: Sendable>(
        _ deadline: RequestDeadline, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<Value, AerieError>) -> Void,
        _ begin: (Interest, @escaping @Sendable (Result<Value, AerieError>) -> Void) throws(AerieError)
            -> Result<Value, AerieError>?
    ) throws(AerieError) -> Result<Value, AerieError>? {
        guard deadline.instant > 0 else { return try begin(interest, completion) }
        let now = monotonicNanoseconds()
        guard deadline.instant > now else { throw RequestDeadline.passed }
        let race = DeadlineRace(within: interest)
        let result = try begin(race.interest) { result in
            race.timer?.cancel()
            completion(result)
        }
        // No answer comes from within `begin`: it would be its result.
        guard result == nil else { return result }
        race.timer = eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: deadline.instant &- now))) {
            guard !race.interest.hasEnded else { return }
            race.interest.end()
            completion(.failure(RequestDeadline.passed))
        }
        return nil
    }
}

/// A request between its answer and its deadline. On its loop only, hence `@unchecked Sendable`.
private final class DeadlineRace: @unchecked Sendable {
    let interest: Interest
    var timer: Scheduled<Void>?

    init(within outer: Interest) { interest = Interest(within: outer) }
}
