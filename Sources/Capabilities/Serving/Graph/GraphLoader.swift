import AerieCore
import AerieData
import AerieTelemetry

/// Brings what a graph needs into memory, and makes the graph.
struct GraphLoader: Sendable {
    let service: ServingService
    let source: any ModelSource
    let pool: ModelPool
    let bandits: BanditRegistry?
    let metrics: NodeMetrics?

    /// - Parameter old: what answers now; given back if nothing has changed for requests.
    /// - Throws: what loading a model or a reference throws, with the node's name.
    func load(
        _ predictor: SeldonDeploymentSpec.Predictor, place: GraphPlace, old: GraphModel?
    ) async throws(AerieError) -> (model: GraphModel, location: ModelLocation) {
        let nodes = predictor.graph.nodes(at: "graph").map(\.node)
        var locations: [String: ModelLocation] = [:]
        var tables: [String: ModelLocation] = [:]
        for node in nodes {
            if !node.modelURI.isEmpty {
                locations[node.name] = try await fetch(node.modelURI, for: node)
                    .computed(by: predictor.policy.providers)
            }
            if let uri = node.parameters["reference"] { tables[node.name] = try await fetch(uri, for: node) }
        }
        let identities = nodes.flatMap { [locations[$0.name]?.identity ?? "", tables[$0.name]?.identity ?? ""] }
        let fingerprint = ([predictor.graphText, predictor.version] + identities).joined(separator: "\n")
        var versions: [String] = []
        for node in nodes {
            if let version = locations[node.name]?.version, !versions.contains(version) { versions.append(version) }
        }
        let location = ModelLocation(
            path: "", name: predictor.modelName, version: versions.isEmpty ? "1" : versions.joined(separator: "+"),
            identity: fingerprint, uri: predictor.modelURI)
        if let old, old.fingerprint == fingerprint { return (old, location) }
        let graph = try await make(predictor, place, locations, tables, fingerprint)
        return (graph, location)
    }

    private func fetch(_ uri: String, for node: GraphSpec) async throws(AerieError) -> ModelLocation {
        do throws(AerieError) { return try await source.fetch(uri) } catch { throw Self.named(node, error) }
    }

    private static func named(_ node: GraphSpec, _ error: AerieError) -> AerieError {
        var error = error
        error.message = "graph node \(node.name): \(error.message)"
        return error
    }

    private func make(
        _ predictor: SeldonDeploymentSpec.Predictor, _ place: GraphPlace, _ locations: [String: ModelLocation],
        _ tables: [String: ModelLocation], _ fingerprint: String
    ) async throws(AerieError) -> GraphModel {
        var builder = GraphBuilder()
        for node in predictor.graph.nodes(at: "graph").map(\.node) {
            do throws(AerieError) {
                if let location = locations[node.name] {
                    builder.models[node.name] = (try await pool.model(at: location), location.version)
                }
                if let table = tables[node.name] {
                    let columns = try node.parameters.words("columns") ?? []
                    builder.references[node.name] = try await pool.table(at: table, columns: columns)
                }
                builder.bandits[node.name] = try await bandit(node, place, locations)
            } catch { throw Self.named(node, error) }
        }
        let service = service
        builder.slot = { node, version in
            service.slot(
                for: SlotLabels(
                    namespace: place.namespace, deployment: place.deployment, predictor: place.predictor,
                    predictorVersion: predictor.version, modelName: node, modelVersion: version))
        }
        return GraphModel(
            root: try builder.node(predictor.graph), place: place, fingerprint: fingerprint,
            decisions: bandits?.decisions, metrics: metrics)
    }

    private func bandit(
        _ node: GraphSpec, _ place: GraphPlace, _ locations: [String: ModelLocation]
    ) async throws(AerieError) -> BanditRouter? {
        guard node.role == .router, let method = node.method,
            method == .epsilonGreedy || method == .thompsonSampling
        else { return nil }
        let versions = node.children.map { child in
            // A child serves another version if any model below it does.
            child.nodes(at: "").map { $0.node.name + "=" + (locations[$0.node.name]?.version ?? "") }
                .joined(separator: ",")
        }
        let policy = try BanditRouter.Policy(method, node.parameters)
        let (seed, isFrozen) = (try node.parameters.seed(), try node.parameters.flag("frozen"))
        let key = BanditKey(
            namespace: place.namespace, deployment: place.deployment, predictor: place.predictor, node: node.name)
        guard let bandits else {
            return BanditRouter(
                key: key, policy: policy, arms: versions.map { BanditArm(version: $0) }, seed: seed,
                isFrozen: isFrozen)
        }
        return try await bandits.router(key, policy: policy, versions: versions, seed: seed, isFrozen: isFrozen)
    }
}
