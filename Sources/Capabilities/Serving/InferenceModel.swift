public import AerieCore
public import AerieData

/// What a loaded model takes, gives and costs: told once, at load.
public struct ModelDescription: Sendable {
    /// The kind of engine by the Open Inference Protocol's names, such as `xgboost_xgboost`, `lightgbm_lightgbm`,
    /// `onnxruntime_onnx`.
    public var platform: String
    /// The names, types and shapes of the inputs; a dimension of -1 is decided by the request (rows, usually).
    public var inputs: [TensorSpec]
    public var outputs: [TensorSpec]
    /// The names of the columns of a tabular model in the model's order; empty where the model does not know them.
    public var featureNames: [String]
    /// An estimate of one row's inference in nanoseconds, made at load: it decides between loop and pool.
    public var nanosecondsPerRow: Double
    /// Whether the first output is a probability; `nil` where the model does not say.
    public var isProbability: Bool?
    /// What a person should know of how it was loaded, such as a fallback that was taken.
    public var notes: [String] = []

    public init(
        platform: String, inputs: [TensorSpec], outputs: [TensorSpec], featureNames: [String] = [],
        nanosecondsPerRow: Double, isProbability: Bool? = nil
    ) {
        self.platform = platform
        self.inputs = inputs
        self.outputs = outputs
        self.featureNames = featureNames
        self.nanosecondsPerRow = nanosecondsPerRow
        self.isProbability = isProbability
    }
}

/// A model in memory, ready to answer. Immutable after load and safe to call from any thread at once.
public protocol InferenceModel: AnyObject, Sendable {
    var description: ModelDescription { get }

    /// The general path: named tensors in, every output out, in the order of `description.outputs`.
    ///
    /// Blocking and CPU-bound; the caller picks the thread. Allocates its answer.
    /// - Throws: `invalidArgument` naming the input whose name, type or shape does not fit; `internal` with the
    ///   engine's own words otherwise.
    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor]
}

/// A model over rows of numbers, such as a tree ensemble: the path that allocates nothing.
public protocol TabularModel: InferenceModel {
    /// Columns of a row.
    var featureCount: Int { get }
    /// Numbers that the first output has for one row: 1 for regression and binary classification, the number of
    /// classes otherwise.
    var outputCount: Int { get }
    /// The element type that the model compares in: `.fp32` (XGBoost) or `.fp64` (LightGBM).
    var rowType: DataType { get }

    /// Predicts `count` rows, with the objective's link function applied, as the library's own `predict` does.
    ///
    /// - Parameters:
    ///   - rows: `count * featureCount` elements of `rowType`, row-major, aligned; NaN is a missing value.
    ///   - output: room for `count * outputCount` elements of the first output's type, row-major, aligned.
    ///
    /// Takes no lock and allocates nothing (multi-class included).
    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer)
}

/// Turns a model's files into a model in memory. One for each format; the executable gives Serving the list.
public protocol ModelFormat: Sendable {
    /// The flavor's name in an `MLmodel` file (`xgboost`, `lightgbm`, `onnx`).
    var flavor: String { get }
    /// The endings of bare files of this format, without the dot, such as `ubj`.
    var fileExtensions: [String] { get }

    /// Loads a model from one file. Blocking; takes as long as the file is large.
    /// - Throws: `invalidArgument` naming the file and the byte offset for malformed, truncated or hostile files;
    ///   `unsupported` for a part of the format that is not carried out, by its name.
    func load(file path: String) throws(AerieError) -> any InferenceModel

    /// The same with options. A format that knows none takes `cpu`, and refuses a list without it.
    /// - Throws: also `failedPrecondition` if none of the execution providers is there.
    func load(file path: String, options: ModelLoadOptions) throws(AerieError) -> any InferenceModel
}
