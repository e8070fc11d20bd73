/// How much each column of each row had to do with each output: what every method here answers.
///
/// For every row and output the values add up to the answer less the base value (LIME's do not: they are the slopes of
/// a line through the neighbourhood).
public struct Attribution: Sendable {
    public let rowCount: Int
    public let featureCount: Int
    public let outputCount: Int
    /// The answer that is expected without knowing the row, for each output. LIME has one for each row, its intercept.
    public var base: [Double]
    /// `[row][output][feature]`.
    public var values: [Double]
    /// `[row][output][feature][feature]`: symmetric; a row adds up to the feature's value. `nil` if not asked for.
    public var interactions: [Double]?
    /// `[row][output]`: the answers that are explained, before the link function for trees.
    public var answers: [Double]

    public init(rowCount: Int, featureCount: Int, outputCount: Int, base: [Double]) {
        self.rowCount = rowCount
        self.featureCount = featureCount
        self.outputCount = outputCount
        self.base = base
        values = [Double](repeating: 0, count: rowCount * outputCount * featureCount)
        answers = [Double](repeating: 0, count: rowCount * outputCount)
    }

    /// The values of one row and output.
    public func values(row: Int, output: Int) -> ArraySlice<Double> {
        let first = (row * outputCount + output) * featureCount
        return values[first..<(first + featureCount)]
    }

    public func answer(row: Int, output: Int) -> Double { answers[row * outputCount + output] }

    public func base(row: Int, output: Int) -> Double {
        base[base.count == outputCount ? output : row * outputCount + output]
    }
}
