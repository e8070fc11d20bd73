public import AerieCore
public import Serving

/// LightGBM's text model files, as `save_model` writes them.
///
/// Boosting `gbdt`, `dart`, `goss` and `rf`; missing values of every kind, categorical splits, linear trees, several
/// classes; every objective of the library, and none (raw sums).
public struct LightGBMFormat: ModelFormat {
    public init() {}

    public var flavor: String { "lightgbm" }
    public var fileExtensions: [String] { ["lgb", "txt"] }

    public func load(file path: String) throws(AerieError) -> any InferenceModel {
        try Self.load(try ModelFile(path: path))
    }

    static func load(_ file: ModelFile, walk: TreeWalk? = nil) throws(AerieError) -> LightGBMModel {
        do {
            var reader = LightGBMFileReader(file.bytes)
            return try LightGBMModel(try reader.read(), walk: walk)
        } catch {
            throw error.asAerieError(in: file.path)
        }
    }
}
