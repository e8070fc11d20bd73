import AerieCore
import AerieData
import Serving

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// An XGBoost ensemble: rows and predictions are 32-bit floats, added up in the library's own order.
final class XGBoostModel: TabularModel {
    let description: ModelDescription
    let featureCount: Int
    let outputCount: Int
    var rowType: DataType { .fp32 }
    let ensemble: TreeEnsemble<Float>
    private let link: XGBoostLink

    init(_ file: XGBoostFile, walk: TreeWalk? = nil) throws(ModelFileError) {
        var plan = try XGBoostPlan(file)
        ensemble = try TreeEnsemble(
            featureCount: plan.featureCount, start: plan.start, trees: try plan.trees(of: file), tables: plan.tables,
            walk: walk)
        link = plan.link
        featureCount = plan.featureCount
        outputCount = link == .classNumber ? 1 : plan.groups
        description = ModelDescription(
            tabular: "xgboost_xgboost", type: .fp32, features: featureCount, outputs: outputCount,
            names: file.featureNames.count == featureCount ? file.featureNames : [],
            nanosecondsPerRow: ensemble.nanosecondsPerRow, isProbability: link.givesProbability)
    }

    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        guard count > 0 else { return }
        let rows = rows.assumingMemoryBound(to: Float.self)
        let output = output.assumingMemoryBound(to: Float.self)
        if link == .classNumber {
            for row in 0..<count { output[row] = classNumber(rows + row * featureCount) }
            return
        }
        ensemble.sums(rows: rows, count: count, into: output)
        let groups = ensemble.groupCount
        switch link {
        case .identity, .classNumber: break
        case .sigmoid: for index in 0..<(count * groups) { output[index] = Self.sigmoid(output[index]) }
        case .exponential: for index in 0..<(count * groups) { output[index] = expf(output[index]) }
        case .sign: for index in 0..<(count * groups) { output[index] = output[index] > 0 ? 1 : 0 }
        case .softmax: for row in 0..<count { Self.softmax(output + row * groups, groups) }
        }
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        let (rows, count) = try RowInput<Float>(description, featureCount).rows(inputs)
        var output = [Float](repeating: 0, count: count * outputCount)
        rows.withUnsafeBytes { rows in
            output.withUnsafeMutableBytes { output in
                if count > 0 { predict(rows: rows.baseAddress!, count: count, into: output.baseAddress!) }
            }
        }
        return [description.output(rows: count, elements: output)]
    }

    // MARK: Links

    /// The exponent is bounded where a float would overflow, and 1e-16 keeps the sum off zero, as in the library.
    @inline(__always) private static func sigmoid(_ margin: Float) -> Float {
        1 / (expf(min(-margin, 88.7)) + 1 + 1e-16)
    }

    private static func softmax(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
        var largest = values[0]
        for index in 1..<max(count, 1) { largest = max(values[index], largest) }
        var sum = 0.0
        for index in 0..<count {
            values[index] = expf(values[index] - largest)
            sum += Double(values[index])
        }
        for index in 0..<count { values[index] /= Float(sum) }
    }

    /// The first class with the largest sum. The sums of up to 4,096 classes have room on the stack.
    private func classNumber(_ row: UnsafePointer<Float>) -> Float {
        let groups = ensemble.groupCount
        func largest(_ sums: UnsafeMutablePointer<Float>) -> Float {
            ensemble.sums(rows: row, count: 1, into: sums)
            var best = 0
            for group in 1..<max(groups, 1) where sums[group] > sums[best] { best = group }
            return Float(best)
        }
        let bytes = groups * MemoryLayout<Float>.stride
        if bytes > 1024, bytes <= RowBuffer.byteCount {
            var buffer = RowBuffer()
            return withUnsafeMutableBytes(of: &buffer) {
                largest($0.baseAddress!.assumingMemoryBound(to: Float.self))
            }
        }
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: groups) { largest($0.baseAddress!) }
    }
}
