import AerieCore
import AerieHTTP
import NIOCore
import Serving
#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Refusing before reading: while more comes than the pool can take, what a refused request costs is taken from those
/// that are answered.
extension LoopState {
    /// Refuses a request that would wait longer for its model than it may, by its size alone. Two loads while the pool
    /// keeps up.
    /// - Parameters:
    ///   - bytes: of its body, without what only describes it.
    ///   - isText: whether its numbers are written out.
    /// - Throws: `resourceExhausted`.
    @inline(__always)
    func admit(_ plan: PredictorPlan, bytes: Int, isText: Bool) throws(AerieError) {
        guard pool.isPressed else { return }
        try admitPressed(plan, bytes: bytes, isText: isText)
    }

    private func admitPressed(_ plan: PredictorPlan, bytes: Int, isText: Bool) throws(AerieError) {
        guard plan.isSlow(bytes: bytes, isText: isText, within: options.inlineNanoseconds),
            let refusal = pool.refusal(plan.served.limits.queueDelay)
        else { return }
        rest()
        throw refusal
    }

    /// Sleeps for a moment at the end of a turn in which somebody was refused, once the turn's answers have left: what
    /// comes meanwhile is read together. The loop would else take the processor from the models for each request that
    /// comes, and a turn for one costs more than the request. What the pool has answered waits as long.
    func rest() {
        guard !isResting else { return }
        isResting = true
        eventLoop.execute { [self] in
            sendHeld()
            // Who asks for models that the loop runs itself is not to wait for those of the pool.
            if !hasPredicted { usleep(Self.restMicroseconds) }
            (isResting, hasPredicted) = (false, false)
        }
    }

    private static let restMicroseconds: UInt32 = 1000
}

extension PredictorPlan {
    /// Whether a request of so many bytes goes to the pool for certain: not where its answer may be known already, nor
    /// where it may have so few rows that the loop answers it.
    func isSlow(bytes: Int, isText: Bool, within nanoseconds: Double) -> Bool {
        if cachesAnswers { return false }
        if batcher != nil || nanosecondsPerRow > nanoseconds { return true }
        guard bytesPerRow > 0 else { return false }
        let rows = bytes / (isText ? Self.textFactor * bytesPerRow : bytesPerRow)
        return nanosecondsPerRow * Double(rows) > nanoseconds
    }

    /// A number takes at most so many times its bytes when it is written out: 24 characters for an FP32 of 4 bytes.
    private static let textFactor = 6
}
