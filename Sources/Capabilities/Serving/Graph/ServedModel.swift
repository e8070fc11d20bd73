/// One model of a deployment, by the name of its node: what Seldon's metadata tells.
public struct ServedModel: Sendable {
    public var name: String
    public var version: String
    public var description: ModelDescription
}

extension ServedDeployment {
    /// The models of every predictor and of their graphs, each name once.
    public var models: [ServedModel] {
        var models: [ServedModel] = []
        func add(_ model: ServedModel) {
            if !models.contains(where: { $0.name == model.name }) { models.append(model) }
        }
        func visit(_ node: GraphNode, _ version: String) {
            switch node.unit {
            case .model(let model, _):
                add(ServedModel(name: node.name, version: version, description: model.description))
            case .combiner(let combiner as StackingCombiner):
                add(ServedModel(name: node.name, version: version, description: combiner.model.description))
            default: break
            }
            for child in node.children { visit(child, version) }
        }
        for predictor in predictors {
            if let graph = predictor.graph {
                visit(graph.root, predictor.modelVersion)
            } else {
                add(
                    ServedModel(
                        name: predictor.modelName, version: predictor.modelVersion,
                        description: predictor.model.description))
            }
        }
        return models
    }
}
