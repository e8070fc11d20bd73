import AerieCore
import AerieJSON

/// One node of a predictor's graph as the deployment writes it, read out of a spec of the right shape.
struct GraphSpec: Sendable, Hashable {
    enum Role: String, Sendable {
        case model = "MODEL", router = "ROUTER", combiner = "COMBINER", transformer = "TRANSFORMER"
        case outputTransformer = "OUTPUT_TRANSFORMER"
    }

    var name: String
    var role: Role
    /// What the node does by itself; `nil` for a model that is loaded.
    var method: NodeMethod?
    /// As written where no method is known by that name.
    var unknownMethod: String?
    var modelURI: String
    var parameters: NodeParameters
    var children: [GraphSpec]
    /// Where copies of its requests and answers go.
    var logger: RequestLogger?

    init(_ node: JSONValue?) {
        name = node?["name"]?.string ?? ""
        modelURI = node?["modelUri"]?.string ?? ""
        var values: [String: String] = [:]
        for parameter in node?["parameters"]?.array ?? [] {
            if let name = parameter["name"]?.string { values[name] = parameter["value"]?.string ?? "" }
        }
        parameters = NodeParameters(values)
        let implementation = node?["implementation"]?.string
        let asked = values[NodeMethod.parameter]
        method = asked.flatMap { NodeMethod(rawValue: $0) } ?? implementation.flatMap { NodeMethod(seldon: $0) }
        unknownMethod = asked.flatMap { NodeMethod(rawValue: $0) == nil ? $0 : nil }
        role = node?["type"]?.string.flatMap { Role(rawValue: $0) } ?? method?.usualRole ?? .model
        logger = RequestLogger(node?["logger"])
        children = (node?["children"]?.array ?? []).map { GraphSpec($0) }
    }

    /// A model that is loaded, and nothing else: served without a graph around it.
    var isSingleModel: Bool { role == .model && method == nil && children.isEmpty }

    /// The node and everything below it, with their paths in the manifest.
    func nodes(at path: String) -> [(path: String, node: GraphSpec)] {
        var all = [(path, self)]
        for (index, child) in children.enumerated() { all += child.nodes(at: "\(path).children[\(index)]") }
        return all
    }
}

/// What a node does without a model of its own.
enum NodeMethod: String, Sendable, CaseIterable {
    case simpleModel = "simple-model"
    case simpleRouter = "simple-router", randomABTest = "random-abtest", hash
    case epsilonGreedy = "epsilon-greedy", thompsonSampling = "thompson-sampling"
    case average, weighted, vote, stacking
    case standardize, select, clip
    case outlierMahalanobis = "outlier-mahalanobis", outlierZScore = "outlier-zscore"
    case outlierQuantile = "outlier-quantile"

    /// The parameter of a node that names its method.
    static let parameter = "aerie.dev/method"

    /// By the names of Seldon's own implementations.
    init?(seldon implementation: String) {
        switch implementation {
        case "SIMPLE_MODEL": self = .simpleModel
        case "SIMPLE_ROUTER": self = .simpleRouter
        case "RANDOM_ABTEST": self = .randomABTest
        case "AVERAGE_COMBINER": self = .average
        default: return nil
        }
    }

    var roles: [GraphSpec.Role] {
        switch self {
        case .simpleModel: [.model]
        case .simpleRouter, .randomABTest, .hash, .epsilonGreedy, .thompsonSampling: [.router]
        case .average, .weighted, .vote, .stacking: [.combiner]
        case .standardize, .select, .clip: [.transformer, .outputTransformer]
        case .outlierMahalanobis, .outlierZScore, .outlierQuantile: [.transformer]
        }
    }

    var usualRole: GraphSpec.Role { roles[0] }

    static func names(for role: GraphSpec.Role) -> String {
        allCases.filter { $0.roles.contains(role) }.map(\.rawValue).joined(separator: ", ")
    }

    /// The parameters that the method looks at, beside its own name.
    var parameterNames: [String] {
        switch self {
        case .simpleModel, .simpleRouter, .average, .stacking: []
        case .randomABTest: ["ratioA", "seed"]
        case .hash: ["column"]
        case .epsilonGreedy: ["epsilon", "seed", "frozen"]
        case .thompsonSampling: ["seed", "frozen"]
        case .weighted: ["weights"]
        case .vote: ["threshold", "weights"]
        case .standardize: ["columns", "mean", "std", "reference"]
        case .select: ["columns"]
        case .clip: ["lower", "upper"]
        case .outlierMahalanobis: ["columns", "threshold", "reference"]
        case .outlierZScore: ["columns", "threshold", "mean", "std", "reference"]
        case .outlierQuantile: ["columns", "quantile", "lower", "upper", "reference"]
        }
    }
}
