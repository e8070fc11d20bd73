public import AerieData
public import AerieJSON

/// What travels through a graph of nodes: a payload, the names of its columns, and what the nodes have said so far.
public struct GraphMessage: Sendable {
    public enum Payload: Sendable, Hashable {
        /// Named tensors, or one without a name: the only input of whoever takes it, a row for each of its first
        /// dimension.
        case tensors([Tensor])
        case text(String)
        case bytes([UInt8])
        case json(JSONValue)
        /// A message of a type that only its sender and its receiver know.
        case opaque(type: String, value: [UInt8])
    }

    public var payload: Payload
    /// The names of the columns of a single tensor, or of the lists in JSON rows; empty where nobody said them.
    public var names: [String]
    public var meta: GraphMeta

    public init(_ payload: Payload, names: [String] = [], meta: GraphMeta = GraphMeta()) {
        self.payload = payload
        self.names = names
        self.meta = meta
    }
}

/// What the nodes of a graph tell beside the payload.
public struct GraphMeta: Sendable, Hashable {
    /// What the request is known by: taken from the caller, or made.
    public var puid: String
    public var tags: JSONObject
    /// For each node with children the child that was asked: its place, or -1 for all of them.
    public var routing: [String: Int]
    /// For each node that was asked what it was made of.
    public var requestPath: [String: String]
    public var metrics: [GraphMetric]
    /// What routers that learn have chosen.
    var decisions: [RouteDecision] = []

    public init(
        puid: String = "", tags: JSONObject = JSONObject(), routing: [String: Int] = [:],
        requestPath: [String: String] = [:], metrics: [GraphMetric] = []
    ) {
        self.puid = puid
        self.tags = tags
        self.routing = routing
        self.requestPath = requestPath
        self.metrics = metrics
    }

    /// Adds what another branch of the graph has said; where both set a tag, the later branch counts.
    mutating func merge(_ other: GraphMeta) {
        for tag in other.tags.members { tags[tag.key] = tag.value }
        routing.merge(other.routing) { _, new in new }
        requestPath.merge(other.requestPath) { _, new in new }
        metrics += other.metrics
        decisions += other.decisions
    }
}

/// A number that a node wants measured, as Seldon's `meta.metrics` has it.
public struct GraphMetric: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case counter = "COUNTER"
        case gauge = "GAUGE"
        /// In milliseconds.
        case timer = "TIMER"
    }

    public var key: String
    public var kind: Kind
    public var value: Double
    public var tags: [String: String]

    public init(key: String, kind: Kind, value: Double, tags: [String: String] = [:]) {
        self.key = key
        self.kind = kind
        self.value = value
        self.tags = tags
    }
}

/// A router's choice, and how likely it was: what off-policy estimates need.
struct RouteDecision: Sendable, Hashable {
    var node: String
    /// The child's place.
    var arm: Int
    /// The version of what the child serves.
    var version: String
    var propensity: Double
    /// The request's rows, each of which the reward is for.
    var rows: Int
}
