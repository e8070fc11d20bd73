import AerieCore
import Testing

@Suite("Pauses between tries")
struct BackoffTests {
    /// Always the same bits: all ones is the greatest chance there is, all zeros none.
    private struct Constant: RandomNumberGenerator {
        let bits: UInt64
        func next() -> UInt64 { bits }
    }

    @Test("each pause is the one before times the factor, up to the cap", arguments: [
        (2, [1, 2, 4, 8, 10, 10]), (3, [1, 3, 9, 10, 10, 10]), (1, [1, 1, 1, 1, 1, 1]),
    ] as [(Double, [Int])])
    func grows(_ factor: Double, _ seconds: [Int]) {
        let backoff = Backoff(base: .seconds(1), factor: factor, cap: .seconds(10))
        #expect((1...6).map { backoff.pause(afterFailures: $0) } == seconds.map { .seconds($0) })
    }

    @Test("no count of failures is too many, and none is as the first")
    func extremes() {
        let backoff = Backoff(base: .milliseconds(1), factor: 10, cap: .seconds(366 * 86_400))
        #expect(backoff.pause(afterFailures: .max) == .seconds(366 * 86_400))
        #expect(backoff.pause(afterFailures: 0) == .milliseconds(1))
        let steady = Backoff(base: .milliseconds(1), factor: 1, cap: .seconds(1))
        #expect(steady.pause(afterFailures: .max) == .milliseconds(1))
        #expect(Backoff(base: .zero, cap: .seconds(1)).pause(afterFailures: .max) == .zero)
        #expect(Backoff(base: .seconds(9), cap: .seconds(5)).pause(afterFailures: 1) == .seconds(5))
    }

    @Test("chance takes its share away, never more, also of the longest pause")
    func jitter() {
        let backoff = Backoff(base: .seconds(1), cap: .seconds(4), jitter: 0.5)
        var none = Constant(bits: 0)
        var most = Constant(bits: .max)
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (9, 4)] {
            #expect(backoff.pause(afterFailures: failures, using: &none) == .seconds(seconds))
        }
        let least = backoff.pause(afterFailures: 9, using: &most)
        #expect(least >= .seconds(2) && least < .seconds(2) + .milliseconds(1))
        #expect(backoff.pause(afterFailures: 1, chance: 7) == .milliseconds(500))
        #expect(Backoff(base: .seconds(1), cap: .seconds(4)).pause(afterFailures: 1, using: &most) == .seconds(1))
    }
}
