import AerieCore
import AerieData
import Serving

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A LightGBM ensemble: rows and predictions are 64-bit floats, added up in the library's own order.
final class LightGBMModel: TabularModel {
    let description: ModelDescription
    let featureCount: Int
    let outputCount: Int
    var rowType: DataType { .fp64 }
    let ensemble: TreeEnsemble<Double>
    private let link: LightGBMLink
    /// The number of rounds where the model averages them, else 1.
    let divisor: Double

    init(_ file: LightGBMFile, walk: TreeWalk? = nil) throws(ModelFileError) {
        var plan = try LightGBMPlan(file)
        ensemble = try TreeEnsemble(
            featureCount: plan.featureCount, start: [Double](repeating: 0, count: plan.groups),
            trees: try plan.trees(of: file), tables: plan.tables, walk: walk)
        link = plan.link
        featureCount = plan.featureCount
        outputCount = plan.groups
        divisor = file.averagesOutput ? Double(max(file.trees.count / plan.groups, 1)) : 1
        description = ModelDescription(
            tabular: "lightgbm_lightgbm", type: .fp64, features: featureCount, outputs: outputCount,
            names: plan.featureNames.count == featureCount ? plan.featureNames : [],
            nanosecondsPerRow: ensemble.nanosecondsPerRow, isProbability: link.givesProbability)
    }

    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        guard count > 0 else { return }
        let output = output.assumingMemoryBound(to: Double.self)
        ensemble.sums(rows: rows.assumingMemoryBound(to: Double.self), count: count, into: output)
        let values = UnsafeMutableBufferPointer(start: output, count: count * outputCount)
        if divisor != 1 { for index in values.indices { values[index] /= divisor } }
        switch link {
        case .identity: break
        case .square: for index in values.indices { values[index] = Self.square(values[index]) }
        case .exponential: for index in values.indices { values[index] = exp(values[index]) }
        case .sigmoid(let steepness):
            for index in values.indices { values[index] = 1 / (1 + exp(-steepness * values[index])) }
        case .logOnePlusExponential: for index in values.indices { values[index] = log1p(exp(values[index])) }
        case .softmax: for row in 0..<count { Self.softmax(output + row * outputCount, outputCount) }
        }
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        let (rows, count) = try RowInput<Double>(description, featureCount).rows(inputs)
        var output = [Double](repeating: 0, count: count * outputCount)
        rows.withUnsafeBytes { rows in
            output.withUnsafeMutableBytes { output in
                if count > 0 { predict(rows: rows.baseAddress!, count: count, into: output.baseAddress!) }
            }
        }
        return [description.output(rows: count, elements: output)]
    }

    // MARK: Links

    private static func square(_ value: Double) -> Double { value < 0 ? -value * value : value * value }

    private static func softmax(_ values: UnsafeMutablePointer<Double>, _ count: Int) {
        var largest = values[0]
        for index in 1..<max(count, 1) { largest = max(values[index], largest) }
        var sum = 0.0
        for index in 0..<count {
            values[index] = exp(values[index] - largest)
            sum += values[index]
        }
        for index in 0..<count { values[index] /= sum }
    }
}
