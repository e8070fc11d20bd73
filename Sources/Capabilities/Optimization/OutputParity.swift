public import AerieCore
public import AerieData
public import AerieJSON

/// How near a variant's first output is to the reference, over the held-out rows.
public struct OutputParity: Sendable, Hashable {
    /// Over all rows and columns.
    public var maximumDifference: Double
    public var meanDifference: Double
    /// `maximumDifference` in standard deviations of the reference's numbers.
    public var relativeDifference: Double
    /// The share of the rows whose label is the same; `nil` for a regression.
    public var labelAgreement: Double?

    /// - Parameter isClassifier: whether a row's label is its greatest column, or whether its only one is over a half.
    /// - Throws: `failedPrecondition` if the shapes cannot be compared.
    public init(of output: Tensor, to reference: Tensor, isClassifier: Bool) throws(AerieError) {
        let rows = max(1, reference.shape.first ?? 1)
        let expected = try output.asDoubles()
        let wanted = try reference.asDoubles()
        let columns = wanted.count / rows
        let width = expected.count / rows
        // A graph answers both classes where the library answers the second one's probability.
        let offset = width == 2 && columns == 1 ? 1 : 0
        guard rows > 0, columns > 0, columns == width || offset == 1, expected.count == rows * width else {
            throw AerieError(
                .failedPrecondition,
                "its answer \(output.shape) cannot be compared with \(reference.shape) of the model itself")
        }
        var (most, sum, agreeing) = (0.0, 0.0, 0)
        for row in 0..<rows {
            let a = Array(expected[(row * width + offset)..<(row * width + offset + columns)])
            let b = Array(wanted[(row * columns)..<((row + 1) * columns)])
            for (x, y) in zip(a, b) where !(x.isNaN && y.isNaN) {
                let difference = abs(x - y)
                most = difference.isNaN ? .infinity : max(most, difference)
                sum += difference.isNaN ? 0 : difference
            }
            if Self.label(a) == Self.label(b) { agreeing += 1 }
        }
        let mean = wanted.reduce(0, +) / Double(wanted.count)
        let deviation = (wanted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(wanted.count)).squareRoot()
        maximumDifference = most
        meanDifference = sum / Double(rows * columns)
        relativeDifference = most == 0 ? 0 : deviation > 0 ? most / deviation : .infinity
        labelAgreement = isClassifier ? Double(agreeing) / Double(rows) : nil
    }

    private static func label(_ row: [Double]) -> Int {
        if row.count == 1 { return row[0] > 0.5 ? 1 : 0 }
        return row.indices.max { row[$0] < row[$1] } ?? 0
    }

    public func json() -> JSONValue {
        var object: JSONObject = [
            "max_abs_difference": .double(maximumDifference), "mean_abs_difference": .double(meanDifference),
            "max_difference_in_deviations": .double(relativeDifference),
        ]
        object["label_agreement"] = labelAgreement.map { .double($0) }
        return .object(object)
    }
}

extension Tensor {
    /// - Throws: `unsupported` for texts and half precision.
    fileprivate func asDoubles() throws(AerieError) -> [Double] {
        switch dataType {
        case .fp64: elements(as: Double.self)
        case .fp32: elements(as: Float.self).map { Double($0) }
        case .int64: elements(as: Int64.self).map { Double($0) }
        case .int32: elements(as: Int32.self).map { Double($0) }
        default: throw AerieError(.unsupported, "answers of \(dataType.rawValue) cannot be compared")
        }
    }
}
