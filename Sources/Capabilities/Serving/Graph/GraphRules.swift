import AerieCore
import AerieJSON

/// What a shape cannot say of a predictor's graph: which nodes may have which children, names that must differ, and
/// parameters that a node's method needs.
struct GraphRules {
    private(set) var problems: [AerieError.Detail] = []
    private let speaksTensorFlow: Bool
    private static let maximumDepth = 16
    private static let maximumNodes = 128

    /// - Parameters:
    ///   - graph: of the right shape.
    ///   - path: where it stands in the manifest.
    init(_ graph: JSONValue, at path: String, protocol name: String?) {
        speaksTensorFlow = name == "tensorflow"
        let nodes = GraphSpec(graph).nodes(at: path)
        if nodes.count > Self.maximumNodes {
            report(path, "has \(nodes.count) nodes; at most \(Self.maximumNodes) are allowed")
            return
        }
        var seen: [String: String] = [:]
        for (path, node) in nodes {
            if path.split(separator: ".").count(where: { $0.hasPrefix("children") }) >= Self.maximumDepth {
                report(path, "is nested more than \(Self.maximumDepth) deep")
                return
            }
            if let problem = SeldonDeploymentRules.labelProblem(node.name) { report(path + ".name", problem) }
            if let first = seen[node.name], !node.name.isEmpty {
                report(path + ".name", "\"\(node.name)\" is the name of \(first) too; names must differ")
            } else {
                seen[node.name] = path
            }
            check(node, at: path)
        }
        checkImplementations(graph, at: path)
    }

    private mutating func checkLogger(_ node: GraphSpec, at path: String) {
        guard let logger = node.logger, let problem = RequestLogger.problem(logger.url) else { return }
        report(path + ".logger.url", problem)
    }

    private mutating func check(_ node: GraphSpec, at path: String) {
        if let unknown = node.unknownMethod {
            report(
                path + ".parameters",
                "\(NodeMethod.parameter) \"\(unknown)\" is not known; a \(node.role.rawValue) can be "
                    + NodeMethod.names(for: node.role))
            return
        }
        if let method = node.method, !method.roles.contains(node.role) {
            let types = method.roles.map(\.rawValue).joined(separator: " or ")
            return report(path + ".type", "\(node.role.rawValue) does not fit \(method.rawValue), a \(types)")
        }
        checkLogger(node, at: path)
        checkChildren(node, at: path)
        checkModel(node, at: path)
        checkMethod(node, at: path)
    }

    private mutating func checkChildren(_ node: GraphSpec, at path: String) {
        switch node.role {
        case .router, .combiner:
            if node.children.isEmpty { report(path + ".children", "a \(node.role.rawValue) needs children") }
        case .model, .transformer, .outputTransformer:
            if node.children.count > 1 {
                report(
                    path + ".children",
                    "a \(node.role.rawValue) has one child; put a COMBINER or a ROUTER before these")
            }
            if node.role == .outputTransformer, node.children.isEmpty {
                report(path + ".children", "an OUTPUT_TRANSFORMER needs a child whose answer it changes")
            }
        }
    }

    private mutating func checkModel(_ node: GraphSpec, at path: String) {
        let needsModel = node.role == .model && node.method == nil || node.method == .stacking
        if needsModel, node.modelURI.isEmpty {
            return report(
                path + ".modelUri", "is required: models:/NAME/VERSION, models:/NAME@ALIAS, runs:/ID/PATH or a path")
        }
        if !node.modelURI.isEmpty, let problem = ModelURI.problem(node.modelURI) {
            report(path + ".modelUri", problem)
        }
        if !needsModel, !node.modelURI.isEmpty {
            report(path + ".modelUri", "\(node.method?.rawValue ?? node.role.rawValue) loads no model")
        }
    }

    /// Makes the node as it will be made, as far as that goes without loading anything.
    private mutating func checkMethod(_ node: GraphSpec, at path: String) {
        if node.method == nil, node.role != .model {
            return report(
                path + ".implementation",
                "a \(node.role.rawValue) needs an implementation, or the parameter \(NodeMethod.parameter): "
                    + NodeMethod.names(for: node.role))
        }
        do throws(AerieError) {
            switch node.role {
            case .model: break
            case .router:
                _ = try GraphBuilder.router(node)
                if let method = node.method, method == .epsilonGreedy || method == .thompsonSampling {
                    _ = try BanditRouter.Policy(method, node.parameters)
                    _ = try (node.parameters.seed(), node.parameters.flag("frozen"))
                }
            case .combiner: if node.method != .stacking { _ = try GraphBuilder.combiner(node) }
            case .transformer, .outputTransformer: _ = try GraphBuilder.transformer(node, reference: nil)
            }
        } catch {
            let detail = error.details.first
            report([path, detail?.field ?? ""].filter { !$0.isEmpty }.joined(separator: "."),
                   detail?.problem ?? error.message)
        }
    }

    private mutating func checkImplementations(_ graph: JSONValue, at path: String) {
        for (index, child) in (graph["children"]?.array ?? []).enumerated() {
            checkImplementations(child, at: "\(path).children[\(index)]")
        }
        guard speaksTensorFlow, let implementation = graph["implementation"]?.string else { return }
        let pythonServers = ["SKLEARN_SERVER", "XGBOOST_SERVER", "MLFLOW_SERVER", "HUGGINGFACE_SERVER"]
        if pythonServers.contains(implementation) {
            report(
                path + ".implementation",
                "\(implementation) does not speak spec.protocol tensorflow; write v2 or seldon there")
        }
    }

    private mutating func report(_ path: String, _ problem: String) {
        problems.append(.init(field: path, problem: problem))
    }
}

extension BanditRouter.Policy {
    /// - Throws: `invalidArgument` for an epsilon that is no share, or too small for the others ever to be tried.
    init(_ method: NodeMethod, _ parameters: NodeParameters) throws(AerieError) {
        self = method == .thompsonSampling
            ? .thompsonSampling : .epsilonGreedy(try parameters.number("epsilon", or: 0.1, in: 0.01...1))
    }
}
