public import AerieCore
public import AerieJSON

/// What a service needs, and what one pod gives.
public struct CapacityDemand: Sendable, Equatable {
    /// Requests a second at the peak.
    public var perSecond: Double
    /// Requests a second that one pod answers within the latency limit, at the utilization that is aimed for.
    public var perPod: Double
    /// Pods more than the peak needs, as a share: 0.2 for a fifth.
    public var overhead: Double
    public var podsPerNode: Int
    /// Availability zones over which the nodes are spread evenly; the loss of one must not cost capacity.
    public var zones: Int
    /// The share of the nodes that may be down for maintenance.
    public var maintenance: Double

    public init(
        perSecond: Double, perPod: Double, overhead: Double = 0.2, podsPerNode: Int = 8, zones: Int = 3,
        maintenance: Double = 0.1
    ) {
        self.perSecond = perSecond
        self.perPod = perPod
        self.overhead = overhead
        self.podsPerNode = podsPerNode
        self.zones = zones
        self.maintenance = maintenance
    }

    /// - Throws: `invalidArgument` with every number that is out of its range.
    public func validate() throws(AerieError) {
        var problems: [AerieError.Detail] = []
        func check(_ fits: Bool, _ field: String, _ problem: String) {
            if !fits { problems.append(.init(field: field, problem: problem)) }
        }
        check(perSecond > 0 && perSecond <= 1e12, "--rps", "\(perSecond) is not above 0 and at most 1e12")
        check(perPod >= 0.001 && perPod <= 1e9, "--per-pod", "\(perPod) is not from 0.001 to 1e9")
        check(overhead >= 0 && overhead <= 10, "--overhead", "\(overhead) is not from 0 to 10")
        check((1...1000).contains(podsPerNode), "--pods-per-node", "\(podsPerNode) is not from 1 to 1000")
        check((1...100).contains(zones), "--zones", "\(zones) is not from 1 to 100")
        check(maintenance >= 0 && maintenance <= 1, "--maintenance", "\(maintenance) is not from 0 to 1")
        if let error = AerieError.invalid("the capacity cannot be worked out", problems: problems) { throw error }
    }
}

/// Monthly prices, in one currency.
public struct CapacityPrices: Sendable, Equatable {
    public var node: Double
    /// What does not grow with the nodes: storage, balancer, feature store, monitoring, other environments.
    public var fixed: [Item]

    public struct Item: Sendable, Equatable {
        public var name: String
        public var price: Double
        public init(_ name: String, _ price: Double) {
            self.name = name
            self.price = price
        }
    }

    public init(node: Double, fixed: [Item] = []) {
        self.node = node
        self.fixed = fixed
    }
}

/// Pods, nodes and money for a demand.
public struct CapacityPlan: Sendable, Equatable {
    public let demand: CapacityDemand
    /// What the peak needs: demand / per pod, rounded up.
    public let requiredPods: Int
    /// With the overhead.
    public let pods: Int
    /// The fewest nodes that hold the pods.
    public let minimumNodes: Int
    /// So many that the pods still fit when one zone is lost, while a share of the nodes is in maintenance.
    public let recommendedNodes: Int
    public let monthly: Double?
    /// Prices per prediction at the peak rate all month of 30 days.
    public let perPrediction: Double?

    public init(_ demand: CapacityDemand, prices: CapacityPrices? = nil) throws(AerieError) {
        try demand.validate()
        self.demand = demand
        requiredPods = Self.up(demand.perSecond / demand.perPod)
        pods = Self.up(Double(requiredPods) * (1 + demand.overhead))
        minimumNodes = Self.up(Double(pods) / Double(demand.podsPerNode))
        let surviving = demand.zones > 1 ? Double(demand.zones) / Double(demand.zones - 1) : 1
        recommendedNodes = Self.up(Double(minimumNodes) * surviving * (1 + demand.maintenance))
        monthly = prices.map { [recommendedNodes] in
            Double(recommendedNodes) * $0.node + $0.fixed.reduce(0) { $0 + $1.price }
        }
        perPrediction = monthly.map { $0 / (demand.perSecond * 86_400 * 30) }
    }

    /// Rounded up and at least one. A whole number that the arithmetic has missed by its last bits is taken as it is
    /// meant.
    static func up(_ value: Double) -> Int { max(1, Int((value - min(8 * value.ulp, 1e-6)).rounded(.up))) }

    /// Of the recommended nodes' pods, the share that the peak does not need.
    public var headroom: Double {
        let all = Double(recommendedNodes * demand.podsPerNode)
        return all > 0 ? 1 - Double(requiredPods) / all : 0
    }

    public func json() -> JSONValue {
        var object: JSONObject = [
            "requests_per_second": .double(demand.perSecond), "per_pod": .double(demand.perPod),
            "required_pods": .int(Int64(requiredPods)), "pods": .int(Int64(pods)),
            "minimum_nodes": .int(Int64(minimumNodes)), "recommended_nodes": .int(Int64(recommendedNodes)),
            "headroom": .double(headroom),
        ]
        if let monthly { object["monthly"] = .double(monthly) }
        if let perPrediction { object["per_prediction"] = .double(perPrediction) }
        return .object(object)
    }
}
