public import AerieCore

/// A model that is explained from outside, by asking it about rows that nobody sent. Declared here, implemented by
/// whoever has the model.
///
/// Contract: the same rows give the same answers; any thread may ask at once; blocks for as long as the model takes.
public protocol RowModel: Sendable {
    var featureCount: Int { get }
    /// Numbers that a row's answer has.
    var outputCount: Int { get }

    /// The answers, `[row][output]`.
    /// - Throws: what the model throws.
    func predict(_ rows: Table) throws(AerieError) -> [Double]
}

extension RowModel {
    /// Answers of the right number.
    /// - Throws: also `unsupported` for a model that does not answer each row by itself.
    func answers(_ rows: Table) throws(AerieError) -> [Double] {
        let answers = try predict(rows)
        guard answers.count == rows.rowCount * outputCount else {
            throw AerieError(
                .unsupported,
                "the model gave \(answers.count) numbers for \(rows.rowCount) rows of \(outputCount), and explanations are "
                    + "of models that answer each row by itself", reason: "explain.output")
        }
        return answers
    }
}
