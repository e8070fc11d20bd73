import AerieCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A router that learns from rewards which child answers best, and goes on trying the others.
///
/// Thread-safe; a lock for the time of a choice. What it knows is kept by `BanditRegistry`, so that a new table, a
/// restart or a crash does not make it forget.
final class BanditRouter: GraphRouter {
    enum Policy: Sendable, Hashable {
        /// The best child by its mean, with this probability any child.
        case epsilonGreedy(Double)
        /// Each child as often as it is likely to be the best (Thompson 1933): one draw from each posterior, the
        /// largest wins.
        case thompsonSampling
    }

    private struct State {
        var arms: [BanditArm]
        var generator: SplitMix
        var isFrozen: Bool
        /// Thompson's choice as probabilities, estimated by draws.
        var shares: [Double] = []
        var routesSinceShares = 0
        /// Something was learned since the shares were estimated.
        var areSharesOld = true
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
        state = Mutex(State(arms: arms, generator: SplitMix(seed: seed), isFrozen: isFrozen))
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

    /// Takes a reward for a choice; nothing happens if the arm serves another version by now, or the router is frozen.
    func learn(arm: Int, version: String, reward: Double, rows: Int) {
        state.withLock { state in
            guard !state.isFrozen, state.arms.indices.contains(arm), state.arms[arm].version == version else { return }
            state.arms[arm].learn(reward: reward, rows: rows)
            state.areSharesOld = true
        }
    }

    /// An answer that did not come is worth nothing. Counted in memory only: what fails often shows itself again.
    func failed(_ choice: RouteChoice, rows: Int) {
        learn(arm: choice.child, version: choice.version, reward: 0, rows: rows)
    }

    /// Puts arms that serve another version back to the beginning.
    /// - Returns: their places.
    func take(versions: [String], isFrozen: Bool) -> [Int] {
        state.withLock { state in
            state.isFrozen = isFrozen
            let changed = versions.indices.filter {
                !state.arms.indices.contains($0) || state.arms[$0].version != versions[$0]
            }
            state.arms = versions.indices.map { place in
                changed.contains(place) ? BanditArm(version: versions[place]) : state.arms[place]
            }
            state.areSharesOld = true
            return changed
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
