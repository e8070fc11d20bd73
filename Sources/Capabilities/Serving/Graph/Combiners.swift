import AerieCore
import AerieData

/// The mean of the children's first outputs, element by element; with weights their weighted mean.
///
/// The weights need not add up to one: they are divided by their sum.
struct MeanCombiner: GraphCombiner {
    /// One for each child; `nil` for equal ones.
    let weights: [Double]?

    init(weights: [Double]? = nil, children: Int) throws(AerieError) {
        if let weights {
            guard weights.count == children else {
                throw .invalid("parameters.weights", "has \(weights.count) weights for \(children) children")
            }
            guard weights.allSatisfy({ $0 >= 0 && $0.isFinite }), weights.contains(where: { $0 > 0 }) else {
                throw .invalid("parameters.weights", "must not be negative, and not all be zero")
            }
            let sum = weights.reduce(0, +)
            self.weights = weights.map { $0 / sum }
        } else {
            self.weights = nil
        }
    }

    func combine(_ answers: [GraphMessage]) throws(AerieError) -> GraphMessage.Payload {
        let tensors = try answers.firstOutputs()
        var sums = [Double](repeating: 0, count: try tensors[0].numbers().count)
        for (index, tensor) in tensors.enumerated() {
            let weight = weights?[index] ?? 1 / Double(tensors.count)
            for (place, value) in try tensor.numbers().enumerated() { sums[place] += value * weight }
        }
        return .tensors([try tensors[0].filled(sums)])
    }

    func output(of children: [[TensorSpec]]) -> TensorSpec { TensorSpec(meanOf: children) }
}

/// The class that most children choose, as one number a row.
///
/// A child with one column chooses between 0 and 1 by the threshold, or, with values that are no probabilities, names
/// its class itself; a child with several columns chooses the largest. Ties go to the smaller class.
struct VoteCombiner: GraphCombiner {
    let threshold: Double
    let weights: [Double]?

    init(threshold: Double, weights: [Double]?, children: Int) throws(AerieError) {
        if let weights, weights.count != children || !weights.allSatisfy({ $0 >= 0 && $0.isFinite }) {
            throw .invalid("parameters.weights", "needs a number that is not negative for each of \(children) children")
        }
        self.threshold = threshold
        self.weights = weights
    }

    func combine(_ answers: [GraphMessage]) throws(AerieError) -> GraphMessage.Payload {
        let tensors = try answers.firstOutputs(sameWidth: false)
        var ballots: [[Double]] = []
        for tensor in tensors { ballots.append(try votes(tensor)) }
        let rows = ballots[0].count
        let winners = (0..<rows).map { row -> Double in
            var counts: [Double: Double] = [:]
            for (index, ballot) in ballots.enumerated() { counts[ballot[row], default: 0] += weights?[index] ?? 1 }
            return counts.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key ?? 0
        }
        return .tensors([Tensor(name: "vote", dataType: .fp64, shape: [rows, 1], elements: winners)])
    }

    private func votes(_ tensor: Tensor) throws(AerieError) -> [Double] {
        let numbers = try NumberRows(GraphMessage(.tensors([tensor])))
        if numbers.columns == 1 {
            let areProbabilities = numbers.values.allSatisfy { $0 >= 0 && $0 <= 1 }
            return areProbabilities ? numbers.values.map { $0 >= threshold ? 1 : 0 } : numbers.values
        }
        return (0..<numbers.rows).map { row in
            Double((0..<numbers.columns).max { numbers[row, $0] < numbers[row, $1] } ?? 0)
        }
    }

    func output(of children: [[TensorSpec]]) -> TensorSpec {
        TensorSpec(name: "vote", dataType: .fp64, shape: [-1, 1])
    }
}

/// Stacking: a model whose columns are the children's answers side by side, in the children's order.
struct StackingCombiner: GraphCombiner {
    let model: any InferenceModel
    private let inputs: ModelInputs

    init(_ model: any InferenceModel) {
        self.model = model
        inputs = ModelInputs(model)
    }

    func combine(_ answers: [GraphMessage]) throws(AerieError) -> GraphMessage.Payload {
        var parts: [NumberRows] = []
        for tensor in try answers.firstOutputs(sameWidth: false) {
            parts.append(try NumberRows(GraphMessage(.tensors([tensor]))))
        }
        let rows = parts[0].rows
        var values: [Double] = []
        for row in 0..<rows {
            for part in parts { for column in 0..<part.columns { values.append(part[row, column]) } }
        }
        let width = parts.reduce(0) { $0 + $1.columns }
        let stacked = Tensor(name: "", dataType: .fp64, shape: [rows, width], elements: values)
        return .tensors(try model.infer(try inputs.tensors(GraphMessage(.tensors([stacked])))))
    }

    func output(of children: [[TensorSpec]]) -> TensorSpec { model.description.outputs.first ?? GraphNode.free }
}

extension TensorSpec {
    /// As the first child answers, in a floating type.
    fileprivate init(meanOf children: [[TensorSpec]]) {
        let first = children.first?.first ?? GraphNode.free
        self.init(name: first.name, dataType: first.dataType == .fp32 ? .fp32 : .fp64, shape: first.shape)
    }
}

extension Tensor {
    /// The same shape with other numbers, in a floating type.
    fileprivate func filled(_ numbers: [Double]) throws(AerieError) -> Tensor {
        try Tensor(name: name, dataType: dataType == .fp32 ? .fp32 : .fp64, shape: shape, numbers: numbers)
    }
}

extension [GraphMessage] {
    /// The children's first outputs, one for each.
    /// - Throws: `failedPrecondition` where a child gave no tensor, or fewer rows than another.
    fileprivate func firstOutputs(sameWidth: Bool = true) throws(AerieError) -> [Tensor] {
        var tensors: [Tensor] = []
        for (index, answer) in enumerated() {
            guard case .tensors(let outputs) = answer.payload, let tensor = outputs.first else {
                throw AerieError(.failedPrecondition, "child \(index) answered no numbers")
            }
            if let first = tensors.first {
                let fits = sameWidth
                    ? first.elementCount == tensor.elementCount : first.shape.first == tensor.shape.first
                guard fits else {
                    throw AerieError(
                        .failedPrecondition,
                        "child \(index) answered \(tensor.shape), but child 0 \(first.shape)")
                }
            }
            tensors.append(tensor)
        }
        guard !tensors.isEmpty else { throw AerieError(.failedPrecondition, "there are no answers to combine") }
        return tensors
    }
}
