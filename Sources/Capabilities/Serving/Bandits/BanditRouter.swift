import AerieCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A router that learns from rewards which child answers best, and goes on trying the others.
///
/// Thread-safe; a lock for the time of a choice. What it knows is a copy of what the store has, which `BanditRegistry`
/// looks after, so that a new table, a restart or a crash does not make it forget, and several servers know the same.
final class BanditRouter: GraphRouter {
    enum Policy: Sendable, Hashable {
        /// The best child by its mean, with this probability any child.
        case epsilonGreedy(Double)
        /// Each child as often as it is likely to be the best (Thompson 1933): one draw from each posterior, the
        /// largest wins.
        case thompsonSampling
    }

    private struct State {
        /// As the store has them, with the failures added.
        var arms: [BanditArm]
        /// Rows whose answers did not come, by arm: of this process alone.
        var failures: [Int]
        /// How often what was learned has changed here.
        var changes = 0
        var generator: SplitMix
        var isFrozen: Bool
        /// Thompson's choice as probabilities, estimated by draws.
        var shares: [Double] = []
        var routesSinceShares = 0
        /// Something was learned since the shares were estimated.
        var areSharesOld = true

        mutating func set(_ arm: BanditArm, at place: Int) {
            arms[place] = arm
            arms[place].penalty += Double(failures[place])
            areSharesOld = true
        }
    }

    let key: BanditKey
    let policy: Policy
    private let state: Mutex<State>
    /// Draws for an estimate, and how often at most one is made, in choices.
    private static let draws = 400
    private static let routesBetweenEstimates = 32

    init(key: BanditKey, policy: Policy, arms: [BanditArm], seed: UInt64?, isFrozen: Bool) {
        self.key = key
        self.policy = policy
        state = Mutex(
            State(
                arms: arms, failures: arms.map { _ in 0 }, generator: SplitMix(seed: seed), isFrozen: isFrozen))
    }

    var arms: [BanditArm] { state.withLock { $0.arms } }
    var isFrozen: Bool { state.withLock { $0.isFrozen } }

    func route(_ message: GraphMessage, children: Int) throws(AerieError) -> RouteChoice {
        let choice = state.withLock { state -> RouteChoice? in
            guard state.arms.count == children, children > 0 else { return nil }
            switch policy {
            case .epsilonGreedy(let epsilon): return Self.greedy(&state, epsilon)
            case .thompsonSampling: return Self.thompson(&state)
            }
        }
        guard let choice else { throw AerieError(.internal, "the router has other arms than children") }
        return choice
    }

    /// Takes what the store knows of an arm after a reward; nothing happens if the arm serves another version by now,
    /// or has heard of later rewards already.
    func learned(_ arm: BanditArm, at place: Int) {
        state.withLock { state in
            guard state.arms.indices.contains(place), state.arms[place].version == arm.version,
                state.arms[place].feedbacks < arm.feedbacks
            else { return }
            state.set(arm, at: place)
            state.changes += 1
        }
    }

    /// An answer that did not come is worth nothing. Counted in memory only: what fails often shows itself again.
    func failed(_ choice: RouteChoice, rows: Int) {
        state.withLock { state in
            guard !state.isFrozen, state.arms.indices.contains(choice.child),
                state.arms[choice.child].version == choice.version
            else { return }
            state.failures[choice.child] += rows
            state.arms[choice.child].penalty += Double(rows)
            state.areSharesOld = true
        }
    }

    /// Whether arms of these versions are what it knows of.
    func serves(_ versions: [String]) -> Bool { state.withLock { $0.arms.map(\.version) == versions } }

    /// Lets the arms be these; failures of those that go on serving their version stay.
    func take(_ arms: [BanditArm]) {
        state.withLock { state in
            let before = state
            state.arms = arms
            state.failures = arms.indices.map { place in
                let isSame = before.arms.indices.contains(place) && before.arms[place].version == arms[place].version
                return isSame ? before.failures[place] : 0
            }
            for place in arms.indices { state.set(arms[place], at: place) }
            state.changes += 1
        }
    }

    func freeze(_ isFrozen: Bool) { state.withLock { $0.isFrozen = isFrozen } }

    /// To be told to `refresh` with what the store says after it was asked for.
    var changes: Int { state.withLock { $0.changes } }

    /// Takes what other servers taught the store. What was learned here since `changes` was asked for stays, if it may
    /// be newer.
    func refresh(_ kept: [Int: BanditArm], since changes: Int) {
        state.withLock { state in
            for (place, arm) in kept where state.arms.indices.contains(place) {
                let known = state.arms[place]
                guard known.version == arm.version, known.feedbacks != arm.feedbacks,
                    state.changes == changes || known.feedbacks < arm.feedbacks
                else { continue }
                state.set(arm, at: place)
            }
        }
    }

    // MARK: Policies

    private static func greedy(_ state: inout State, _ epsilon: Double) -> RouteChoice {
        let count = state.arms.count
        let best = state.arms.map(\.mean).max() ?? 0
        let leaders = state.arms.indices.filter { state.arms[$0].mean == best }
        let isExploring = state.generator.unit() < epsilon
        let candidates = isExploring ? Array(state.arms.indices) : leaders
        let arm = candidates[Int(state.generator.next(upperBound: UInt64(candidates.count)))]
        let greedily = leaders.contains(arm) ? (1 - epsilon) / Double(leaders.count) : 0
        return RouteChoice(
            child: arm, propensity: epsilon / Double(count) + greedily, version: state.arms[arm].version)
    }

    private static func thompson(_ state: inout State) -> RouteChoice {
        state.routesSinceShares += 1
        let isDue = state.shares.count != state.arms.count || state.routesSinceShares >= routesBetweenEstimates
        if state.areSharesOld, isDue {
            var wins = [Int](repeating: 0, count: state.arms.count)
            for _ in 0..<draws { wins[winner(&state)] += 1 }
            // No choice is impossible; one half in place of none keeps its propensity above zero.
            state.shares = wins.map { max(Double($0), 0.5) / Double(draws) }
            state.routesSinceShares = 0
            state.areSharesOld = false
        }
        let arm = winner(&state)
        return RouteChoice(child: arm, propensity: state.shares[arm], version: state.arms[arm].version)
    }

    private static func winner(_ state: inout State) -> Int {
        var best = 0
        var highest = -1.0
        for place in state.arms.indices {
            let arm = state.arms[place]
            let draw = BetaSampler.draw(1 + arm.reward, 1 + arm.penalty, &state.generator)
            if draw > highest {
                highest = draw
                best = place
            }
        }
        return best
    }
}

/// Draws from beta distributions as ratios of gamma draws (Marsaglia and Tsang 2000); both parameters are at least 1.
enum BetaSampler {
    static func draw(_ alpha: Double, _ beta: Double, _ generator: inout SplitMix) -> Double {
        let first = gamma(alpha, &generator)
        return first / (first + gamma(beta, &generator))
    }

    private static func gamma(_ shape: Double, _ generator: inout SplitMix) -> Double {
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal(&generator)
            let root = 1 + c * x
            guard root > 0 else { continue }
            let v = root * root * root
            let u = generator.unit()
            if log(u) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }

    /// Box and Muller 1958.
    private static func normal(_ generator: inout SplitMix) -> Double {
        (-2 * log(generator.unit())).squareRoot() * cos(2 * Double.pi * generator.unit())
    }
}
