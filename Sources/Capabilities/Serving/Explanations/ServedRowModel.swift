import AerieCore
import AerieData
import Explain

/// A served model as explanations ask it: rows of numbers in, numbers out, whatever the engine.
struct ServedRowModel: RowModel {
    let featureCount: Int
    let outputCount: Int
    /// The columns by name; empty where nobody names them.
    let featureNames: [String]
    private let model: any InferenceModel
    /// The place of the output that is explained.
    private let output: Int

    /// - Throws: `unsupported` for a model that takes something else than rows of numbers, or gives none.
    init(_ model: any InferenceModel) throws(AerieError) {
        self.model = model
        let description = model.description
        if let tabular = model as? any TabularModel {
            (featureCount, outputCount, output) = (tabular.featureCount, tabular.outputCount, 0)
            featureNames = description.featureNames
            return
        }
        let inputs = description.inputs
        if inputs.count == 1, inputs[0].dataType != .bytes, inputs[0].shape.count == 2, inputs[0].shape[1] > 0 {
            featureCount = inputs[0].shape[1]
            featureNames = description.featureNames
        } else if !inputs.isEmpty, inputs.allSatisfy({ $0.isColumnOfNumbers }) {
            featureCount = inputs.count
            featureNames = inputs.map(\.name)
        } else {
            throw AerieError(
                .unsupported, "the model takes \(inputs.map { "\($0.dataType.rawValue) \($0.shape)" }.joined(separator: ", ")), "
                    + "and explanations are of rows of numbers", reason: "explain.input")
        }
        // A classifier of two outputs gives the class and the probabilities; the latter are explained.
        let numbers = description.outputs.indices.filter { description.outputs[$0].dataType != .bytes }
        guard let output = numbers.first(where: { description.outputs[$0].dataType.isFraction }) ?? numbers.first else {
            throw AerieError(.unsupported, "the model gives no numbers to explain", reason: "explain.output")
        }
        self.output = output
        if let width = description.outputs[output].shape.dropFirst().last, width > 0 {
            outputCount = width
        } else {
            let row = Table(columnCount: featureCount, values: [Double](repeating: 0, count: featureCount))
            outputCount = max(1, try Self.infer(model, output, row, inputs: inputs).count)
        }
    }

    func predict(_ rows: Table) throws(AerieError) -> [Double] {
        guard let tabular = model as? any TabularModel, let type = model.description.outputs.first?.dataType,
            type == tabular.rowType
        else { return try Self.infer(model, output, rows, inputs: model.description.inputs) }
        return type == .fp32 ? predict(tabular, rows, Float.self) : predict(tabular, rows, Double.self)
    }

    private func predict<Value: BinaryFloatingPoint & BitwiseCopyable>(
        _ tabular: any TabularModel, _ rows: Table, _: Value.Type
    ) -> [Double] {
        let values = rows.values.map { Value($0) }
        var answers = [Value](repeating: 0, count: rows.rowCount * outputCount)
        values.withUnsafeBytes { values in
            answers.withUnsafeMutableBytes { answers in
                guard let from = values.baseAddress, let into = answers.baseAddress else { return }
                tabular.predict(rows: from, count: rows.rowCount, into: into)
            }
        }
        return answers.map { Double($0) }
    }

    private static func infer(
        _ model: any InferenceModel, _ output: Int, _ rows: Table, inputs: [TensorSpec]
    ) throws(AerieError) -> [Double] {
        var tensors: [Tensor] = []
        if inputs.count == 1, inputs[0].shape.count == 2, inputs[0].shape[1] != 1 || rows.columnCount == 1 {
            tensors = [
                try Tensor(
                    name: inputs[0].name, dataType: inputs[0].dataType, shape: [rows.rowCount, rows.columnCount],
                    numbers: rows.values)
            ]
        } else {
            for (column, spec) in inputs.enumerated() {
                let numbers = stride(from: column, to: rows.values.count, by: rows.columnCount).map { rows.values[$0] }
                tensors.append(
                    try Tensor(
                        name: spec.name, dataType: spec.dataType,
                        shape: spec.shape.count == 1 ? [rows.rowCount] : [rows.rowCount, 1], numbers: numbers))
            }
        }
        let answer = try model.infer(tensors)
        guard answer.indices.contains(output) else {
            throw AerieError(.internal, "the model gave \(answer.count) outputs")
        }
        return try answer[output].numbers()
    }
}

extension TensorSpec {
    fileprivate var isColumnOfNumbers: Bool {
        dataType != .bytes && (shape.count == 1 || shape.count == 2 && shape[1] == 1)
    }
}

extension DataType {
    fileprivate var isFraction: Bool { self == .fp32 || self == .fp64 || self == .fp16 || self == .bf16 }
}
