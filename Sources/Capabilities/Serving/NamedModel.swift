import AerieCore
import AerieData
import Explain

extension InferenceModel {
    /// The same model with these names for its columns, if it has none of its own and their number fits.
    func withFeatureNames(_ names: [String]) -> any InferenceModel {
        guard !names.isEmpty, description.featureNames.isEmpty, Set(names).count == names.count else { return self }
        if let tabular = self as? any TabularModel {
            return tabular.featureCount == names.count ? NamedTabularModel(tabular, names) : self
        }
        return NamedModel(self, names)
    }
}

/// A model whose file does not name its columns, with the names of its MLflow signature.
final class NamedModel: InferenceModel {
    let description: ModelDescription
    private let model: any InferenceModel

    init(_ model: any InferenceModel, _ names: [String]) {
        var description = model.description
        description.featureNames = names
        self.description = description
        self.model = model
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] { try model.infer(inputs) }
}

/// The same for a model over rows.
final class NamedTabularModel: TabularModel {
    let description: ModelDescription
    let featureCount: Int
    let outputCount: Int
    let rowType: DataType
    private let model: any TabularModel
    /// How the model decides, for explanations.
    var trees: (any DecisionTrees)? { model as? any DecisionTrees }

    init(_ model: any TabularModel, _ names: [String]) {
        var description = model.description
        description.featureNames = names
        self.description = description
        self.model = model
        featureCount = model.featureCount
        outputCount = model.outputCount
        rowType = model.rowType
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] { try model.infer(inputs) }

    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        model.predict(rows: rows, count: count, into: output)
    }
}
