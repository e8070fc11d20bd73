import AerieCore
import AerieData
import AerieJSON
import AerieTelemetry
import Logging
import Synchronization
import Testing

@testable import Serving

/// The port's contract in memory.
final class MemoryBanditStore: BanditStore {
    private struct State {
        var arms: [BanditKey: [Int: BanditArm]] = [:]
        var decisions: [BanditDecision] = []
        var rewards: [String: BanditReward] = [:]
    }
    private let state = Mutex(State())

    func arms(_ keys: [BanditKey]) async throws(AerieError) -> [BanditKey: [Int: BanditArm]] {
        state.withLock { state in state.arms.filter { keys.contains($0.key) } }
    }

    func begin(_ versions: [String], of key: BanditKey) async throws(AerieError) -> [BanditArm] {
        state.withLock { state in
            versions.enumerated().map { place, version in
                if let arm = state.arms[key]?[place], arm.version == version { return arm }
                state.arms[key, default: [:]][place] = BanditArm(version: version)
                return BanditArm(version: version)
            }
        }
    }

    func append(_ decisions: [BanditDecision]) async throws(AerieError) {
        state.withLock { $0.decisions += decisions }
    }

    func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision] {
        state.withLock { state in
            state.decisions.filter {
                $0.puid == puid && $0.key.namespace == namespace && $0.key.deployment == deployment
            }
        }
    }

    func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [BanditRewardOutcome] {
        state.withLock { state in
            rewards.map { reward in
                let name = "\(reward.key) \(reward.puid)"
                guard state.rewards[name] == nil else { return BanditRewardOutcome(isNew: false, arm: nil) }
                state.rewards[name] = reward
                guard reward.counts, state.arms[reward.key]?[reward.arm]?.version == reward.version else {
                    return BanditRewardOutcome(isNew: true, arm: nil)
                }
                state.arms[reward.key]?[reward.arm]?.learn(reward: reward.reward, rows: reward.rows)
                return BanditRewardOutcome(isNew: true, arm: state.arms[reward.key]?[reward.arm])
            }
        }
    }

    func expire(before time: Timestamp) async throws(AerieError) {}
    func remove(namespace: String, deployment: String) async throws(AerieError) {
        state.withLock { $0.arms = $0.arms.filter { $0.key.deployment != deployment } }
    }
}

@Suite("Bandits")
struct BanditTests {
    private let store = MemoryBanditStore()
    private let key = BanditKey(namespace: "default", deployment: "d", predictor: "p", node: "router")
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func registry() -> BanditRegistry {
        BanditRegistry(store: store, decisions: DecisionLog(store: store, clock: ManualClock(), logger: logger))
    }

    private func router(
        _ registry: BanditRegistry, _ policy: BanditRouter.Policy = .thompsonSampling, _ versions: [String] = ["1", "1"],
        isFrozen: Bool = false
    ) async throws -> BanditRouter {
        try await registry.router(key, policy: policy, versions: versions, seed: 11, isFrozen: isFrozen)
    }

    private func deployment(_ router: BanditRouter, _ registry: BanditRegistry) -> ServedDeployment {
        let children = ["a", "b"].map {
            GraphNode(name: $0, image: "simple-model", unit: .fixed(SimpleModel()), children: [], slot: -1)
        }
        let root = GraphNode(name: "router", image: "thompson", unit: .router(router), children: children, slot: -1)
        let graph = GraphModel(
            root: root, place: GraphPlace(namespace: "default", deployment: "d", predictor: "p"), fingerprint: "",
            decisions: registry.decisions)
        return ServedDeployment(name: "d", namespace: "default", predictors: [
            ServedPredictor(
                name: "p", weight: 100, modelName: "router", modelVersion: "1", modelURI: "", model: graph,
                metricsSlot: 0)
        ])
    }

    private func ask(_ deployment: ServedDeployment, _ puid: String, rows: Int = 1) throws -> Int {
        let tensor = Tensor(
            name: "", dataType: .fp64, shape: [rows, 1], elements: [Double](repeating: 0, count: rows))
        let graph = try #require(deployment.predictors[0].graph)
        let answer = try graph.run(GraphMessage(.tensors([tensor]), meta: GraphMeta(puid: puid)), service: .predictions)
        return try #require(answer.meta.routing["router"])
    }

    @Test("the better child gets most of the traffic, the other some", arguments: [
        BanditRouter.Policy.thompsonSampling, .epsilonGreedy(0.1),
    ])
    func converges(_ policy: BanditRouter.Policy) async throws {
        let registry = registry()
        let router = try await router(registry, policy)
        let deployment = deployment(router, registry)
        let feedback = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
        var generator = SplitMix(seed: 5)
        var last = [0, 0]
        for request in 0..<3000 {
            let arm = try ask(deployment, "p\(request)")
            let reward = generator.unit() < (arm == 0 ? 0.3 : 0.6) ? 1.0 : 0.0
            _ = try await feedback.take(Feedback(puid: "p\(request)", routing: [:], reward: reward), for: deployment)
            if request >= 2000 { last[arm] += 1 }
        }
        #expect(last[1] > 850 && last[1] < 1000, "\(last)")
        #expect(router.arms.allSatisfy { $0.feedbacks > 0 })
    }

    @Test("the propensities of a policy are the shares of its choices")
    func propensities() async throws {
        for policy in [BanditRouter.Policy.thompsonSampling, .epsilonGreedy(0.2)] {
            let router = BanditRouter(
                key: key, policy: policy,
                arms: [BanditArm(version: "1", reward: 6, penalty: 4), BanditArm(version: "1", reward: 5, penalty: 5)],
                seed: 3, isFrozen: false)
            var counts = [0, 0]
            var told = [0.0, 0.0]
            let message = GraphMessage(.text(""))
            for _ in 0..<4000 {
                let choice = try router.route(message, children: 2)
                counts[choice.child] += 1
                told[choice.child] = try #require(choice.propensity)
            }
            for arm in 0..<2 { #expect(abs(Double(counts[arm]) / 4000 - told[arm]) < 0.06, "\(policy) \(counts) \(told)") }
        }
    }

    @Test("fractional rewards add up for each row; the same puid counts once")
    func rewards() async throws {
        let registry = registry()
        let router = try await router(registry)
        let deployment = deployment(router, registry)
        let feedback = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
        let arm = try ask(deployment, "batch", rows: 4)
        let first = try await feedback.take(Feedback(puid: "batch", routing: [:], reward: 0.25), for: deployment)
        let second = try await feedback.take(Feedback(puid: "batch", routing: [:], reward: 1), for: deployment)
        #expect(first.isNew && !second.isNew && first.routing == ["router": arm])
        #expect(router.arms[arm] == BanditArm(version: "1", reward: 1, penalty: 3, feedbacks: 1))
        let other = Feedback(puid: "", routing: ["router": 1 - arm], reward: 0.5, rows: 2)
        _ = try await feedback.take(other, for: deployment)
        #expect(router.arms[1 - arm] == BanditArm(version: "1", reward: 1, penalty: 1, feedbacks: 1))
    }

    @Test("feedback that leads nowhere is refused", arguments: [
        (Feedback(puid: "nobody", routing: [:], reward: 1), AerieError.Code.notFound),
        (Feedback(puid: "", routing: ["router": 7], reward: 1), .invalidArgument),
        (Feedback(puid: "", routing: ["router": 0], reward: 1.5), .invalidArgument),
        (Feedback(puid: "", routing: ["router": 0], reward: .nan), .invalidArgument),
    ])
    func refused(_ feedback: Feedback, _ code: AerieError.Code) async throws {
        let registry = registry()
        let router = try await router(registry)
        let service = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
        let error = await #expect(throws: AerieError.self) {
            try await service.take(feedback, for: self.deployment(router, registry))
        }
        #expect(error?.code == code)
        #expect(router.arms.allSatisfy { $0.feedbacks == 0 })
    }

    @Test("what was learned outlives the process; a new version of an arm begins again")
    func restart() async throws {
        let first = registry()
        let router1 = try await router(first)
        let service = FeedbackService(bandits: first, metrics: nil, clock: ManualClock())
        for arm in 0...1 {
            _ = try await service.take(
                Feedback(puid: "x\(arm)", routing: ["router": arm], reward: 1), for: deployment(router1, first))
        }
        let second = registry()
        let router2 = try await router(second)
        #expect(router2.arms == router1.arms && router2.arms[0].reward == 1)
        #expect(try await router(second) === router2)
        let renewed = try await router(second, .thompsonSampling, ["1", "2"])
        #expect(renewed === router2)
        #expect(renewed.arms == [BanditArm(version: "1", reward: 1, feedbacks: 1), BanditArm(version: "2")])
        #expect(try await store.arms([key])[key]?[1] == BanditArm(version: "2"))
    }

    @Test("servers that share a store know the same, and one that rolls a version out late forgets nothing of it")
    func shared() async throws {
        let (here, there) = (registry(), registry())
        let (mine, theirs) = (try await router(here), try await router(there))
        let services = [here, there].map { FeedbackService(bandits: $0, metrics: nil, clock: ManualClock()) }
        func reward(_ server: Int, _ puid: String, _ reward: Double = 1) async throws {
            let deployment = server == 0 ? deployment(mine, here) : deployment(theirs, there)
            _ = try await services[server].take(
                Feedback(puid: puid, routing: ["router": 1], reward: reward), for: deployment)
        }
        try await reward(0, "a")
        try await reward(1, "b", 0.5)
        // Whoever teaches hears what the others taught; who does not, asks.
        #expect(theirs.arms[1] == BanditArm(version: "1", reward: 1.5, penalty: 0.5, feedbacks: 2))
        #expect(mine.arms[1].feedbacks == 1)
        mine.failed(RouteChoice(child: 1, propensity: 0.5, version: "1"), rows: 3)
        try await here.refresh()
        #expect(mine.arms[1] == BanditArm(version: "1", reward: 1.5, penalty: 3.5, feedbacks: 2))
        // The same request, told to both, counts once.
        try await reward(1, "a")
        #expect(theirs.arms[1].feedbacks == 2)
        _ = try await router(here, .thompsonSampling, ["1", "2"])
        try await reward(0, "c")
        try await there.refresh()
        #expect(theirs.arms[1].version == "1")
        _ = try await router(there, .thompsonSampling, ["1", "2"])
        #expect(theirs.arms[1] == BanditArm(version: "2", reward: 1, feedbacks: 1))
        #expect(mine.arms[1] == theirs.arms[1])
    }

    @Test("an answer of the store that is older than what was learned meanwhile is not taken")
    func staleRefresh() async throws {
        let router = try await router(registry())
        let asked = router.changes
        router.learned(BanditArm(version: "1", reward: 2, feedbacks: 2), at: 0)
        router.refresh([0: BanditArm(version: "1", reward: 1, feedbacks: 1)], since: asked)
        #expect(router.arms[0].feedbacks == 2)
        // Asked anew, the store is right: somebody removed the deployment and began it again.
        router.refresh([0: BanditArm(version: "1", reward: 1, feedbacks: 1)], since: router.changes)
        #expect(router.arms[0] == BanditArm(version: "1", reward: 1, feedbacks: 1))
    }

    @Test("a request that calls itself by what no store can hold keeps no other's choices from the store")
    func unkeepable() async throws {
        let registry = registry()
        let deployment = deployment(try await router(registry), registry)
        for puid in ["a\u{0}b", String(repeating: "x", count: 513)] {
            _ = try ask(deployment, puid)
            #expect(try await registry.decisions.decisions(puid: puid, namespace: "default", deployment: "d").isEmpty)
            let service = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
            let error = await #expect(throws: AerieError.self) {
                try await service.take(Feedback(puid: puid, routing: ["router": 0], reward: 1), for: deployment)
            }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test("feedback for a version that is gone is kept and teaches nothing")
    func lateFeedback() async throws {
        let registry = registry()
        let router = try await router(registry)
        let deployment = deployment(router, registry)
        let arm = try ask(deployment, "late")
        _ = try await self.router(registry, .thompsonSampling, ["2", "2"])
        let service = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
        #expect(try await service.take(Feedback(puid: "late", routing: [:], reward: 1), for: deployment).isNew)
        #expect(router.arms[arm] == BanditArm(version: "2"))
    }

    @Test("a frozen router routes and does not learn; a failing child is worth nothing")
    func frozen() async throws {
        let registry = registry()
        let router = try await router(registry, .thompsonSampling, ["1", "1"], isFrozen: true)
        let deployment = deployment(router, registry)
        let service = FeedbackService(bandits: registry, metrics: nil, clock: ManualClock())
        _ = try ask(deployment, "f")
        #expect(try await service.take(Feedback(puid: "f", routing: [:], reward: 1), for: deployment).isNew)
        #expect(router.arms.allSatisfy { $0.feedbacks == 0 })
        _ = try await self.router(registry)
        router.failed(RouteChoice(child: 1, propensity: 0.5, version: "1"), rows: 2)
        #expect(router.arms[1].penalty == 2)
    }

    @Test("choices wait for the store in a bounded buffer and can be found all the while")
    func decisionLog() async throws {
        let log = DecisionLog(store: store, clock: ManualClock(), logger: logger)
        let place = GraphPlace(namespace: "default", deployment: "d", predictor: "p")
        let choice = RouteDecision(node: "router", arm: 1, version: "1", propensity: 0.5, rows: 1)
        log.append([choice], puid: "a", of: place)
        #expect(try await log.decisions(puid: "a", namespace: "default", deployment: "d").map(\.arm) == [1])
        #expect(try await log.decisions(puid: "a", namespace: "other", deployment: "d").isEmpty)
        try await log.flush()
        #expect(try await log.decisions(puid: "a", namespace: "default", deployment: "d").map(\.arm) == [1])
        for number in 0...DecisionLog.capacity { log.append([choice], puid: "\(number)", of: place) }
        #expect(log.dropped == 1)
    }

    @Test("beta draws have the mean and the variance of the distribution")
    func beta() {
        var generator = SplitMix(seed: 9)
        for (a, b) in [(1.0, 1.0), (3.0, 1.0), (20.0, 80.0)] {
            let draws = (0..<20_000).map { _ in BetaSampler.draw(a, b, &generator) }
            let mean = draws.reduce(0, +) / 20_000
            let variance = draws.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
            #expect(abs(mean - a / (a + b)) < 0.01)
            #expect(abs(variance - a * b / ((a + b) * (a + b) * (a + b + 1))) < 0.005)
        }
    }
}

@Suite("Sticky traffic and shadows")
struct TrafficTests {
    private func deployment(_ weights: [Int], shadows: [ServedPredictor] = []) -> ServedDeployment {
        ServedDeployment(
            name: "d", namespace: "default",
            predictors: weights.enumerated().map { index, weight in
                ServedPredictor(
                    name: "p\(index)", weight: weight, modelName: "m", modelVersion: "1", modelURI: "",
                    model: ConstantModel(value: 0), metricsSlot: index)
            }, shadows: shadows)
    }

    @Test("keys are shared out by weight and stay where they are")
    func shares() {
        let deployment = deployment([80, 20])
        let names = (0..<20_000).map { deployment.pick(key: "user-\($0)".utf8).name }
        let second = names.count { $0 == "p1" }
        #expect((3800...4200).contains(second))
        #expect(names == (0..<20_000).map { deployment.pick(key: "user-\($0)".utf8).name })
        #expect(deployment.pick(key: "".utf8).name.hasPrefix("p"))
    }

    @Test("a greater share moves keys only towards the predictor that grew, and no more than needed")
    func consistent() {
        let (before, after) = (deployment([90, 10]), deployment([50, 50]))
        var moved = 0
        for user in 0..<10_000 {
            let (old, new) = (before.pick(key: "\(user)".utf8).name, after.pick(key: "\(user)".utf8).name)
            if old != new {
                #expect(old == "p0" && new == "p1")
                moved += 1
            }
        }
        #expect((3700...4300).contains(moved))
    }

    @Test("a comparison counts rows of another class and how far the numbers are apart")
    func comparison() throws {
        let primary = Tensor(name: "y", dataType: .fp32, shape: [3], elements: [Float(0.2), 0.6, 0.9])
        let shadow = Tensor(name: "z", dataType: .fp64, shape: [3, 1], elements: [0.2, 0.4, 0.9])
        let result = try ShadowComparison(primary: primary, shadow: shadow, threshold: 0.5)
        #expect(result.rows == 3 && result.disagreements == 1)
        #expect(abs(result.largestDifference - 0.2) < 1e-6)
        #expect(throws: AerieError.self) {
            try ShadowComparison(
                primary: primary, shadow: Tensor(name: "z", dataType: .fp64, shape: [1], elements: [0.2]),
                threshold: 0.5)
        }
    }
}
