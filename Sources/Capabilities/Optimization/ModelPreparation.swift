public import AerieCore
public import AerieData

/// What is asked of the preparation.
public struct PreparationRequest: Sendable {
    /// A model file, or an MLflow folder.
    public var model: String
    /// Rows: `.csv`, `.parquet`, `.npy` or `.npz`.
    public var data: String
    /// A column that is no feature.
    public var label: String?
    /// Rows that are held out for parity and measurement, at most.
    public var rows: Int
    /// Rows that quantization looks at, at most.
    public var calibration: Int
    public var seed: UInt64
    /// Exists and is empty; what is made lies there.
    public var folder: String

    public init(
        model: String, data: String, label: String?, rows: Int, calibration: Int, seed: UInt64, folder: String
    ) {
        self.model = model
        self.data = data
        self.label = label
        self.rows = rows
        self.calibration = calibration
        self.seed = seed
        self.folder = folder
    }
}

/// A model with what it can be turned into, and the rows to judge that by.
public struct PreparedModel: Sendable {
    public struct Candidate: Sendable {
        public var name: String
        /// `nil` for what could not be made, with the reason.
        public var path: String?
        public var reason: String

        public init(name: String, path: String?, reason: String = "") {
            self.name = name
            self.path = path
            self.reason = reason
        }
    }

    /// `sklearn`, `pytorch`, `xgboost`, `lightgbm` or `onnx`.
    public var kind: String
    /// Whether outputs are probabilities of classes; `nil` where only the graph can say.
    public var isClassifier: Bool?
    /// The held-out rows as the graph's inputs.
    public var inputs: [Tensor]
    /// What the model's own library answers for them, FP64; `nil` for an ONNX model, which is its own reference.
    public var reference: Tensor?
    /// What that took, for all rows at once. In seconds.
    public var referenceSeconds: Double?
    public var columns: [String]
    public var calibrationRows: Int
    public var candidates: [Candidate]

    public init(
        kind: String, isClassifier: Bool?, inputs: [Tensor], reference: Tensor?, referenceSeconds: Double?,
        columns: [String], calibrationRows: Int, candidates: [Candidate]
    ) {
        self.kind = kind
        self.isClassifier = isClassifier
        self.inputs = inputs
        self.reference = reference
        self.referenceSeconds = referenceSeconds
        self.columns = columns
        self.calibrationRows = calibrationRows
        self.candidates = candidates
    }
}

/// Converts and quantizes a model, where its own libraries are.
///
/// Contract: writes below the request's folder only. Cancelling the task ends the work with everything it started.
public protocol ModelPreparer: Sendable {
    /// - Throws: `unavailable` naming the package that is missing; `invalidArgument` for rows that are none;
    ///   `unsupported` for a model of another kind; `failedPrecondition` with the converter's own words.
    func prepare(
        _ request: PreparationRequest, progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> PreparedModel
}
