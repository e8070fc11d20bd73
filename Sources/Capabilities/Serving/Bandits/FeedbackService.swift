public import AerieCore

/// What somebody says of an answer.
public struct Feedback: Sendable, Hashable {
    /// The request's, from the answer's meta or the request's own; empty where neither is there.
    public var puid: String
    /// The answer's `meta.routing`.
    public var routing: [String: Int]
    public var reward: Double
    /// What the answer should have been, a number a row; empty where nobody says.
    public var truth: [Double] = []
    /// The request's rows, if the feedback brings the request along.
    public var rows: Int?

    public init(puid: String, routing: [String: Int], reward: Double, rows: Int? = nil) {
        self.puid = puid
        self.routing = routing
        self.reward = reward
        self.rows = rows
    }
}

/// Takes feedback: to the routers that learn from it, durably, and to the counters.
public struct FeedbackService: Sendable {
    private let bandits: BanditRegistry
    private let metrics: NodeMetrics?
    private let clock: any WallClock
    private let predictions: (any PredictionFeedback)?

    /// - Parameter predictions: keeps feedback beside logged predictions; `nil` where none are logged.
    public init(
        bandits: BanditRegistry, metrics: NodeMetrics?, clock: any WallClock = SystemClock(),
        predictions: (any PredictionFeedback)? = nil
    ) {
        self.predictions = predictions
        self.bandits = bandits
        self.metrics = metrics
        self.clock = clock
    }

    /// What of a feedback has come to pass.
    public struct Outcome: Sendable, Hashable {
        /// The routing that the feedback was for.
        public var routing: [String: Int]
        /// False for a second one for the same request, which changes nothing.
        public var isNew: Bool
    }

    /// Returns once the routers' new knowledge is durable. The same puid twice is taken once.
    /// - Throws: `invalidArgument` for a reward outside of 0 to 1 where a router learns from it, or a routing that does
    ///   not fit the graph; `notFound` where neither routing nor puid says which way the request went.
    public func take(_ feedback: Feedback, for deployment: ServedDeployment) async throws(AerieError) -> Outcome {
        guard feedback.reward.isFinite else { throw .invalid("reward", "is no number") }
        guard DecisionLog.keeps(feedback.puid) || feedback.puid.isEmpty else {
            throw .invalid(
                "response.meta.puid", "must be at most \(DecisionLog.puidLimit) bytes long, without a zero character")
        }
        let chosen = try await bandits.decisions.decisions(
            puid: feedback.puid, namespace: deployment.namespace, deployment: deployment.name)
        let predictor = self.predictor(feedback, chosen, deployment)
        let place = GraphPlace(
            namespace: deployment.namespace, deployment: deployment.name, predictor: predictor.name)
        var routing = feedback.routing
        for decision in chosen where routing[decision.key.node] == nil { routing[decision.key.node] = decision.arm }
        var isNew = true
        if let graph = predictor.model as? GraphModel, !graph.bandits.isEmpty {
            isNew = try await teach(graph, feedback, routing, chosen)
        }
        if isNew {
            metrics?.countFeedback(feedback.reward, of: place)
            if !feedback.puid.isEmpty, deployment.predictors.contains(where: { $0.policy.logShare > 0 }) {
                try await predictions?.take(feedback)
            }
        }
        return Outcome(routing: routing, isNew: isNew)
    }

    private func predictor(
        _ feedback: Feedback, _ chosen: [BanditDecision], _ deployment: ServedDeployment
    ) -> ServedPredictor {
        if let name = chosen.first?.key.predictor, let found = deployment.predictors.first(where: { $0.name == name }) {
            return found
        }
        if let place = feedback.routing[deployment.name], deployment.predictors.indices.contains(place) {
            return deployment.predictors[place]
        }
        return feedback.puid.isEmpty ? deployment.predictors[0] : deployment.pick(key: feedback.puid.utf8)
    }

    /// Rewards every learning router that the request came by.
    private func teach(
        _ graph: GraphModel, _ feedback: Feedback, _ routing: [String: Int], _ chosen: [BanditDecision]
    ) async throws(AerieError) -> Bool {
        guard (0...1).contains(feedback.reward) else {
            throw .invalid("reward", "is \(feedback.reward); a router learns from rewards between 0 and 1")
        }
        let now = clock.now()
        let puid = feedback.puid.isEmpty ? "aerie-\(UInt64.random(in: .min ... .max))" : feedback.puid
        var rewards: [BanditReward] = []
        for (node, router) in try graph.way(routing) {
            let decision = chosen.first { $0.key.node == node.name }
            guard let arm = decision?.arm ?? routing[node.name] else { continue }
            guard node.children.indices.contains(arm) else {
                throw .invalid("response.meta.routing.\(node.name)", "there is no child \(arm)")
            }
            let version = decision?.version ?? router.arms[arm].version
            rewards.append(
                BanditReward(
                    key: router.key, puid: puid, arm: arm, version: version, reward: feedback.reward,
                    rows: max(1, decision?.rows ?? feedback.rows ?? 1), time: now, counts: !router.isFrozen))
        }
        if rewards.isEmpty {
            throw .notFound(
                "feedback needs the answer's meta.routing, or the puid of a request of the last "
                    + "\(DecisionLog.keptDays) days")
        }
        return try await bandits.reward(rewards).contains(true)
    }
}

extension GraphModel {
    /// The learning routers on the way that a routing describes.
    func way(_ routing: [String: Int]) throws(AerieError) -> [(node: GraphNode, router: BanditRouter)] {
        var found: [(GraphNode, BanditRouter)] = []
        var open = [root]
        while let node = open.popLast() {
            guard case .router(let router) = node.unit else {
                open += node.children
                continue
            }
            if let bandit = router as? BanditRouter { found.append((node, bandit)) }
            switch routing[node.name] {
            case nil: if node.children.count == 1 { open += node.children }
            case .some(-1): open += node.children
            case .some(-2): break
            case let place?:
                guard node.children.indices.contains(place) else {
                    throw .invalid("response.meta.routing.\(node.name)", "there is no child \(place)")
                }
                open.append(node.children[place])
            }
        }
        return found
    }
}

/// Keeps what feedback says beside the predictions that it is about. Declared by Serving, filled by the executable.
public protocol PredictionFeedback: Sendable {
    /// Returns once the reward, and the truth of each row, are durable.
    /// - Throws: `resourceExhausted` where the disk is full.
    func take(_ feedback: Feedback) async throws(AerieError)
}
